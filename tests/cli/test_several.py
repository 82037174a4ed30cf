"""`verify` and `gate` on several checkpoints: one report each, and the worst exit status."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from tests.support.shells import split

FIXTURES = Path(__file__).parents[2] / "fixtures"
GOOD, BAD, OTHER = (str(FIXTURES / name) for name in ("normal", "reflow", "reflow-clean"))
MISSING = str(FIXTURES / "missing")


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """A folder in which there is nothing to check."""
    (tmp_path / "empty").mkdir()
    return str(tmp_path / "empty")


@pytest.mark.parametrize("command", ["verify", "gate"])
def test_the_exit_status_is_the_worst(command: str, empty: str) -> None:
    assert main([command, GOOD, OTHER]) == 0
    assert main([command, GOOD, BAD]) == 1
    assert main([command, GOOD, MISSING, BAD]) == 2
    if command == "gate":
        assert main([command, empty, empty]) == 3
        assert main([command, empty, GOOD]) == 1, "what was not checked did not pass"


def test_text_has_one_report_after_the_other_and_a_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["gate", GOOD, MISSING, BAD]) == 2
    shown = capsys.readouterr()
    assert f"{GOOD}: Verdict\n" in shown.out
    assert f"{BAD}: Errors: " in shown.out
    assert shown.out.index(f"{GOOD}: passes") < shown.out.index(f"{BAD}: failed")
    assert shown.out.endswith(
        "\nAll checkpoints\n  ✗ 1 of 3 checkpoints passed; 1 could not be checked\n"
    )
    assert shown.err.startswith(f"ckpt: {MISSING}: ")
    assert shown.err.count("\n") == 1


def test_json_is_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", GOOD, BAD, "--format", "json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["where"] for line in lines] == [GOOD, BAD]
    main(["verify", BAD, "--format", "json"])
    assert json.loads(capsys.readouterr().out) == json.loads(lines[1])


def test_json_of_several_is_a_baseline_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["verify", GOOD, BAD, "--format", "json"])
    (tmp_path / "old.json").write_text(capsys.readouterr().out)
    assert main(["verify", GOOD, BAD, "--baseline", str(tmp_path / "old.json")]) == 0


def test_junit_has_a_suite_and_sarif_a_run_in_a_category_of_its_own_for_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["verify", GOOD, BAD, "--format", "junit"]) == 1
    suites = fromstring(capsys.readouterr().out)  # noqa: S314 - our own output
    assert [suite.get("name") for suite in suites] == [GOOD, BAD]
    assert suites.get("failures") == suites[1].get("failures")
    assert suites.get("tests") == str(sum(int(suite.get("tests", "")) for suite in suites))
    assert main(["verify", GOOD, BAD, "--format", "sarif"]) == 1
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert len({run["automationDetails"]["id"] for run in runs}) == len(runs) == 2


def test_annotations_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", BAD, GOOD, "--format", "github"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("::error file=")
    assert f" in {BAD}" in out
    assert f" in {GOOD}" in out


@pytest.mark.parametrize("output_format", ["markdown", "html"])
def test_a_page_has_sections_for_each(
    output_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", GOOD, BAD, "--format", output_format]) == 1
    out = capsys.readouterr().out
    assert "1 of 2 checkpoints clean" in out
    assert f"{BAD}: Errors" in out
    if output_format == "html":
        assert out.count("<html") == out.count("<h1>") == 1
        assert "<h1>ckpt: 2 checkpoints</h1>" in out
        ids = [part.partition('"')[0] for part in out.split(' id="')[1:]]
        assert len(ids) == len(set(ids))


STALE = """
[[suppress]]
code = "CK201"
reason = "matches in none"
[[suppress]]
code = "CK301"
reason = "matches in one"
"""


@pytest.mark.parametrize("command", ["verify", "gate"])
@pytest.mark.parametrize(
    "output_format", ["text", "json", "markdown", "html", "junit", "sarif", "github"]
)
def test_a_suppression_without_effect_is_noted_once(
    command: str,
    output_format: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt.toml").write_text(STALE)
    assert main([command, OTHER, BAD, GOOD, "--format", output_format]) == 1
    out = capsys.readouterr().out
    assert out.count("the suppression of CK201 matches nothing") == 1
    assert "the suppression of CK301" not in out, "a checkpoint needs it"
    if output_format == "text":
        assert f"\nSettings: 1 note\n    CK817 {tmp_path}/ckpt.toml: suppress[0]: the supp" in out
    if output_format == "github":
        assert f"::notice file={tmp_path}/ckpt.toml,title=CK817" in out
    if output_format == "json":
        assert "CK817" in out.splitlines()[-1]


def test_a_suppression_on_the_command_line_is_not_said_to_be_in_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpt.toml").write_text("")
    assert main(["verify", GOOD, OTHER, "--suppress", "CK201", "--reason", "x"]) == 0
    out = capsys.readouterr().out
    note = "    CK817 --suppress: the suppression of CK201 matches nothing\n      omit it\n"
    assert out.count(note) == out.count("CK817") == 1


def test_a_folder_above_several_is_answered_with_the_command_that_checks_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a b", "runs/c"):
        shutil.copytree(GOOD, tmp_path / name)
    assert main(["verify", "runs"]) == 2
    what, _, command = capsys.readouterr().err.strip().partition(", or check all of them: ckpt ")
    assert what == (
        "ckpt: runs: contains no .safetensors file itself, but 2 folders below it do;"
        " name one, such as runs/a b"
    )
    assert main(shlex.split(command)) == 0
    assert "2 of 2 checkpoints clean" in capsys.readouterr().out
    for number in range(9):
        (tmp_path / f"runs/{number}").mkdir()
        (tmp_path / f"runs/{number}/model.safetensors").touch()
    assert main(["verify", "runs"]) == 2
    what, _, command = capsys.readouterr().err.strip().partition(", or check all of them: ckpt ")
    assert "11 folders below it do" in what
    assert main(shlex.split(command)) == 1
    assert (tmp_path / "audit.db").exists()


def test_the_command_that_checks_them_all_keeps_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a", "runs/b\n\udcff"):
        shutil.copytree(BAD, tmp_path / name)
    options = ["--reference", GOOD, "--values", "--suppress", "CK301,CK302", "--reason", "a b"]
    options += ["--rules", "CK3,CK7"]
    assert main(["verify", *options[:2], "runs", *options[2:]]) == 2
    command = capsys.readouterr().err.strip().partition(", or check all of them: ckpt ")[2]
    assert split(command) == [
        *("verify", "runs/a", "runs/b\n\udcff", "--reference", GOOD, "--values"),
        *("--rules", "CK3,CK7"),
        *("--suppress", "CK301", "--suppress", "CK302", "--reason", "a b"),
    ]
    assert main(split(command)) == 1
    for number in range(9):
        (tmp_path / f"runs/{number}").mkdir()
        (tmp_path / f"runs/{number}/model.safetensors").touch()
    assert main(["verify", "runs", *options]) == 2
    assert "audit" not in capsys.readouterr().err, "it has no such options"


def test_a_disk_that_fails_hides_no_other_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verify = api.verify
    monkeypatch.setattr(
        api,
        "verify",
        lambda where, **given: fail(where) if where == BAD else verify(where, **given),
    )
    assert main(["verify", BAD, GOOD]) == 2
    shown = capsys.readouterr()
    assert f"{GOOD}: Verdict\n" in shown.out
    assert shown.err == f"ckpt: {BAD}: input/output error; check the path and the disk\n"


def fail(where: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO), where)


def test_what_is_wrong_with_the_command_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", GOOD, BAD, "--profile", "x"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1


def test_without_a_checkpoint_the_command_cannot_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 2
    assert "Missing argument 'WHERE...'" in capsys.readouterr().err
