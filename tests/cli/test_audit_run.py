"""`ckpt audit run`: what it names, its exit status, and what it says."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.api import _audit
from ckpt_tools.audit.model import Tally
from ckpt_tools.cli.audit import run
from ckpt_tools.cli.main import main
from tests.support.ckpt_process import Outcome
from tests.support.fleet import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Inline:
    """The engine of the command, in this process."""

    def __init__(self, jobs: int, **_: object) -> None:
        self.jobs = jobs

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        yield from map(api.examine_batch, batches)


@pytest.fixture
def audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """A function that runs `ckpt audit run` in this process, in an empty folder."""
    monkeypatch.setattr(_audit, "LocalEngine", Inline)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        code = main(["audit", "run", "--out", "audit.db", *map(str, arguments)])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint without a finding."""
    return Path(shutil.copytree(FIXTURES / "language-model", tmp_path / "tree/model"))


def spoil(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"vocab_size": 64}))


def locations(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "audit.db")) as connection:
        rows = connection.execute("SELECT location FROM checkpoints")
        return sorted(Path(location).name for (location,) in rows)


def test_clean_checkpoints_are_status_0(audit: Callable[..., Outcome], model: Path) -> None:
    assert audit(model.parent) == (0, "1 checkpoint\n", "")
    assert audit(model.parent) == (0, "1 checkpoint: 1 unchanged\n", "")


@pytest.mark.parametrize(
    ("fixture", "fail_on", "code"),
    [("f32-vlm", "error", 0), ("f32-vlm", "warning", 1), ("sharded", "error", 1)],
)
def test_findings_are_status_1_from_a_severity_on(
    audit: Callable[..., Outcome], fixture: str, fail_on: str, code: int
) -> None:
    assert audit(FIXTURES / fixture, "--fail-on", fail_on).code == code
    assert audit(FIXTURES / fixture, "--fail-on", fail_on).code == code, "unchanged counts too"


def test_what_could_not_be_looked_at_is_status_2(
    audit: Callable[..., Outcome], model: Path
) -> None:
    spoil(model)
    found = audit(model.parent, "nowhere")
    summary, report = found.stdout.splitlines()
    assert (found.code, summary) == (2, "2 checkpoints: 1 could not be looked at, 1 with errors")
    assert report.startswith("report: ckpt audit show ")


def test_nothing_found_is_status_3(audit: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert audit("empty") == (3, "0 checkpoints\n", "")


def test_a_list_from_standard_input(
    audit: Callable[..., Outcome], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{model}\n\n  {other}\n{model}\n"))
    assert audit("-").stdout == "2 checkpoints\n"
    assert locations(tmp_path) == ["model", "other"]


def test_an_empty_list_is_refused(
    audit: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert audit("-") == (
        2,
        "",
        "ckpt: no source is named; name a folder, hf://owner or a bucket\n",
    )


def test_only_and_what_vanished(audit: Callable[..., Outcome], model: Path) -> None:
    shutil.copytree(model, model.with_name("other"))
    assert audit(model.parent, "--only", "*/other").stdout == "1 checkpoint\n"
    assert audit(model.parent).stdout == "2 checkpoints: 1 unchanged\n"
    shutil.rmtree(model)
    assert audit(model.parent).stdout == "1 checkpoint: 1 unchanged, 1 vanished\n"


def test_newer_rules_are_said(
    audit: Callable[..., Outcome], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(model.parent)
    monkeypatch.setattr(_audit, "_about_rules", lambda: ("newer",))
    words = "1 checkpoint: 1 judged again by newer rules without reading\n"
    assert audit(model.parent) == (0, words, "")


def test_the_progress_line_fits_the_terminal_and_leaves_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(run, "_SECONDS", 0)
    with run._progress_line() as line:
        line.show(Tally(found=10**6, unchanged=10**6, judged_again=10**6, failed=10**6))
        line.say("the Hub's quota is used up: waiting 31 seconds")
    clear = "\r\x1b[K"
    _, shown, said, rest = stream.getvalue().split(clear)
    assert shown.startswith("1,000,000 checkpoints: 1,000,000 unchanged, 1,000,000 judged")
    assert len(shown) == 79
    assert (said, rest) == ("ckpt: the Hub's quota is used up: waiting 31 seconds\n", "")


def test_a_loop_of_links_ends(audit: Callable[..., Outcome], model: Path) -> None:
    (model.parent / "loop").symlink_to(model.parent)
    (model / "up").symlink_to(model.parent.parent)
    assert audit(model.parent).stdout == "1 checkpoint\n"


def test_trouble_with_the_file_is_one_line(
    audit: Callable[..., Outcome], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "audit.db").write_text("a text" * 1000)
    found = audit(model)
    assert (found.code, found.stdout) == (2, "")
    assert found.stderr == (
        "ckpt: audit.db: is not an SQLite file; name a file that"
        " `ckpt audit run WHERE --out FILE` wrote\n"
    )


def test_invalid_settings_are_refused(
    audit: Callable[..., Outcome], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "ckpt.toml").write_text("suppress = 3\n")
    found = audit(model)
    assert found.code == 2
    assert "expected a list" in found.stderr
    assert not (tmp_path / "audit.db").exists()
