"""`ckpt audit show`, `diff`, `graph` and `export`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools.cli.main import main
from ckpt_tools.storage import schemas
from tests.cli.test_startup import heavy_modules_after
from tests.support.audits import Made, Related, write_audit
from tests.support.config_files import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ERROR, WARNING, NOTE = ("CK301", "error"), ("CK308", "warning"), ("CK741", "note")
MADE = (
    *(Made(f"/data/{number:02}", findings=(WARNING, NOTE)) for number in range(30)),
    Made("/data/a", findings=(ERROR,)),
    Made("/data/f", status="failed", reason="permission denied"),
    Made("/data/clean", family="act"),
    Made("/data/noted", family="gpt", findings=(NOTE,)),
)
RELATED = (Related("/data/01", "/data/00", "same-payload", share=1.0, nbytes=5),)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_audit(tmp_path_factory.mktemp("audit") / "audit.db", MADE, RELATED)


@pytest.fixture
def ckpt(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """A function that runs `ckpt audit` in this process."""

    def run(*arguments: str | Path) -> Outcome:
        code = main(["audit", *map(str, arguments)])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def test_an_audit_is_shown(audit: str, ckpt: Callable[..., Outcome]) -> None:
    done = ckpt("show", audit)
    assert (done.code, done.err) == (2, "")
    assert done.out.startswith("Checkpoints\n    34 checkpoints\n  ✗ 1 could not be looked at\n")
    assert "By rule\n" in done.out
    assert "By family\n" in done.out
    assert "By owner" not in done.out


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ((), 2),
        (("--status", "checked"), 1),
        (("--status", "checked", "--fail-on", "error"), 1),
        (("--family", "smolvla", "--status", "checked", "--severity", "warning"), 1),
        (("--severity", "warning", "--fail-on", "error"), 0),
        (("--family", "act"), 0),
        (("--family", "gpt"), 0),
        (("--family", "gpt", "--fail-on", "note"), 1),
        (("--family", "bert"), 3),
        (("--status", "vanished"), 3),
    ],
)
def test_the_exit_status_is_about_what_is_selected(
    audit: str, ckpt: Callable[..., Outcome], options: tuple[str, ...], status: int
) -> None:
    assert ckpt("show", audit, *options).code == status


def test_the_exit_status_is_not_about_what_vanished(
    tmp_path: Path, ckpt: Callable[..., Outcome]
) -> None:
    audit = write_audit(tmp_path / "a.db", [Made("/data/e", status="vanished", findings=(ERROR,))])
    assert ckpt("show", audit, "--status", "vanished").code == 0


def test_text_is_limited_and_json_is_not(audit: str, ckpt: Callable[..., Outcome]) -> None:
    limited = ckpt("show", audit, "--by", "checkpoint").out
    assert "By checkpoint (20 of 34; --limit 0 for all)" in limited
    assert "By checkpoint\n" in ckpt("show", audit, "--by", "checkpoint", "--limit", "0").out
    whole = json.loads(ckpt("show", audit, "--by", "checkpoint", "--format", "json").out)
    assert len(whole["tables"][0]["rows"]) == whole["tables"][0]["total"] == 34
    validator = jsonschema.Draft202012Validator(schemas.load("audit"))
    assert list(validator.iter_errors(whole)) == []
    some = json.loads(ckpt("show", audit, "--limit", "2", "--format", "json").out)
    assert [len(table["rows"]) for table in some["tables"]] == [2, 2]


def test_a_rule_is_named_by_its_code_or_its_name(audit: str, ckpt: Callable[..., Outcome]) -> None:
    one, other = (ckpt("show", audit, "--code", code) for code in ("CK308", "dtype-profile"))
    assert one.out == other.out
    assert "Findings of CK308\n  ~ /data/00\n" in one.out
    assert "and 10 more: --limit 0 lists them" in one.out


def test_a_web_page_is_written(audit: str, ckpt: Callable[..., Outcome]) -> None:
    done = ckpt("show", audit, "--format", "html")
    assert done.out.startswith("<!DOCTYPE html>")
    assert "script-src 'sha256-" in done.out


def test_markdown_has_the_tables(audit: str, ckpt: Callable[..., Outcome]) -> None:
    said = ckpt("show", audit, "--format", "markdown").out
    assert "| CK308 | dtype-profile | warning | 30 | 30 |" in said


def test_audits_are_compared(audit: str, ckpt: Callable[..., Outcome], tmp_path: Path) -> None:
    same = ckpt("diff", audit, audit)
    assert (same.code, same.err) == (0, "")
    assert "no differences (34 checkpoints in both)" in same.out
    other = write_audit(tmp_path / "new.db", MADE[1:])
    done = ckpt("diff", audit, other)
    assert done.code == 1
    assert "Gone: 1\n  ~ /data/00 (warnings)\n" in done.out
    assert json.loads(ckpt("diff", audit, other, "--format", "json").out)["same"] is False
    many = ckpt("diff", audit, write_audit(tmp_path / "none.db", MADE[-1:])).out
    assert "and 13 more: --full lists them" in many


def test_the_graph_is_dot_or_json(audit: str, ckpt: Callable[..., Outcome]) -> None:
    done = ckpt("graph", audit)
    assert (done.code, done.err) == (0, "")
    assert '  c2 -> c1 [label="same payload\\n100 %"];\n}\n' in done.out
    graph = json.loads(ckpt("graph", audit, "--format", "json").out)
    assert [edge["kind"] for edge in graph["edges"]] == ["same-payload"]
    none = json.loads(ckpt("graph", audit, "--relation", "adapter-of", "--format", "json").out)
    assert (none["nodes"], none["edges"]) == ([], [])


def test_tables_are_exported(audit: str, ckpt: Callable[..., Outcome], tmp_path: Path) -> None:
    done = ckpt("export", audit, tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    assert f"    34  {tmp_path}/out/checkpoints.parquet\n" in done.out
    again = ckpt("export", audit, tmp_path / "out")
    assert again.code == 2
    assert again.err == f"ckpt: {tmp_path}/out: already exists; choose another folder\n"


@pytest.mark.parametrize(
    "arguments",
    [("show",), ("diff",), ("graph",), ("export", "out"), ("show", "--format", "html")],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file or directory"),
        ("text", "is not an SQLite file"),
        ("folder", "is not a file"),
    ],
)
def test_what_is_no_audit_is_one_line_and_2(
    ckpt: Callable[..., Outcome], tmp_path: Path, arguments: tuple[str, ...], kind: str, words: str
) -> None:
    path = tmp_path / "a.db"
    if kind == "text":
        path.write_text("text " * 1000, encoding="utf-8")
    elif kind == "folder":
        path.mkdir()
    command, *rest = arguments
    done = ckpt(command, path, *([path] * (command == "diff")), *rest)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"ckpt: {path}: {words}; ")
    assert done.err.count("\n") == 1


def test_an_unknown_rule_is_one_line_and_2(audit: str, ckpt: Callable[..., Outcome]) -> None:
    done = ckpt("show", audit, "--code", "CK9999")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("ckpt: no such rule: CK9999")


def test_reading_an_audit_into_a_pipe_loads_nothing_heavy(audit: str) -> None:
    statement = (
        f"from ckpt_tools.cli.main import main; main(['audit', 'show', {os.fspath(audit)!r}]);"
        " print()"
    )
    looks_for_plugins = {"pathlib", "shutil"}
    assert set(heavy_modules_after(statement)) <= looks_for_plugins
