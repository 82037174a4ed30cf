"""The rules' pages in `docs/rules/` are generated from the rules, and codes are permanent.

After a rule was added or its page changed:

    CKPT_GOLDEN=write .venv/bin/pytest tests/project/test_rule_pages.py      (then read the
    difference in git before you commit it)

That writes the pages, and appends new codes to `tests/data/codes.txt`. Nothing ever removes a line
from that list or changes one.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.report.pages.rules import first_sentence, index_markdown, rule_markdown
from ckpt_tools.rules.registry import NAME, all_rules

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Rule

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "rules"
CODES = ROOT / "tests" / "data" / "codes.txt"
WRITE = os.environ.get("CKPT_GOLDEN") == "write"
RULES = all_rules()
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


@cache
def pages() -> dict[str, str]:
    """Every page of `docs/rules/` by its name."""
    return {
        "README.md": index_markdown(RULES),
        **{f"{rule.code}.md": rule_markdown(rule) for rule in RULES},
    }


def test_the_pages_are_those_of_the_rules() -> None:
    """To accept new ones: make golden, and read the difference."""
    PAGES.mkdir(exist_ok=True)
    if WRITE:
        for path in PAGES.iterdir():
            path.unlink()
        for name, page in pages().items():
            (PAGES / name).write_text(page, encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in PAGES.iterdir()} == pages()


def test_a_code_is_permanent() -> None:
    now = {rule.code: rule.name for rule in RULES}
    listed = [line.split() for line in CODES.read_text(encoding="utf-8").splitlines()]
    assert len({code for code, _ in listed}) == len(listed)
    changed = {code: name for code, name in listed if now.get(code) != name}
    assert changed == {}, "a code vanished, or was given to another rule"
    new = {code: name for code, name in now.items() if [code, name] not in listed}
    if WRITE:
        with CODES.open("a", encoding="utf-8") as file:
            file.writelines(f"{code} {name}\n" for code, name in sorted(new.items()))
    else:
        assert new == {}, "new rules are appended to the list by CKPT_GOLDEN=write"


def test_codes_and_names_are_unique() -> None:
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)


@each_rule
def test_a_code_and_a_name_look_like_one(rule: Rule) -> None:
    assert re.fullmatch(r"CK[1-9][0-9]{2}", rule.code)
    assert NAME.fullmatch(rule.name)


@each_rule
def test_a_page_starts_with_a_title(rule: Rule) -> None:
    assert re.fullmatch(r"\S.*", first_sentence(rule)), "the first line of the page is its title"
    assert "\n\n" in rule.page.strip(), "the rest explains why it matters"
