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
from ckpt_tools.families.family import GENERIC
from ckpt_tools.records.checkpoint import Checkpoint
from ckpt_tools.rules.commands import pasteable, quoted
from ckpt_tools.rules.rule import Subject
from tests.rules.cases import FIXTURES, changed, config

if TYPE_CHECKING:
    from pathlib import Path


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_any_word_is_one_word_for_a_shell(word: str) -> None:
    assert shlex.split(quoted(word)) == [word]
    done = pasteable("ckpt sanitize WHERE --reference NORMAL", Subject(Checkpoint(word, word, ()), GENERIC, reference=Checkpoint("a b", "a b", ())))
    assert shlex.split(done) == ["ckpt", "sanitize", word, "--reference", "a b"]


def test_words_that_only_look_like_places_stay() -> None:
    subject = Subject(Checkpoint("here", "here", ()), GENERIC)
    assert pasteable("NORMAL is written, see WHEREVER, or ckpt sanitize WHERE --reference NORMAL", subject) == (
        "NORMAL is written, see WHEREVER, or ckpt sanitize here --reference NORMAL"
    )


@pytest.mark.parametrize("key", ["colour", "a.b", "a/b~c", "$(touch pwned)", "it's; touch pwned", "--help", "`touch pwned`"])
def test_the_command_for_an_unknown_field_removes_it_and_nothing_else_happens(key: str, tmp_path: Path) -> None:
    folder = changed(tmp_path / "my policy", config(**{key: 1}))
    (command,) = [finding.next for finding in api.verify(str(folder)).findings if finding.code == "CK704"]
    assert command.startswith("ckpt config ")
    done = subprocess.run(
        ["sh", "-c", command.replace("ckpt", f"{shlex.quote(sys.executable)} -m ckpt_tools", 1)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert key not in json.loads((folder / "config.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["my policy"]
    assert api.verify(str(folder)).clean


def test_the_commands_for_a_reflow_checkpoint_are_known_commands(tmp_path: Path) -> None:
    folder = tmp_path / "my reflow"
    shutil.copytree(FIXTURES / "reflow", folder)
    commands = {finding.next for finding in api.verify(str(folder)).findings if finding.next.startswith("ckpt ")}
    assert any(shlex.split(command) == ["ckpt", "sanitize", str(folder)] for command in commands)
    assert not any(re.search(r"\bWHERE\b", command) for command in commands)
