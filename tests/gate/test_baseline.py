"""`--baseline FILE`: what an earlier report has is accepted, and only what is new fails."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.errors import BaselineInvalid
from ckpt_tools.gate.baseline import apply_baseline, fingerprints, parse_baseline
from ckpt_tools.rules.finding import Finding, Severity, Verification
from tests.support.cases import FIXTURES, added, changed

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hf_aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYz"  # noqa: S105 - made up


def written(command: str, where: object, file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The file with the JSON report of a command."""
    main([command, str(where), "--format", "json"])
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("command", ["verify", "gate"])
def test_what_is_in_the_baseline_does_not_fail_and_is_still_reported(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(FIXTURES / "reflow")
    file = written(command, where, tmp_path / "old.json", capsys)
    assert main([command, where]) == 1
    capsys.readouterr()
    assert main([command, where, "--baseline", file]) == 0
    shown = capsys.readouterr().out
    assert f"in the baseline {file}" in shown
    assert "Errors" not in shown


def test_a_new_finding_fails_and_the_old_ones_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed(tmp_path / "one", added("a.pt", b"x"))
    file = written("gate", folder, tmp_path / "old.json", capsys)
    other = tmp_path / "two"
    shutil.copytree(folder, other)
    assert api.gate(other, baseline=file).passes, "fingerprints do not depend on the folder"
    (other / "b.pt").write_bytes(b"x")
    verdict = api.gate(other, baseline=file)
    assert {one.path for one in verdict.refused} == {"b.pt"}
    assert {one.finding.path for one in verdict.verification.suppressed} >= {"a.pt"}
    assert main(["gate", str(other), "--baseline", file]) == 1


def test_secrets_are_recognized_although_reports_hide_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = changed(tmp_path / "it", added(f"{SECRET}.json", f'{{"{SECRET}": "{SECRET}"}}'))
    file = tmp_path / "old.json"
    written("gate", folder, file, capsys)
    assert SECRET not in file.read_text()
    assert not api.gate(folder).passes
    assert api.gate(folder, baseline=file).passes


def test_what_the_settings_suppress_comes_back_when_they_no_longer_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = changed(tmp_path / "it", added("a.onnx", b"\x08"))
    toml = tmp_path / "ckpt.toml"
    toml.write_text('[[suppress]]\ncode = "CK804"\nreason = "until May"\n')
    file = written("gate", folder, tmp_path / "old.json", capsys)
    assert api.gate(folder, baseline=file).passes
    toml.unlink()
    assert {one.code for one in api.gate(folder, baseline=file).refused} == {"CK804"}


def test_a_required_question_is_accepted_as_any_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(FIXTURES / "normal")
    main(["verify", where, "--require", "values", "--format", "json"])
    file = tmp_path / "old.json"
    file.write_text(capsys.readouterr().out)
    assert main(["verify", where, "--require", "values"]) == 1
    assert main(["verify", where, "--require", "values", "--baseline", str(file)]) == 0


def finding(subject: str) -> Finding:
    return Finding("CK301", Severity.ERROR, "holds", "model.safetensors", subject)


def judged(*findings: Finding, where: str = "here") -> Verification:
    return Verification(where, None, "generic", findings, ("CK301",))


def report(found: Verification) -> dict[str, Any]:
    return {
        "$schema": "ckpt-tools/findings.schema.json",
        "where": found.where,
        "findings": [{"fingerprint": mark} for mark in fingerprints(found.findings)],
    }


def test_of_equal_findings_one_more_is_new() -> None:
    old = parse_baseline(json.dumps(report(judged(*[finding("a")] * 2))).encode(), "old")
    three = apply_baseline(judged(*[finding("a")] * 3), old)
    assert (len(three.findings), len(three.suppressed)) == (1, 2)
    assert apply_baseline(judged(finding("a")), old).findings == ()
    assert apply_baseline(judged(finding("b")), old).findings == (finding("b"),)


def test_a_report_on_several_checkpoints_accepts_for_each_what_it_had() -> None:
    lines = [report(judged(finding("a"), where="a")), report(judged(finding("b"), where="b"))]
    old = parse_baseline("\n".join(map(json.dumps, lines)).encode(), "old")
    for where, known in (("a", 1), ("b", 0), ("c", 0)):
        assert len(apply_baseline(judged(finding("a"), where=where), old).suppressed) == known


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xff", "not UTF-8"),
        (b"[]", "holds a list"),
        (b"{}", r"its \"\$schema\" is none of"),
        (b'{"$schema": "ckpt-tools/diff.schema.json", "where": "a"}', "none of"),
        (b'{"$schema": "ckpt-tools/verdict.schema.json", "where": "a"}', "no fingerprints"),
        (
            b'{"$schema": "ckpt-tools/verdict.schema.json", "where": "a", "findings": [{}]}',
            "no fingerprints",
        ),
    ],
)
def test_another_file_is_one_line_of_trouble(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(content)
    with pytest.raises(BaselineInvalid, match=words):
        api.verify(FIXTURES / "normal", baseline=file)
    assert main(["gate", str(FIXTURES / "normal"), "--baseline", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ckpt: {file}: is not a report of verify or gate: ")
    assert error.count("\n") == 1
    assert "ckpt gate WHERE --format json > FILE" in error


def test_a_missing_file_is_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(FIXTURES / "normal"), "--baseline", "nothing.json"]) == 2
    assert "nothing.json: no such file" in capsys.readouterr().err
