"""The verbs that list rules and explain one, the tool's own and those of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.api._paths import word, words
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.rules import plugins
from ckpt_tools.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable


def known_rules(
    prefixes: Iterable[str] = (), *, severity: str | None = None, family: str | None = None
) -> tuple[Rule, ...]:
    """Return every rule by code, the tool's own and those of plugins.

    Only those whose code begins with one of `prefixes`, or whose name is one, of the `severity`,
    and only for a family or kind of checkpoint with `family` in its name, where these are given.
    Raises UnknownSelection for a prefix of no rule, and if none is left.
    """
    every = plugins.every_rule()
    family = None if family is None else word(family)
    starts = words(prefixes) or ("",)
    for start in starts:
        if not any(_begins(rule, start) for rule in every):
            raise plugins.no_such_rule(start)
    found = tuple(
        rule
        for rule in every
        if any(_begins(rule, start) for start in starts)
        and severity in (None, rule.severity)
        and (family is None or any(family.lower() in one.lower() for one in _about(rule)))
    )
    if not found:
        about = ", ".join(sorted({name for rule in every for name in _about(rule)}))
        raise UnknownSelection(
            "no rule is selected",
            hint=f"omit --severity or --family; rules are about all checkpoints, or about: {about}",
        )
    return found


def _begins(rule: Rule, start: str) -> bool:
    """Whether a rule has the name `start`, or a code that begins so."""
    return rule.code.startswith(start.upper()) or rule.name == start.lower()


def selected(rules: Iterable[Rule | str] | None) -> tuple[Rule, ...]:
    """Return the rules that are given as records, or as codes or how they begin ("CK3").

    None are all but those of the supply chain. Raises UnknownSelection for what is no rule, and
    for a list without any.
    """
    if rules is None:
        return tuple(rule for rule in known_rules() if not rule.supply_chain)
    found: dict[str, Rule] = {}
    for one in words(rules) if isinstance(rules, str) else rules:
        if not isinstance(one, Rule | str):
            raise UnknownSelection(
                f"{one!r} is no rule",
                hint="give codes such as CK301, or what known_rules() returns",
            )
        for rule in known_rules((one,)) if isinstance(one, str) else (one,):
            found[rule.code] = rule
    if not found:
        raise UnknownSelection("no rule is selected", hint="omit --rules to check all rules")
    return tuple(found.values())


def _about(rule: Rule) -> tuple[str, ...]:
    """Return the families and kinds that a rule is only for."""
    return (*map(str, rule.families), *map(str, rule.kinds))


def explain(code: str) -> Rule:
    """Return the rule with the code or name `code`.

    Raises UnknownSelection with the closest one.
    """
    rule = plugins.rule_of(word(code))
    if rule is None:
        raise plugins.no_such_rule(code)
    return rule
