"""The table of rules. A code is permanent: it is never given to another rule, and a rule never gets another.

CK1xx container, CK2xx shards, CK3xx names, dtypes and shapes, CK4xx values, CK5xx against a baseline, CK6xx metadata, CK7xx policy checkpoint, CK8xx supply
chain. A rule is a module `checks/ckNNN_name.py` with a RULE; its docstring is its page.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from ckpt_tools.rules import checks
from ckpt_tools.rules.unreadable import UNREADABLE

if TYPE_CHECKING:
    from ckpt_tools.rules.rule import Rule


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    names = (module.name for module in pkgutil.iter_modules(checks.__path__) if module.name.startswith("ck"))
    own = tuple(importlib.import_module(f"{checks.__name__}.{name}").RULE for name in names)
    return tuple(sorted((*own, *UNREADABLE), key=lambda rule: rule.code))


def rule_of(code: str) -> Rule | None:
    """Return the rule of that code or name, None if there is none."""
    return next((rule for rule in all_rules() if code.upper() == rule.code or code.lower() == rule.name), None)
