"""The command of a finding can be pasted into a shell, for any names in the checkpoint."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint
from ckpt_tools.families.family import GENERIC
from ckpt_tools.report.formats.text import render
from ckpt_tools.report.pages.verdict import page
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.remedy import Remedy, addressed
from ckpt_tools.rules.rule import Rule, Subject, Violation
from tests.support.cases import FIXTURES, added, both, changed, config, make, tensors
from tests.support.gated import findings
from tests.support.shells import split

if TYPE_CHECKING:
    from pathlib import Path


def as_path(where: str) -> str:
    return f"./{where}" if where.startswith("-") else where


def on_disk(where: str, root: str = "", reference: str = "") -> Subject:
    return Subject(
        Checkpoint(where, root or where, ()),
        GENERIC,
        reference=Checkpoint(reference, reference, ()) if reference else None,
    )


SANITIZE = Remedy(("ckpt", "sanitize", "WHERE", "--reference", "NORMAL"))


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_a_checkpoint_of_any_name_is_one_word_of_the_command(word: str) -> None:
    done = addressed(SANITIZE, on_disk(word, reference="a b"))
    assert done.argv == ("ckpt", "sanitize", as_path(word), "--reference", "a b")
    assert tuple(split(str(done))) == done.argv


@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1),
)
def test_a_file_in_the_checkpoint_is_one_word_of_the_command(folder: str, name: str) -> None:
    remedy = Remedy(("ckpt", "config", f"WHERE/{name}", "unset", "/WHERE x"))
    assert split(str(addressed(remedy, on_disk("x", folder)))) == [
        "ckpt",
        "config",
        f"{as_path(folder).rstrip('/')}/{name}",
        "unset",
        "/WHERE x",
    ]


def test_a_sentence_around_a_command_keeps_its_words() -> None:
    remedy = Remedy(("ckpt", "strip", "WHERE", "a {} b"), "{} removes them, {} and WHERE stay")
    assert str(addressed(remedy, on_disk("x"))) == (
        "ckpt strip x 'a {} b' removes them, {} and WHERE stay"
    )
    assert str(addressed(Remedy(text="remove WHERE and {}"), on_disk("x"))) == "remove WHERE and {}"
    assert str(Remedy()) == ""


def test_a_command_for_a_checkpoint_on_the_hub_begins_with_its_download() -> None:
    afar = on_disk("hf://me/policy@v1", f"hf://me/policy@{'0' * 40}")
    fetch = "hf download me/policy --revision v1 --local-dir policy"
    keyed = Remedy(("ckpt", "config", "WHERE/a.json", "unset", "k"), "remove the key: {}")
    assert str(addressed(keyed, afar)) == (
        f"remove the key: {fetch} && ckpt config policy/a.json unset k"
    )
    assert (
        str(addressed(Remedy(("ckpt", "strip", "WHERE")), afar)) == f"{fetch} && ckpt strip policy"
    )
    fixed = Remedy(("ckpt", "strip", "x"), "or remove it: {}")
    assert addressed(fixed, afar) == fixed


def test_a_folder_that_is_called_like_an_option_is_named_as_a_folder() -> None:
    done = addressed(SANITIZE, on_disk("-r", reference="--x"))
    assert str(done) == "ckpt sanitize ./-r --reference ./--x"


def test_only_the_first_word_of_a_kind_is_replaced() -> None:
    remedy = Remedy(("ckpt", "config", "WHERE", "unset", "WHERE"), safe=True)
    assert addressed(remedy, on_disk("x")) == remedy._replace(
        argv=("ckpt", "config", "x", "unset", "WHERE")
    )
    assert addressed(SANITIZE, on_disk("x")).argv[-1] == "NORMAL"


def test_a_fix_that_is_a_sentence_with_an_apostrophe_is_shown_as_it_is() -> None:
    rule = Rule(
        code="ACME1",
        name="acme",
        severity=Severity.NOTE,
        needs=frozenset(),
        check=lambda _: iter([Violation("is odd")]),
        page="Odd.",
        fix="don't load WHERE",
    )
    (finding,), *_ = check_rules([rule], on_disk("x"))
    assert finding.remedy == Remedy(text="don't load WHERE")


def pasted(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    line = command[command.index("ckpt ") :].replace(
        "ckpt", f"{shlex.quote(sys.executable)} -m ckpt_tools", 1
    )
    return subprocess.run(["sh", "-c", line], cwd=home, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "it's; touch pwned.json", "sub/a b.json"]
)
def test_the_command_for_a_key_that_names_code_removes_it(name: str, tmp_path: Path) -> None:
    folder = changed(
        tmp_path / "my policy",
        both(
            added(name, '{"a": 1, "b/c d": {"auto_map": {"AutoModel": "m.M"}}}'),
            added("modules.json", '[{"type": "evil.M"}]'),
        ),
    )
    commands = [finding.next for finding in findings(folder) if finding.code == "CK808"]
    assert len(commands) == 2
    for command in commands:
        done = pasted(command, tmp_path)
        assert done.returncode == 0, done.stderr
    assert json.loads((folder / name).read_text()) == {"a": 1, "b/c d": {}}
    assert [path.name for path in tmp_path.iterdir()] == ["my policy"]
    assert "CK808" not in {finding.code for finding in findings(folder)}


def test_the_command_for_unexpected_tensors_removes_only_them(tmp_path: Path) -> None:
    extra = {
        name: make.Blob(Dtype.F32, (2,), bytes(8))
        for name in ("guide.a.weight", "guide.b", "model.odd.weight", "model.od[d", "a b")
    }
    folder = changed(tmp_path / "my policy", tensors(lambda held: held | extra))
    before = {tensor.name for tensor in api.read(str(folder)).tensors}
    for _ in range(4):
        commands = [
            finding.next for finding in api.verify(str(folder)).findings if finding.code == "CK306"
        ]
        if commands:
            done = pasted(f"{commands[0]} --in-place", tmp_path)
            assert done.returncode == 0, (commands[0], done.stderr)
    assert before - {tensor.name for tensor in api.read(str(folder)).tensors} == set(extra)
    assert api.verify(str(folder)).clean


@pytest.mark.parametrize(
    "key",
    ["colour", "a.b", "a/b~c", "$(touch pwned)", "it's; touch pwned", "--help", "`touch pwned`"],
)
def test_the_command_for_an_unknown_field_removes_only_that_field(key: str, tmp_path: Path) -> None:
    folder = changed(tmp_path / "my policy", config(**{key: 1}))
    (command,) = [
        finding.next for finding in api.verify(str(folder)).findings if finding.code == "CK704"
    ]
    assert command.startswith("ckpt config ")
    done = subprocess.run(
        ["sh", "-c", command.replace("ckpt", f"{shlex.quote(sys.executable)} -m ckpt_tools", 1)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert key not in json.loads((folder / "config.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["my policy"]
    assert api.verify(str(folder)).clean


def test_the_commands_for_a_reflow_checkpoint_are_known_commands(tmp_path: Path) -> None:
    folder = tmp_path / "my reflow"
    shutil.copytree(FIXTURES / "reflow", folder)
    commands = {
        finding.next
        for finding in api.verify(str(folder)).findings
        if finding.next.startswith("ckpt ")
    }
    repair = ["ckpt", "sanitize", str(folder), "--reference", "NORMAL"]
    assert any(shlex.split(command) == repair for command in commands)
    assert not any(re.search(r"\bWHERE\b", command) for command in commands)


def test_what_sanitize_repairs_is_repaired_by_one_command(tmp_path: Path) -> None:
    run = tmp_path / "run" / "checkpoints" / "000200"
    shutil.copytree(FIXTURES / "reflow", run / "pretrained_model")
    where = f"{tmp_path}/run"
    found = api.verify(where)
    (command,) = {
        one.remedy.argv for one in found.findings if one.remedy.argv[1:2] == ("sanitize",)
    }
    assert command == ("ckpt", "sanitize", f"{run}/pretrained_model", "--reference", "NORMAL")
    text = render(page(found))
    assert f"{run}/pretrained_model: 4 errors, " in text
    assert "in these commands, NORMAL is a checkpoint of the same base" in text
    known = api.verify(where, reference=FIXTURES / "normal")
    (command,) = {
        one.remedy.argv for one in known.findings if one.remedy.argv[1:2] == ("sanitize",)
    }
    assert command[3:] == ("--reference", str(FIXTURES / "normal"))
    assert "in these commands" not in render(page(known))
