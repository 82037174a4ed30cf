"""What a finding says to do next can be pasted into a shell, whatever the checkpoint and its author's names are."""

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
from ckpt_tools.rules.remedy import inside, pasteable, quoted
from ckpt_tools.rules.rule import Subject
from tests.support.cases import FIXTURES, added, both, changed, config, make, tensors
from tests.support.gated import findings

if TYPE_CHECKING:
    from pathlib import Path


def as_path(where: str) -> str:
    return f"./{where}" if where.startswith("-") else where


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_any_word_is_one_word_for_a_shell(word: str) -> None:
    assert shlex.split(quoted(word)) == [word]
    done = pasteable(
        "ckpt sanitize WHERE --reference NORMAL",
        Subject(Checkpoint(word, word, ()), GENERIC, reference=Checkpoint("a b", "a b", ())),
    )
    assert shlex.split(done) == ["ckpt", "sanitize", as_path(word), "--reference", "a b"]


@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1),
)
def test_a_file_inside_is_one_word_for_a_shell(folder: str, name: str) -> None:
    done = pasteable(
        f"ckpt config {inside(name)} unset {quoted('/WHERE x')}",
        Subject(Checkpoint("x", folder, ()), GENERIC),
    )
    assert shlex.split(done) == [
        "ckpt",
        "config",
        f"{as_path(folder).rstrip('/')}/{name}",
        "unset",
        "/WHERE x",
    ]


def test_also_a_command_after_words_begins_with_the_download_of_what_is_on_the_hub() -> None:
    afar = Subject(Checkpoint("hf://me/policy@v1", f"hf://me/policy@{'0' * 40}", ()), GENERIC)
    fetch = "hf download me/policy --revision v1 --local-dir policy"
    assert (
        pasteable(f"remove the key: ckpt config {inside('a.json')} unset k", afar)
        == f"remove the key: {fetch} && ckpt config policy/a.json unset k"
    )
    assert (
        pasteable("ckpt rename WHERE A B, or ckpt sanitize WHERE", afar)
        == f"{fetch} && ckpt rename policy A B, or ckpt sanitize policy"
    )
    assert (
        pasteable("leave it out, or take it out: ckpt strip", afar)
        == "leave it out, or take it out: ckpt strip"
    )


def test_a_folder_that_is_called_like_an_option_is_named_as_a_folder() -> None:
    done = pasteable(
        "ckpt sanitize WHERE --reference NORMAL",
        Subject(Checkpoint("-r", "-r", ()), GENERIC, reference=Checkpoint("--x", "--x", ())),
    )
    assert done == "ckpt sanitize ./-r --reference ./--x"


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


def test_the_command_for_unexpected_tensors_leaves_them_out_and_no_others(tmp_path: Path) -> None:
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


def test_words_that_only_look_like_places_stay() -> None:
    subject = Subject(Checkpoint("here", "here", ()), GENERIC)
    assert pasteable(
        "NORMAL is written, see WHEREVER, or ckpt sanitize WHERE --reference NORMAL", subject
    ) == ("NORMAL is written, see WHEREVER, or ckpt sanitize here --reference NORMAL")


@pytest.mark.parametrize(
    "key",
    ["colour", "a.b", "a/b~c", "$(touch pwned)", "it's; touch pwned", "--help", "`touch pwned`"],
)
def test_the_command_for_an_unknown_field_removes_it_and_nothing_else_happens(
    key: str, tmp_path: Path
) -> None:
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
    assert any(shlex.split(command) == ["ckpt", "sanitize", str(folder)] for command in commands)
    assert not any(re.search(r"\bWHERE\b", command) for command in commands)
