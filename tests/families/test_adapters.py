"""Regular expressions of adapter configs: the same answers as Python's, without its worst case."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.families.pattern import Unsupported, pattern

NAMES = (
    "model.layers.0.self_attn.q_proj",
    "model.layers.12.mlp.down_proj",
    "lm_head",
    "model.vlm_with_expert.lm_expert.layers.3.self_attn.v_proj",
    "a",
    "",
)
PIECES = (
    "q",
    "v_",
    r"\.",
    ".",
    ".*",
    ".+?",
    "[0-9]+",
    r"\d",
    r"\w*",
    "(a|b)",
    "(?:x|)",
    "[^.]",
    "o{2}",
    "?",
)


@pytest.mark.parametrize(
    "text",
    [
        r".*\.(q|v)_proj",
        r"model\.layers\.(0|1[0-9])\..*",
        r"^model\.(?:vlm_with_expert\.)?lm_expert\..*\.(q|k|v)_proj$",
        r".*self_attn\.[qv]_proj|lm_head",
        r"(.*\.)?(layers\.\d{1,2}\.mlp\.\w+)",
        r"[^.]+",
        "",
    ],
)
def test_it_matches_as_python_does(text: str) -> None:
    for name in NAMES:
        assert pattern(text)(name) == bool(re.fullmatch(text, name)), name


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.sampled_from(NAMES))
def test_it_matches_as_python_does_or_says_that_it_cannot(text: str, name: str) -> None:
    try:
        holds = pattern(text)
    except Unsupported:
        return
    assert holds(name) == bool(re.fullmatch(text, name))


def test_an_expression_that_takes_python_years_takes_no_time() -> None:
    assert not pattern("(a*)*(a|a)*b")("a" * 200)


@pytest.mark.parametrize(
    "text", ["(?=a)b", r"(a)\1", "(?i)a", "a{999}", "(a", "[a", "*a", r"\Z", "x" * 20_001]
)
def test_what_it_does_not_know_it_refuses(text: str) -> None:
    with pytest.raises(Unsupported):
        pattern(text)
