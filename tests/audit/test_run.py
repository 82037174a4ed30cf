"""What a run reads, writes, repeats and forgets; workers run in this process."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.api import _audit, _audit_check, _remembered, _verify
from ckpt_tools.audit import evidence
from ckpt_tools.audit.batches import parse_batch, parse_result
from ckpt_tools.checkpoint import read
from ckpt_tools.families.family import GENERIC
from ckpt_tools.rules import plugins
from ckpt_tools.storage.session import storage_of
from tests.support.bad_checkpoints import as_file
from tests.support.fleet import FIXTURES, assert_same, make_tree, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "hf_" + "qWkZxVbNmTrYpLsDfGhJcXzQaSwEdRfVtG"


class Inline:
    """An engine in this process, which counts what is examined."""

    def __init__(self, before: Callable[[str], None] = lambda _: None) -> None:
        self.locations: list[str] = []
        self.before = before

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        for batch in batches:
            self.locations += [item.location for item in parse_batch(batch).items]
            self.before(batch)
            yield api.examine_batch(batch)

    @property
    def names(self) -> list[str]:
        return sorted(os.path.basename(one) for one in self.locations)


def audit(out: Path, *wheres: Path, **options: Any) -> tuple[Any, Inline]:
    engine = options.pop("engine", None) or Inline()
    return api.audit(wheres, out=out, engine=engine, **options), engine


def query(out: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(out)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tree of the fixtures, and its audit."""
    home = tmp_path_factory.mktemp("first")
    tree = make_tree(home / "tree", 1)
    audit(home / "audit.db", tree)
    return tree, home / "audit.db"


@pytest.fixture
def again(first: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of that audit."""
    return Path(shutil.copy(first[1], tmp_path / "audit.db"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A tree of three language models."""
    for name in ("a", "b", "c"):
        shutil.copytree(FIXTURES / "language-model", tmp_path / "tree" / name)
    return tmp_path / "tree"


# --- incremental ----------------------------------------------------------------------------------


def test_findings_and_coverage_are_those_of_verify(first: tuple[Path, Path]) -> None:
    tree, out = first
    for (location,) in query(out, "SELECT location FROM checkpoints"):
        known = api.verify(location)
        found = [row[1:] for row in rows(out)["findings"] if row[0] == location]
        assert sorted(found) == sorted(
            (one.code, one.severity, one.path, one.subject, one.what, one.next)
            for one in known.findings
        )
    assert query(out, "SELECT count(*), min(status) FROM checkpoints") == [(8, "checked")]
    assert query(out, "SELECT count(*) FROM files WHERE weights")[0][0] >= 8
    assert tree.is_dir()


def test_what_did_not_change_is_not_examined(first: tuple[Path, Path], again: Path) -> None:
    tally, engine = audit(again, first[0])
    assert (tally.found, tally.unchanged, tally.checked) == (8, 8, 0)
    assert engine.locations == []
    assert (tally.errors, tally.warnings) == (4, 1)
    assert_same(again, first[1])


def test_only_what_changed_is_examined(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.db"
    audit(out, small)
    config = json.loads((small / "b/config.json").read_text())
    (small / "b/config.json").write_text(json.dumps(config | {"vocab_size": 64}))
    tally, engine = audit(out, small)
    assert engine.names == ["b"]
    assert (tally.checked, tally.unchanged) == (1, 2)
    assert query(out, "SELECT errors > 0 FROM checkpoints ORDER BY location") == [(0,), (1,), (0,)]


def test_what_vanished_is_marked_and_comes_back(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.db"
    audit(out, small)
    (small / "b").rename(tmp_path / "elsewhere")
    tally, _ = audit(out, small)
    assert (tally.found, tally.vanished) == (2, 1)
    assert query(out, "SELECT name FROM checkpoints WHERE status = 'vanished'") == [("b",)]
    assert audit(out, small)[0].vanished == 0
    (tmp_path / "elsewhere").rename(small / "b")
    tally, engine = audit(out, small)
    assert engine.names == ["b"]
    assert query(out, "SELECT DISTINCT status FROM checkpoints") == [("checked",)]


def test_what_was_not_looked_for_has_not_vanished(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.db"
    audit(out, small)
    shutil.rmtree(small / "a")
    shutil.rmtree(small / "b")
    tally, _ = audit(out, small, only=["*/b", "*/c"])
    assert (tally.found, tally.vanished) == (1, 1)
    assert query(out, "SELECT name FROM checkpoints WHERE status = 'vanished'") == [("b",)]
    other = shutil.copytree(FIXTURES / "normal", tmp_path / "other")
    assert audit(out, other)[0].vanished == 0
    assert audit(out, tmp_path / "nowhere")[0].failed == 1
    assert query(out, "SELECT count(*) FROM checkpoints WHERE status = 'checked'") == [(3,)]


def test_values_are_read_when_asked_for(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.db"
    audit(out, small)
    assert query(out, "SELECT count(*) FROM checkpoints WHERE payload IS NULL") == [(3,)]
    tally, _ = audit(out, small, values=True)
    assert tally.checked == 3
    assert query(out, "SELECT count(DISTINCT payload), min(with_values) FROM checkpoints") == [
        (1, 1)
    ]
    assert audit(out, small)[0].unchanged == 3
    assert query(out, "SELECT count(*) FROM relations WHERE kind = 'same-payload'") == [(2,)]


# --- newer rules ----------------------------------------------------------------------------------


class Closed:
    """Fails the test for a file below a folder that is opened, or a folder that is listed."""

    def __init__(self) -> None:
        self.folder = ""
        self.opened: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder and event in ("open", "os.listdir"):
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
            if path.startswith(self.folder):
                self.opened.append(path)


CLOSED = Closed()
sys.addaudithook(CLOSED)


@pytest.fixture
def newer_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_audit, "_about_rules", lambda: ("of another release",))


@pytest.fixture
def forgetful() -> None:
    """Nothing that earlier tests checked is remembered."""
    forget()


def forget() -> None:
    _remembered._JUDGEMENTS._held.clear()
    _audit_check._DESCRIBED._held.clear()
    for cached in (read._decoded_once, read._parsed_once, evidence._compressed_once):
        cached.cache_clear()


@pytest.mark.usefixtures("newer_rules", "forgetful")
def test_newer_rules_judge_again_without_opening_a_file(
    first: tuple[Path, Path], again: Path
) -> None:
    def close(_: str) -> None:
        CLOSED.folder = str(first[0])

    CLOSED.opened.clear()
    try:
        tally, engine = audit(again, first[0], engine=Inline(close))
    finally:
        CLOSED.folder = ""
    assert (tally.judged_again, tally.checked) == (8, 0)
    assert len(engine.locations) == 8
    assert CLOSED.opened == []
    assert without_rules(again) == without_rules(first[1])


@pytest.mark.usefixtures("newer_rules")
def test_rules_that_read_more_read_again(
    first: tuple[Path, Path], again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _verify.check

    def check(where: str, **options: Any) -> Any:
        storage, root = storage_of(where)
        storage.read(f"{root}/README.md", 1 << 20)  # what no rule reads as a document
        return original(where, **options)

    monkeypatch.setattr(_audit_check, "check", check)
    tally, _ = audit(again, first[0], only=["*/language-model"])  # the only one with a card
    assert (tally.checked, tally.judged_again) == (1, 0)


@pytest.mark.usefixtures("newer_rules")
def test_rules_of_other_distributions_always_read(
    first: tuple[Path, Path], again: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may look at anything: nothing is kept for them, nor remembered."""
    monkeypatch.setattr(plugins, "load", lambda: plugins.Plugins((), (GENERIC,)))
    forget()
    tally, _ = audit(again, first[0])
    assert (tally.checked, tally.judged_again) == (8, 0)
    assert _remembered._JUDGEMENTS._held == {}
    assert rows(again)["evidence"] == []


@pytest.mark.usefixtures("newer_rules")
def test_broken_files_are_judged_again_too(tmp_path: Path) -> None:
    tree = broken(tmp_path / "tree", 7)
    audit(tmp_path / "audit.db", tree)
    before = without_rules(tmp_path / "audit.db")
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_audit, "_about_rules", lambda: ("of a third release",))
            tally, _ = audit(tmp_path / "audit.db", tree)
    assert tally.unchanged == 7
    assert without_rules(tmp_path / "audit.db") == before


def without_rules(out: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of an audit, without what names the rules."""
    found = rows(out)
    return found | {"checkpoints": [row[:-1] for row in found["checkpoints"]]}


# --- what is remembered ---------------------------------------------------------------------------


def test_equal_checkpoints_are_judged_as_if_each_were_the_first(tmp_path: Path) -> None:
    """Two copies of every fixture, and a broken one: remembered answers change nothing."""
    tree = broken(make_tree(tmp_path / "tree", 2), 3)

    def forget_first(_: str) -> None:
        forget()

    forget()
    audit(tmp_path / "remembered.db", tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ckpt_tools.audit.run.BATCH", 1)
        audit(tmp_path / "forgotten.db", tree, engine=Inline(forget_first))
    assert_same(tmp_path / "remembered.db", tmp_path / "forgotten.db")
    commands = query(
        tmp_path / "remembered.db", "SELECT next FROM findings WHERE next LIKE '%/01/%'"
    )
    assert commands, "no remedy names the second copy"


def test_a_guard_against_remembering_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what was read in the key, the next checkpoint would get the verdict of the last."""
    tree = make_tree(tmp_path / "tree", 1)
    monkeypatch.setattr("ckpt_tools.storage.recording.Recording.state", lambda _: b"")
    forget()
    audit(tmp_path / "audit.db", tree)
    forget()
    assert query(tmp_path / "audit.db", "SELECT count(DISTINCT structure) FROM checkpoints") == [
        (1,)
    ]


# --- trouble --------------------------------------------------------------------------------------


def broken(tree: Path, number: int) -> Path:
    """Add files that are not what their name says, each in its own way."""
    ways = (
        b"",
        b"not weights at all",
        as_file('{"a":'),
        as_file('{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}'),
        as_file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0"),
        b"\xff" * 64,
        as_file("[]"),
    )
    for index in range(number):
        folder = tree / f"broken-{index:04}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(ways[index % len(ways)])
    return tree


def test_a_thousand_broken_files_are_a_row_each(tmp_path: Path) -> None:
    tally, _ = audit(tmp_path / "audit.db", broken(tmp_path / "tree", 1000))
    assert (tally.found, tally.checked, tally.errors) == (1000, 1000, 1000)
    found = query(
        tmp_path / "audit.db",
        "SELECT count(DISTINCT checkpoint), count(DISTINCT code) FROM findings",
    )
    assert found == [(1000, 6)]


def test_a_file_that_changes_while_it_is_read(small: Path, tmp_path: Path) -> None:
    def change(_: str) -> None:
        (small / "b/config.json").write_bytes((small / "b/config.json").read_bytes() + b"\n")

    tally, _ = audit(tmp_path / "audit.db", small, engine=Inline(change))
    assert (tally.failed, tally.checked) == (1, 2)
    (row,) = query(tmp_path / "audit.db", "SELECT name, reason FROM checkpoints WHERE reason <> ''")
    assert row[0] == "b"
    assert row[1].startswith("a file changed after it was listed; another program is writing")
    tally, engine = audit(tmp_path / "audit.db", small)
    assert engine.names == ["b"]
    assert tally.failed == 0


def test_no_secret_is_stored(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FIXTURES / "normal", tmp_path / "tree/normal"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"type": SECRET, SECRET: SECRET}))
    out = tmp_path / "audit.db"
    audit(out, tmp_path / "tree")
    assert query(out, "SELECT count(*) FROM findings WHERE what LIKE '%hf_q…%'")[0][0]
    texts = [str(row) for table in rows(out).values() for row in table]
    assert not [text for text in texts if SECRET in text or SECRET[8:] in text]
    assert query(out, "SELECT count(*) FROM evidence") == [(0,)], "it would hold the secret"
    assert SECRET.encode() not in out.read_bytes()


def test_settings_apply_but_not_those_of_the_checkpoint(small: Path, tmp_path: Path) -> None:
    config = json.loads((small / "b/config.json").read_text())
    (small / "b/config.json").write_text(json.dumps(config | {"vocab_size": 64}))
    settings = tmp_path / "settings.toml"
    audit(tmp_path / "plain.db", small)
    codes = [code for (code,) in query(tmp_path / "plain.db", "SELECT code FROM findings")]
    assert codes
    text = "".join(f'[[suppress]]\ncode = "{code}"\nreason = "known"\n' for code in set(codes))
    settings.write_text(text)
    tally, _ = audit(tmp_path / "with.db", small, settings=settings)
    assert tally.errors == 0
    inside = small / "b/ckpt.toml"
    inside.write_text(text)
    tally, _ = audit(tmp_path / "inside.db", small, settings=inside)
    assert tally.errors == 1


def test_results_survive_their_text(first: tuple[Path, Path]) -> None:
    """A result is the same after a trip through text, whatever a worker sends."""
    engine = Inline()
    tree, _ = first
    batches: list[str] = []
    engine.before = batches.append
    home = tree.parent / "again.db"
    audit(home, tree, engine=engine)
    for batch in batches:
        text = api.examine_batch(batch)
        assert parse_result(text) == parse_result(api.examine_batch(batch))
