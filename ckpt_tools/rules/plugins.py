"""Rules and families of other distributions, found by entry points and loaded when something is verified. A broken one is told of and left out.

[project.entry-points."ckpt_tools.rules"]
acme = "acme_rules:RULES"          (a Rule, or several)

[project.entry-points."ckpt_tools.families"]
acme = "acme_rules:FAMILY"         (a Family)
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.families.family import GENERIC, Family
from ckpt_tools.rules import registry
from ckpt_tools.rules.registry import all_rules, guarded, objection
from ckpt_tools.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint


RULES = "ckpt_tools.rules"
FAMILIES = "ckpt_tools.families"


class Plugins(NamedTuple):
    """What other distributions bring."""

    rules: tuple[Rule, ...]
    families: tuple[Family, ...]


@cache
def load() -> Plugins:
    """Return the rules and families of every installed distribution.

    A warning for each that cannot be used.
    """
    return Plugins(tuple(sorted(_rules(), key=lambda rule: rule.code)), tuple(_families()))


def _rules() -> Iterator[Rule]:
    taken = list(all_rules())
    for origin, loaded in _loaded(RULES):
        try:
            rules = [loaded] if isinstance(loaded, Rule) else list(loaded)  # type: ignore[call-overload]  # what is no list of rules is told of below
        except TypeError:
            rules = [loaded]
        for rule in rules:
            problem = objection(rule, taken)
            if problem:
                warn(f"{origin}: {problem}; it is left out")
            else:
                taken.append(rule)
                yield guarded(rule, origin, warn)


def _families() -> Iterator[Family]:
    for origin, loaded in _loaded(FAMILIES):
        if isinstance(loaded, Family):
            yield _guarded(loaded, origin)
        else:
            warn(f"{origin}: holds {type(loaded).__name__} where a Family is due; it is left out")


def _guarded(family: Family, origin: str) -> Family:
    """Return a family whose functions, where they fail, are told of and answer as those of the family of everything else."""
    guarded = {
        field: _Guarded(family, field, origin)
        for field in family._fields
        if callable(getattr(family, field))
    }
    return family._replace(**guarded)  # type: ignore[arg-type]  # each stands for a function of the field's own type


class _Guarded:
    """One function of a family of another distribution.

    Once it has failed, it is not asked again.
    """

    def __init__(self, family: Family, field: str, origin: str) -> None:
        self._ask = getattr(family, field)
        self._instead = (lambda _: False) if field == "recognises" else getattr(GENERIC, field)
        self._whose = f"{origin}: `{field}` of the family {family.name}"

    def __call__(self, *arguments: object) -> object:
        try:
            return self._ask(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            warn(f"{self._whose} failed: {type(error).__name__}: {error}; it is left out")
            self._ask = self._instead
            return self._instead(*arguments)


def _loaded(group: str) -> Iterator[tuple[str, object]]:
    """Yield (which distribution, what its entry point holds), by name."""
    metadata = importlib.import_module("importlib.metadata")
    for entry in sorted(
        metadata.entry_points(group=group), key=lambda entry: (_origin(entry), entry.name)
    ):
        try:
            yield _origin(entry), entry.load()
        except Exception as error:  # noqa: BLE001 - whatever a stranger's import raises
            warn(
                f"{_origin(entry)}: its {entry.name} ({group}) cannot be loaded: {type(error).__name__}: {error}; it is left out"
            )


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def rule_of(code: str) -> Rule | None:
    """Return the rule of that code or name, the tool's own or another distribution's, None if there is none."""
    return registry.rule_of(code) or next(
        (rule for rule in load().rules if code.upper() == rule.code or code.lower() == rule.name),
        None,
    )


def warn(message: str) -> None:
    """Tell of a broken plugin.

    On standard error, unless the program that imports the library wants its warnings elsewhere.
    """
    line = "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in message
    )
    importlib.import_module("logging").getLogger("ckpt_tools").warning("ckpt: %s", line)
