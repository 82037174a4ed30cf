"""The page of every rule: the fault as its title, and a bad and a good example."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Rule, Subject

EXAMPLE = re.compile(r"^(Bad|Good)(?: \([^\n]*\))?:\n\n((?:    [^\n]*\n)+)", re.MULTILINE)
INVALID_ON_PURPOSE = {*(one.code for one in PARSE_RULES), "CK812"}
each_rule = pytest.mark.parametrize("one", all_rules(), ids=lambda one: one.code)


@each_rule
def test_the_title_is_a_line_without_a_period(one: Rule) -> None:
    title, _, rest = one.page.partition("\n")
    assert re.fullmatch(r"\S.*[^.\s]", title)
    assert len(title) <= 80
    assert rest.startswith("\n")


@each_rule
def test_the_page_ends_with_a_bad_and_a_good_example(one: Rule) -> None:
    found = EXAMPLE.findall(one.page)
    assert [kind for kind, _ in found] == ["Bad", "Good"]
    assert found[0][1] != found[1][1]
    assert one.page.endswith(found[1][1])


@each_rule
def test_json_in_an_example_is_valid(one: Rule) -> None:
    for _, block in EXAMPLE.findall(one.page):
        if block.strip().startswith("{") and one.code not in INVALID_ON_PURPOSE:
            assert isinstance(json.loads(block), dict)


def test_a_decorated_function_is_a_rule_with_its_docstring_as_page() -> None:
    @rule(
        "ACME1",
        "acme",
        Severity.NOTE,
        needs=Need.CONFIG,
        fix="acme WHERE",
        safe=True,
        families=("act",),
    )
    def check(_subject: Subject) -> Iterator[Violation]:
        """Title.

        Why.

            example
        """
        yield Violation("found")

    assert check[:4] == ("ACME1", "acme", Severity.NOTE, frozenset({Need.CONFIG}))
    assert check.page == "Title\n\nWhy.\n\n    example\n"
    assert (check.fix, check.safe, check.families) == ("acme WHERE", True, frozenset({"act"}))
    several = rule("ACME2", "b", Severity.NOTE, needs=(Need.CONFIG, Need.FILES))(check.check)
    assert several.needs == {Need.CONFIG, Need.FILES}
