"""New names by glob and by expression, and an expression that would never end."""

from __future__ import annotations

import time

import pytest

from ckpt_tools.edit import renaming
from ckpt_tools.edit.operations import RenameTensors
from ckpt_tools.edit.renaming import renamer, time_limit
from ckpt_tools.errors import PatternTooSlow, RecipeInvalid


@pytest.mark.parametrize(
    ("match", "to", "name", "expected"),
    [
        ("a.**", "b.**", "a.x.y", "b.x.y"),
        ("a.**", "**", "a.x.y", "x.y"),
        ("a.**", "b.**", "a", "b"),
        ("**.weight", "**.w", "a.b.weight", "a.b.w"),
        ("**.weight", "**.w", "weight", "w"),
        ("layers.*.**", "blocks.*.**", "layers.10.mlp.up", "blocks.10.mlp.up"),
        ("layers.*.attn", "h.*", "layers.3.attn", "h.3"),
        ("layers.?.x", "l?", "layers.7.x", "l7"),
        ("**", "p.**", "x", "p.x"),
        ("a.*", "b.*", "a.x.y", None),
        ("a.**", "b.**", "ab.x", None),
        ("a+b.(c)", "d", "a+b.(c)", "d"),
    ],
)
def test_wildcards_carry_over(match: str, to: str, name: str, expected: str | None) -> None:
    assert renamer(RenameTensors(match, to))(name) == expected


@pytest.mark.parametrize(
    ("match", "to", "name", "expected"),
    [
        (r"(\w+)\.(\d+)", r"\2.\1", "a.1", "1.a"),
        (r"(?P<stem>.*)_old", r"\g<stem>", "x_old", "x"),
        ("a", "b", "aa", None),
    ],
)
def test_an_expression_matches_the_whole_name(
    match: str, to: str, name: str, expected: str | None
) -> None:
    assert renamer(RenameTensors(match, to, regex=True))(name) == expected


@pytest.mark.parametrize(("match", "to"), [("(", "x"), ("a", r"\1"), ("a", r"\g<no>")])
def test_a_broken_expression_is_refused(match: str, to: str) -> None:
    with pytest.raises(RecipeInvalid, match="see the syntax of Python's re"):
        renamer(RenameTensors(match, to, regex=True))


def test_an_expression_that_explodes_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "SECONDS", 0.2)
    rename = renamer(RenameTensors("(a+)+b", "x", regex=True))
    with (
        pytest.raises(
            PatternTooSlow,
            match=r"\(a\+\)\+b: took more than 0\.2 seconds; nested quantifiers",
        ),
        time_limit("(a+)+b"),
    ):
        rename("a" * 60)
    time.sleep(0.3)  # the alarm is off again: it would end the test
