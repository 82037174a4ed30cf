"""Suggested commands are one printable line, which a shell reads as the words that are meant."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import shell
from tests.support.shells import split

NAMES = st.binary(min_size=1).map(os.fsdecode).filter(lambda name: "\0" not in name)


@given(NAMES)
def test_any_name_of_a_file_is_one_printable_word(name: str) -> None:
    command = shell.join(("ckpt", name))
    assert command.isprintable()
    assert split(command) == ["ckpt", name]


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("plain", "plain"),
        ("a b", "'a b'"),
        ("größe", "'größe'"),
        ("a\nb1", r"$'a\012b1'"),
        ("num\udcff", r"$'num\377'"),
        ("it's\t\\", r"$'it\'s\011\\'"),
        ("cut\0off\n", "'cut\0off\n'"),
        ("half\ud800", "'half\ud800'"),
    ],
)
def test_only_a_word_that_a_terminal_cannot_show_is_escaped(word: str, quoted: str) -> None:
    assert shell.quote(word) == quoted
