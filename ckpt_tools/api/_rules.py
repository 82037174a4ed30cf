"""The verbs that list rules and explain one, the tool's own and those of plugins."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ckpt_tools.errors import UnknownSelection
from ckpt_tools.rules import plugins
from ckpt_tools.rules.registry import all_rules

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Rule


def known_rules() -> tuple[Rule, ...]:
    """Return every rule by code, the tool's own and those of plugins."""
    return tuple(sorted((*all_rules(), *plugins.load().rules), key=lambda rule: rule.code))


def explain(code: str) -> Rule:
    """Return the rule with this code or name. Raises UnknownSelection with the closest one."""
    rule = plugins.rule_of(code)
    if rule is None:
        names = {name.lower(): name for rule in known_rules() for name in (rule.code, rule.name)}
        close = difflib.get_close_matches(code.lower(), names, n=1)
        guess = f" (did you mean {names[close[0]]}?)" if close else ""
        raise UnknownSelection(f"no such rule: {code}{guess}", hint="`ckpt rules` lists all rules")
    return rule
