"""Rules and families of other distributions, found by entry points when something is verified.

    [project.entry-points."ckpt_tools.rules"]
    acme = "acme_rules:RULES"          (a Rule, or several)

    [project.entry-points."ckpt_tools.families"]
    acme = "acme_rules:FAMILY"         (a Family)

A plugin that fails to load is reported and skipped; a rule that raises is reported as a warning,
because it did not pass.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import UnknownSelection
from ckpt_tools.families.family import GENERIC, Family
from ckpt_tools.rules import registry
from ckpt_tools.rules.registry import all_rules, guarded, objection
from ckpt_tools.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

RULES = "ckpt_tools.rules"
FAMILIES = "ckpt_tools.families"

_CODE = re.compile(r"CK[0-9]*")
_LONGEST = 80
"""Characters of a code or a name that may be a misspelled one."""


class Plugins(NamedTuple):
    """The rules and families of other distributions."""

    rules: tuple[Rule, ...]
    families: tuple[Family, ...]


@cache
def load() -> Plugins:
    """Load what every installed distribution brings, with a warning for what is broken."""
    return Plugins(tuple(sorted(_rules(), key=lambda rule: rule.code)), tuple(_families()))


def are_there() -> bool:
    """Whether any other distribution brings rules or families."""
    return any(load())


def _rules() -> Iterator[Rule]:
    taken = list(all_rules())
    for origin, loaded in _loaded(RULES):
        rules: Iterable[object] = (loaded,)
        if isinstance(loaded, Iterable) and not isinstance(loaded, Rule):
            rules = loaded
        for rule in rules:
            problem = objection(rule, taken)
            if problem or not isinstance(rule, Rule):
                warn(f"{origin}: {problem}; it is skipped")
            else:
                taken.append(rule)
                yield guarded(rule, origin, warn)


def _families() -> Iterator[Family]:
    for origin, loaded in _loaded(FAMILIES):
        if isinstance(loaded, Family):
            yield _guarded(loaded, origin)
        else:
            warn(f"{origin}: is {type(loaded).__name__}, expected a Family; it is skipped")


def _guarded(family: Family, origin: str) -> Family:
    """Return a family whose functions are reported and replaced by generic ones once they fail."""
    functions = {
        field: _Guarded(family, field, origin)
        for field in family._fields
        if callable(getattr(family, field))
    }
    return family._replace(**functions)  # type: ignore[arg-type]  # of the fields' own types


class _Guarded:
    """One function of a family of another distribution, called until it fails once."""

    def __init__(self, family: Family, field: str, origin: str) -> None:
        self._function = getattr(family, field)
        self._fallback = (lambda _: False) if field == "recognises" else getattr(GENERIC, field)
        self._name = f"{origin}: `{field}` of the family {family.name}"

    def __call__(self, *arguments: object) -> object:
        try:
            return self._function(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever the plugin's code raises
            warn(f"{self._name} failed: {type(error).__name__}: {error}; it is skipped")
            self._function = self._fallback
            return self._fallback(*arguments)


def _loaded(group: str) -> Iterator[tuple[str, object]]:
    """Yield (distribution, object of its entry point), by name."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - imports an email parser

    for entry in sorted(entry_points(group=group), key=lambda entry: (_origin(entry), entry.name)):
        try:
            yield _origin(entry), entry.load()
        except Exception as error:  # noqa: BLE001 - whatever the plugin's import raises
            warn(
                f"{_origin(entry)}: its {entry.name} ({group}) cannot be loaded: "
                f"{type(error).__name__}: {error}; it is skipped"
            )


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def rule_of(code: str) -> Rule | None:
    """Return the rule of that code or name, the tool's own or a plugin's, None if there is none."""
    return registry.rule_of(code) or registry.rule_of(code, load().rules)


def every_rule() -> tuple[Rule, ...]:
    """Return every rule by code, the tool's own and those of plugins."""
    return tuple(sorted((*registry.all_rules(), *load().rules), key=lambda rule: rule.code))


def no_such_rule(code: str) -> UnknownSelection:
    """Return the error for what is neither the code nor the name of a rule.

    A code that no rule has resembles others by chance: for it, the rules that begin so are named.
    """
    every, code = every_rule(), code[:_LONGEST]
    beginnings = (code.upper()[:length] for length in range(len(code), 2, -1))
    begin = next((one for one in beginnings if any(_starts(rule, one) for rule in every)), "")
    if _CODE.fullmatch(code.upper()) and not registry.rule_of(begin, every):
        command = f"`ckpt rules {begin}`" if begin else "`ckpt rules`"
        return UnknownSelection(f"no such rule: {code}", hint=f"{command} lists those there are")
    names = {name.lower(): name for rule in every for name in (rule.name, rule.code)}
    close = [begin] if begin.lower() in names else get_close_matches(code.lower(), names, n=1)
    guess = f" (did you mean {names[close[0].lower()]}?)" if close else ""
    return UnknownSelection(f"no such rule: {code}{guess}", hint="`ckpt rules` lists all rules")


def _starts(rule: Rule, start: str) -> bool:
    return rule.code.startswith(start)


def warn(message: str) -> None:
    """Report a broken plugin, by default on standard error."""
    line = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in message
    )
    logging.getLogger("ckpt_tools").warning("ckpt: %s", line)
