"""The table of rules.

A code is permanent: it is never given to another rule, and a rule never gets another.

CK1xx container, CK2xx shards, CK3xx names, dtypes and shapes, CK4xx values, CK5xx against a
reference, CK6xx metadata, CK7xx policy checkpoint, CK8xx supply chain, CK90x and CK91x adapters,
CK92x quantized models, CK94x transformers config, CK95x pipelines. Other distributions bring rules
too (`plugins` finds them), under codes that do not start with CK and a digit.
"""

from __future__ import annotations

import re
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from ckpt_tools.rules import checks
from ckpt_tools.rules.coverage import Covered
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.rules.rule import Subject

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""The form of a rule's name."""

_CODE = re.compile(r"[A-Z]{2,}[0-9]+")
_OWN = re.compile(r"CK[0-9]")


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    topics = (module for module in vars(checks).values() if isinstance(module, ModuleType))
    own = (value for module in topics for value in vars(module).values() if isinstance(value, Rule))
    rules = (*PARSE_RULES, *own)
    return tuple(sorted(rules, key=lambda rule: rule.code))


def rule_of(code: str, rules: Iterable[Rule] | None = None) -> Rule | None:
    """Return the rule of that code or name, by default of the tool's own, None if there is none."""
    among = all_rules() if rules is None else rules
    return next(
        (one for one in among if code.upper() == one.code or code.lower() == one.name), None
    )


def objection(rule: object, taken: Iterable[Rule]) -> str:
    """Return why a plugin's object cannot be a rule besides those `taken`, "" where it can."""
    if not isinstance(rule, Rule):
        return f"is {type(rule).__name__}, expected a Rule"
    code, name = str(rule.code), str(rule.name)
    if not _CODE.fullmatch(code):
        return f"the code {code!r} is not capital letters and a number, such as ACME101"
    if _OWN.match(code):
        return f"the code {code} starts with CK and a number, which is reserved for the tool"
    if not NAME.fullmatch(name):
        return f"the name {name!r} of {code} is not lower case with hyphens"
    if any(code == other.code or name == other.name for other in taken):
        return f"{code} {name} has the code or the name of another rule"
    fields: tuple[object, ...] = rule
    severity, needs, check, page = fields[2:6]
    is_complete = (
        isinstance(severity, Severity)
        and isinstance(needs, frozenset)
        and all(isinstance(need, Need) for need in needs)
        and callable(check)
        and isinstance(page, str)
        and page.strip()
    )
    return "" if is_complete else f"{code} {name} lacks a severity, its needs, a check or a page"


def guarded(rule: Rule, origin: str, warn: Callable[[str], None]) -> Rule:
    """Return a plugin's rule whose failure is a finding, because it did not pass."""

    def check(subject: Subject) -> Iterator[Violation | Covered]:
        try:
            yield from tuple(
                one if isinstance(one, Covered) else Violation(*one) for one in rule.check(subject)
            )
        except Exception as error:  # noqa: BLE001 - whatever the plugin's code raises
            what = f"the rule failed: {type(error).__name__}: {error}"
            remedy = f"report it to the maintainers of {origin}, or uninstall it"
            warn(f"{origin}: {rule.code} {rule.name}: {what}")
            yield Violation(what, next=remedy, severity=Severity.WARNING)

    return rule._replace(check=check)
