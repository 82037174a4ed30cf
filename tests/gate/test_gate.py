"""What the gate decides: monotone, whatever the order; settings; nothing checked is no pass.

Every kind of folder ends in a verdict.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api, errors
from ckpt_tools.api._gate import gate
from ckpt_tools.cli.main import main
from ckpt_tools.gate.decide import STALE, decide
from ckpt_tools.gate.settings import read_settings, settings_of
from ckpt_tools.gate.verdict import Settings, Suppression
from ckpt_tools.rules.finding import Finding, Severity, Verification
from ckpt_tools.scan.folder import listing
from ckpt_tools.storage import schemas
from tests.support.cases import FIXTURES, NORMAL, added, both, changed
from tests.support.gated import NOTHING, carded, findings

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.sampled_from(("a", "b.json", "c/d.md"))
FINDINGS = st.builds(
    Finding,
    st.sampled_from(("CK301", "CK810", "CK811")),
    st.sampled_from(list(Severity)),
    WORDS,
    WORDS,
    WORDS,
)
SUPPRESSIONS = st.builds(
    Suppression,
    code=st.sampled_from(("CK301", "CK811")),
    reason=WORDS,
    path=st.sampled_from(("*", "*.json", "c/*")),
    subject=st.sampled_from(("*", "a")),
    expires=st.sampled_from(("", "2025-12-31", "2026-01-01")),
)
SETTINGS = st.builds(
    Settings,
    suppress=st.lists(SUPPRESSIONS, max_size=3).map(tuple),
    severity=st.dictionaries(
        st.sampled_from(("CK301", "CK811")), st.sampled_from(list(Severity)), max_size=2
    ),
    today=st.just("2026-01-01"),
)
HIDE = Suppression("CK811", "known", path="train_config.json", key="suppress[0]")


def verification(found: list[Finding], asked: tuple[str, ...] = ("CK301",)) -> Verification:
    return Verification("here", None, "generic", tuple(found), asked)


@given(st.lists(FINDINGS, max_size=6), FINDINGS, SETTINGS)
def test_one_more_finding_never_makes_a_refusal_a_pass(
    found: list[Finding], more: Finding, said: Settings
) -> None:
    before, after = (
        decide(verification(these), "generic", said) for these in (found, [*found, more])
    )
    assert before.passes or not after.passes
    assert set(before.refused) <= set(after.refused)


@given(st.lists(FINDINGS, max_size=6), SETTINGS, st.randoms())
def test_the_order_does_not_matter(found: list[Finding], said: Settings, random: Any) -> None:
    mixed, others = list(found), list(said.suppress)
    random.shuffle(mixed)
    random.shuffle(others)
    assert decide(verification(found), "generic", said) == decide(
        verification(mixed), "generic", said._replace(suppress=tuple(others))
    )


@given(st.lists(FINDINGS, max_size=6), SETTINGS)
def test_errors_and_warnings_refuse_and_notes_do_not(found: list[Finding], said: Settings) -> None:
    verdict = decide(verification(found), "generic", said)
    assert verdict.passes == all(
        finding.severity is Severity.NOTE for finding in verdict.verification.findings
    )
    assert len(verdict.verification.findings) + len(verdict.verification.suppressed) >= len(found)


def test_nothing_asked_is_not_a_pass() -> None:
    assert not decide(verification([], ()), "generic", NOTHING).passes


def test_a_suppression_hides_what_it_names_until_its_day_and_an_idle_one_is_told() -> None:
    found = [Finding("CK811", Severity.WARNING, "a path", "train_config.json")]
    settings = NOTHING._replace(suppress=(HIDE._replace(expires="2026-01-01"),))
    assert decide(verification(found), "generic", settings).passes
    assert (
        decide(verification(found), "generic", settings).verification.suppressed[0].reason
        == "known"
    )
    later = decide(verification(found), "generic", settings._replace(today="2026-01-02"))
    assert not later.passes
    assert any(
        finding.code == STALE and "expired on 2026-01-01, and hides nothing now" in finding.what
        for finding in later.verification.findings
    )
    idle = decide(verification([], asked=("CK811",)), "generic", settings)
    assert idle.passes
    assert [finding.what for finding in idle.verification.findings] == [
        "the suppression of CK811 matches nothing"
    ]


def test_of_a_suppression_whose_rule_was_not_asked_nothing_is_told() -> None:
    settings = NOTHING._replace(suppress=(HIDE,))
    assert (
        decide(verification([], asked=("CK301",)), "generic", settings).verification.findings == ()
    )


def test_verify_lives_with_what_the_settings_say_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    where = str(FIXTURES / "reflow")
    codes = {finding.code for finding in api.verify(where).findings}
    text = "".join(
        f'[[suppress]]\ncode = "{code}"\nreason = "it is what the fixture is for"\n'
        for code in sorted(codes)
    )
    (tmp_path / "ckpt.toml").write_text(text, encoding="utf-8")
    found = api.verify(where)
    assert found.findings == ()
    assert {one.finding.code for one in found.suppressed} == codes
    assert main(["verify", where]) == 0
    assert "it is what the fixture is for" in capsys.readouterr().out
    (tmp_path / "other.toml").write_text("", encoding="utf-8")
    assert main(["verify", where, "--settings", "other.toml"]) == 1


def test_a_normal_checkpoint_with_a_card_passes_and_settings_allow_and_lower(
    tmp_path: Path,
) -> None:
    folder = changed(
        tmp_path / "it", both(carded, added("a.onnx", b"\x08"), added("b.md", "/home/ada/x"))
    )
    assert {finding.code for finding in findings(folder)} == {"CK804", "CK811"}
    assert gate(
        str(folder), settings=Settings(allow=("*.ONNX",), severity={"CK811": Severity.NOTE})
    ).passes
    assert gate(str(changed(tmp_path / "other", carded)), settings=NOTHING).profile == "lerobot"


def test_a_missing_card_is_a_note_unless_the_settings_raise_it_and_a_wrong_one_fails(
    tmp_path: Path,
) -> None:
    verdict = gate(str(NORMAL), settings=NOTHING)
    assert verdict.passes
    assert [(one.code, one.severity) for one in verdict.verification.findings] == [
        ("CK813", Severity.NOTE)
    ]
    strict = NOTHING._replace(severity={"CK813": Severity.ERROR})
    assert [one.code for one in gate(str(NORMAL), settings=strict).refused] == ["CK813"]
    wrong = changed(tmp_path / "it", added("README.md", "# A policy\n"))
    assert [one.code for one in gate(str(wrong), settings=NOTHING).refused] == ["CK813"]


def test_an_orbax_folder_is_one_finding_and_its_secrets_are_others(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "0f").write_bytes(b"\x01\x02\x03" * 99)
    for name in ("_METADATA", "manifest.ocdbt"):
        (tmp_path / name).write_text("{}")
    assert [one.code for one in findings(tmp_path)] == ["CK816"]
    token = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3h"
    (tmp_path / "_METADATA").write_text(f'{{"token": "{token}"}}')
    assert [one.code for one in findings(tmp_path)] == ["CK810", "CK816"]


def test_settings_are_read_from_here_and_never_from_inside_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = changed(tmp_path / "it", both(carded, added("ckpt.toml", 'allow.files = ["*"]')))
    outside = tmp_path / "ckpt.toml"
    outside.write_text('allow.files = ["*.toml"]\n')
    monkeypatch.chdir(tmp_path)
    assert gate("it").passes
    monkeypatch.chdir(folder)
    assert [finding.code for finding in gate(".").refused] == ["CK804"]
    with pytest.raises(
        errors.SettingsInvalid,
        match="is inside the checkpoint that it would be applied to; move the settings outside",
    ):
        read_settings("ckpt.toml", ".")
    (tmp_path / "link.toml").symlink_to(folder / "ckpt.toml")
    with pytest.raises(errors.SettingsInvalid, match="inside"):
        read_settings(str(tmp_path / "link.toml"), str(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nprofile = x y\n", r"is not valid TOML: .*line 2"),
        (
            'profile = "x"',
            'profile: unknown profile "x"; expected lerobot, transformers or generic',
        ),
        (
            'supress = "x"',
            'unknown key "supress"; expected profile, suppress, severity, allow or require',
        ),
        ("allow.globs = []", 'allow: unknown key "globs"; expected files'),
        ('[[suppress]]\ncode = "CK811"', r"suppress\[0\]\.reason: is missing"),
        (
            '[[suppress]]\ncode = "CK999"\nreason = "x"',
            r"suppress\[0\]\.code: unknown rule \"CK999\"; list all rules: ckpt rules",
        ),
        ('[[suppress]]\ncode = "CK811"\nreason = " "', "is empty"),
        (
            '[[suppress]]\ncode = "CK811"\nreason = "x"\nexpires = "soon"',
            r"expires: \"soon\" is not a date; write it as 2027-01-31",
        ),
        (
            '[[suppress]]\ncode = "CK811"\nreason = "x"\npaths = "soon"',
            r"suppress\[0\]: unknown key \"paths\"; expected code, path, subject, reason or ",
        ),
        (
            'severity.CK811 = "off"',
            'severity.CK811: unknown severity "off"; expected error, warning or note',
        ),
        ("allow.files = 1", "allow.files: expected a list"),
        ("suppress = [1]", r"suppress\[0\]: expected a table"),
    ],
)
def test_settings_that_are_wrong_say_where_and_what_next(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "ckpt.toml"
    path.write_text(text)
    with pytest.raises(errors.SettingsInvalid, match=message) as caught:
        read_settings(str(path), str(NORMAL))
    assert str(path) in str(caught.value)
    assert caught.value.next


def test_good_settings_are_good_by_the_schema_too() -> None:
    suppress = '[[suppress]]\ncode = "personal-path"\nreason = "x"\nexpires = 2027-01-01\n'
    text = f'profile = "lerobot"\n{suppress}[severity]\nCK811 = "note"\n[allow]\nfiles = ["*.x"]\n'
    value = tomllib.loads(text)
    assert settings_of(value, "ckpt.toml").suppress == (
        Suppression("CK811", "x", expires="2027-01-01", key="suppress[0]"),
    )
    value["suppress"][0]["expires"] = dt.date(2027, 1, 1).isoformat()
    jsonschema.validate(value, schemas.load("settings"))


def test_the_exit_code_says_passed_refused_or_nothing_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed(tmp_path / "good", carded)
    (tmp_path / "empty").mkdir()
    assert main(["gate", "good"]) == 0
    assert main(["gate", str(NORMAL)]) == 0
    assert main(["gate", str(FIXTURES / "reflow")]) == 1
    assert main(["gate", "empty"]) == 3
    assert [one.what for one in gate("empty").refused] == ["the folder is empty"]
    with pytest.raises(errors.PathNotFound):
        gate("nowhere")
    with pytest.raises(errors.UnknownSelection, match="no such profile: 'x'; choose from lerobot"):
        gate("good", profile="x")


def test_verify_reads_leniently_what_the_safetensors_library_accepts_and_the_gate_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def indent(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        path.write_bytes((length + 1).to_bytes(8, "little") + b" " + data[8:])

    folder = str(changed(tmp_path / "it", both(carded, indent)))
    assert main(["verify", folder]) == 1
    assert "CK138" in capsys.readouterr().out
    assert main(["verify", folder, "--lenient"]) == main(["verify", str(NORMAL)]) == 0
    assert api.verify(folder, lenient=True, reference=folder).findings == ()
    assert "CK138" in {finding.code for finding in gate(folder, settings=NOTHING).refused}


@pytest.mark.parametrize("output_format", ["text", "json", "markdown", "junit", "sarif", "github"])
def test_every_format_tells_the_verdict(
    output_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", str(NORMAL), "--format", output_format]) == 0
    assert "CK813" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "codes"),
    [
        ("model.safetensors", b"\xff" * 9, {"CK102", "CK810"}),
        (
            "config.json",
            b'{"a": NaN, "token": "hf_aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYz"}',
            {"CK601", "CK810"},
        ),
        (
            "policy_preprocessor.json",
            b'{"steps": [{"state_file": "../x.safetensors"}]}',
            {"CK801", "CK809"},
        ),
    ],
)
def test_the_supply_chain_is_judged_where_the_checkpoint_cannot_be_read(
    name: str, content: bytes, codes: set[str], tmp_path: Path
) -> None:
    folder = changed(tmp_path / "it", both(carded, added(name, content), added("a.pt", "x")))
    found = {finding.code for finding in findings(folder)}
    assert found >= (codes - {"CK810"}) | {"CK802"}
    assert name != "config.json" or found >= codes


def test_a_file_that_cannot_be_read_is_reported_once_by_its_path_in_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = changed(tmp_path / "one", both(carded, added("config.json", b'{"a": NaN}')))
    assert [(one.code, one.path) for one in findings(damaged)] == [("CK601", "config.json")]
    short = changed(tmp_path / "two", both(carded, added("model.safetensors", b"\xff" * 99)))
    assert [(one.code, one.path) for one in findings(short)] == [("CK102", "model.safetensors")]
    for where in (short, short / "model.safetensors"):
        assert main(["gate", str(where), "--format", "github"]) == 1
        assert f"file={short}/model.safetensors," in capsys.readouterr().out
    assert [one.path for one in findings(short / "model.safetensors")] == ["model.safetensors"]


def test_a_folder_without_weights_is_judged_and_never_passes(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("text")
    verdict = gate(str(tmp_path), settings=NOTHING)
    assert [finding.code for finding in verdict.refused] == ["CK816"]
    assert any(skip.reason == "no readable checkpoint" for skip in verdict.verification.skipped)


def test_a_single_file_is_judged_alone(tmp_path: Path) -> None:
    shutil.copy(NORMAL / "model.safetensors", tmp_path)
    (tmp_path / "x.pt").write_bytes(b"\x80\x04K\x01.")
    assert "CK813" not in {finding.code for finding in findings(tmp_path / "model.safetensors")}
    assert {finding.code for finding in findings(tmp_path / "x.pt")} == {
        "CK802",
        "CK803",
        "CK804",
        "CK816",
    }


@pytest.mark.parametrize("name", ["pipe", "config.md", "model.safetensors", "sub/x.json"])
def test_a_pipe_is_told_and_never_waited_for(name: str, tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", carded)
    (folder / name).unlink(missing_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    os.mkfifo(folder / name)
    (folder / "link.md").symlink_to(name)
    assert "CK806" in {finding.code for finding in findings(folder)}


def test_ten_thousand_files_are_all_judged(tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", carded)
    (folder / "many").mkdir()
    for number in range(10_000):
        (folder / "many" / f"{number}.{'py' if number == 7_777 else 'json'}").write_text(
            json.dumps({"number": number})
        )
    assert len(listing(str(folder))) == 10_000 + len(list(folder.iterdir()))
    assert {(finding.code, finding.path) for finding in findings(folder)} == {
        ("CK804", "many/7777.py"),
        ("CK808", "many/7777.py"),
    }


def test_depth_is_no_matter_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", both(carded, added("/".join(["d"] * 800) + "/x.py", "")))
    (folder / "gone.md").symlink_to("nothing")
    found = {(finding.code, finding.what) for finding in findings(folder)}
    assert ("CK808", "is code") in found
    assert ("CK810", "was not scanned for secrets: the link leads nowhere") in found


def test_a_checkpoint_further_down_does_not_stand_for_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "run" / "checkpoints" / "000010" / "pretrained_model"
    inner.parent.mkdir(parents=True)
    changed(inner, carded)
    assert gate(str(inner), settings=NOTHING).passes
    (tmp_path / "run" / ".env").write_text("A=1")
    (tmp_path / "run" / "ckpt.toml").write_text(
        '[[suppress]]\ncode = "CK816"\nreason = "so it passes"\n'
    )
    monkeypatch.chdir(tmp_path / "run")
    for where in (".", str(tmp_path / "run")):
        verdict = gate(where)
        assert not verdict.passes
        assert verdict.verification.suppressed == (), (
            "a ckpt.toml inside what is judged is not obeyed"
        )
        assert (
            f"name the folder that you upload: {where if where != '.' else './checkpoints'}"
            in next(finding.next for finding in verdict.refused if finding.code == "CK816")
        )
        assert any(finding.path == ".env" for finding in verdict.refused)


@pytest.mark.parametrize("kind", ["run", "cache"])
def test_a_run_or_a_cache_around_a_checkpoint_is_one_finding(tmp_path: Path, kind: str) -> None:
    top = tmp_path / "top"
    if kind == "run":
        changed(top / "checkpoints" / "000010" / "pretrained_model", carded)
        (top / "checkpoints" / "last").symlink_to("000010")
    else:
        changed(top / "blobs", carded)
        (top / "refs").mkdir()
        (top / "refs" / "main").write_text("abc")
        (top / "snapshots" / "abc").mkdir(parents=True)
        for place, path in enumerate(sorted((top / "blobs").iterdir())):
            blob = path.rename(path.with_name(f"{place:040x}"))
            (top / "snapshots" / "abc" / path.name).symlink_to(f"../../blobs/{blob.name}")
    assert [finding.code for finding in findings(top)] == ["CK816"]


def test_an_index_is_judged_with_its_shards(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    shutil.copytree(FIXTURES / "sharded", folder)
    shard = folder / "model-00002-of-00003.safetensors"
    size = int.from_bytes(shard.read_bytes()[:8], "little")
    text, payload = json.loads(shard.read_bytes()[8 : 8 + size]), shard.read_bytes()[8 + size :]
    text["__metadata__"] = {"token": "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3h"}
    encoded = json.dumps(text).encode()
    shard.write_bytes(len(encoded).to_bytes(8, "little") + encoded + payload)
    verdict = gate(str(folder / "model.safetensors.index.json"), settings=NOTHING)
    assert (shard.name, "CK810") in {(finding.path, finding.code) for finding in verdict.refused}


def test_numbers_are_read_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        path.write_bytes(data[:start] + b"\xff" * (len(data) - start))

    folder = str(changed(tmp_path / "it", both(carded, spoil)))
    assert "CK401" in {finding.code for finding in gate(folder, settings=NOTHING).refused}
    assert gate(folder, settings=NOTHING, values=False).passes


def test_what_is_wrong_with_the_reference_is_trouble_and_no_finding(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.NotACheckpoint, match="empty"):
        gate(
            str(changed(tmp_path / "it", carded)),
            settings=NOTHING,
            reference=str(tmp_path / "empty"),
        )


@pytest.mark.parametrize("target", ["lerobot=0.4", "lerobot==9", "smolvla"])
def test_a_release_that_nobody_knows_is_trouble(target: str) -> None:
    with pytest.raises(errors.UnknownSelection, match=r"use one of lerobot, lerobot==0\.4"):
        api.verify(str(NORMAL), target=target)
