"""An audit of an owner on the Hub, with workers: what it reads, what disappears, a low quota."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.api import _audit
from tests.support.fleet import rows
from tests.support.hub.policies import NORMAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ckpt_tools.audit.model import Tally
    from tests.support.hub.server import HubServer


@pytest.mark.usefixtures("led")
def test_an_audit_of_an_owner_reads_what_changed_and_goes_on_past_what_fails(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused for the quota is asked for again; its windows are short, so nobody waits."""
    for name, text in hub.environment(tmp_path).items():
        monkeypatch.setenv(name, text)
    for name in ("here", "gone", "gated"):
        hub.add_repo(f"lab/{name}", NORMAL)
    said: list[str] = []

    def note(sentence: str) -> None:
        said.append(sentence)
        if "request" in sentence and len(said) == 1:
            hub.remove_repo("lab/gone")
            hub.gate_repo("lab/gated")

    def run() -> Tally:
        return api.audit(["hf://lab"], out=tmp_path / "audit.db", jobs=1, notify=note)

    hub.quota.limits, hub.quota.window = {"resolvers": 5}, 2
    first = run()
    assert (first.found, first.checked, first.failed) == (3, 1, 2)
    with sqlite3.connect(tmp_path / "audit.db") as file:
        rows = dict(file.execute("SELECT name, reason FROM checkpoints"))
        assert rows["lab/here"] == ""
        assert "no such model on the Hub" in rows["lab/gone"]
        assert "is gated" in rows["lab/gated"]
    assert hub.quota.refused
    assert len(hub.requests.of(path_contains="/revision/")) == 3
    hub.requests.clear()
    again = run()
    assert (again.unchanged, again.checked, again.failed) == (1, 0, 1)
    assert again.vanished == 0, "nothing was ever known of what is gone"
    assert len(hub.requests.of(path_contains="/revision/")) == 1  # what failed is tried again


@pytest.mark.usefixtures("led")
def test_newer_rules_judge_a_repository_again_without_a_request_for_it(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo("lab/here", NORMAL)
    out = tmp_path / "audit.db"
    first = api.audit(["hf://lab"], out=out, engine=Inline())
    before = rows(out)
    with sqlite3.connect(out) as file:
        assert file.execute("SELECT requests FROM runs").fetchone()[0] == len(hub.requests)
    hub.requests.clear()
    monkeypatch.setattr(_audit, "_about_rules", lambda: ("newer",))
    again = api.audit(["hf://lab"], out=out, engine=Inline())
    assert (first.checked, again.judged_again) == (1, 1)
    assert not hub.requests.of(path_contains="lab/here")
    after = rows(out)
    assert {name: after[name] for name in after if name != "checkpoints"} == {
        name: before[name] for name in before if name != "checkpoints"
    }


class Inline:
    """An engine in this process."""

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        yield from map(api.examine_batch, batches)
