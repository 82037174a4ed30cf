"""The table of rules.

A code is permanent: it is never given to another rule, and a rule never gets another.

CK1xx container, CK2xx shards, CK3xx names, dtypes and shapes, CK4xx values, CK5xx against a
baseline, CK6xx metadata, CK7xx policy checkpoint, CK8xx supply chain. A rule is a module
`checks/ckNNN_name.py` with a RULE; its docstring is its page. Other distributions bring rules too
(`store.plugins` finds them); their codes are theirs to choose, but for CK and a digit.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from typing import TYPE_CHECKING

from ckpt_tools.rules import checks
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.rules.rule import Subject

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What a rule may be called."""

_CODE = re.compile(r"[A-Z]{2,}[0-9]+")
_OWN = re.compile(r"CK[0-9]")


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    names = (
        module.name
        for module in pkgutil.iter_modules(checks.__path__)
        if module.name.startswith("ck")
    )
    own = tuple(importlib.import_module(f"{checks.__name__}.{name}").RULE for name in names)
    return tuple(sorted((*own, *PARSE_RULES), key=lambda rule: rule.code))


def rule_of(code: str) -> Rule | None:
    """Return the rule of that code or name, None if there is none."""
    return next(
        (rule for rule in all_rules() if code.upper() == rule.code or code.lower() == rule.name),
        None,
    )


def objection(rule: object, taken: Iterable[Rule]) -> str:
    """Return why what another distribution brings cannot be a rule beside those `taken`, "" where it can."""
    if not isinstance(rule, Rule):
        return f"holds {type(rule).__name__} where a Rule is due"
    # Nobody has checked a stranger's types.
    code, name = str(rule.code), str(rule.name)
    if not _CODE.fullmatch(code):
        return f"the code {code!r} is not capital letters and a number, such as ACME101"
    if _OWN.match(code):
        return f"the code {code} starts with CK and a number, which are the tool's own"
    if not NAME.fullmatch(name):
        return f"the name {name!r} of {code} is not lower case with hyphens"
    if any(code == other.code or name == other.name for other in taken):
        return f"{code} {name} has the code or the name of another rule"
    return (
        ""
        if _is_whole(*rule[2:6])
        else f"{code} {name} lacks a severity, what it needs, a check or a page"
    )


def _is_whole(severity: object, needs: object, check: object, page: object) -> bool:
    looks = isinstance(needs, frozenset) and all(isinstance(need, Need) for need in needs)
    return (
        isinstance(severity, Severity)
        and looks
        and callable(check)
        and isinstance(page, str)
        and bool(page.strip())
    )


def guarded(rule: Rule, origin: str, warn: Callable[[str], None]) -> Rule:
    """Return a rule of the distribution `origin` whose failure is a finding, not a crash.

    A rule that could not look has not passed.
    """

    def check(subject: Subject) -> Iterator[Violation]:
        try:
            found = tuple(Violation(*one) for one in rule.check(subject))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            what = f"the rule failed: {type(error).__name__}: {error}"
            warn(f"{origin}: {rule.code} {rule.name}: {what}")
            found = (
                Violation(
                    what,
                    next=f"tell who makes {origin}, or uninstall it",
                    severity=Severity.WARNING,
                ),
            )
        yield from found

    return rule._replace(check=check)
