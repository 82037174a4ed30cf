"""What a rule is, and what it may look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.checkpoint.spec import Spec
    from ckpt_tools.families.family import Family
    from ckpt_tools.rules.finding import Need, Severity
    from ckpt_tools.scan.entry import Entry
    from ckpt_tools.values.model import Facts


class Subject(NamedTuple):
    """Everything that rules may look at.

    What was not asked for is None, and rules that need it are skipped.

    `entries` is everything in the folder and below. `facts` are the values' by tensor name.
    `reference` is a normal checkpoint, `spec` a lockfile, `live` the sentences of a load probe.
    `target` is the LeRobot release the checkpoint is meant for, "" for the newest known. `schema`
    returns a shipped JSON Schema by its name, an empty one where there are none.
    """

    checkpoint: Checkpoint
    family: Family
    entries: tuple[Entry, ...] | None = None
    facts: Mapping[str, Facts] | None = None
    reference: Checkpoint | None = None
    spec: Spec | None = None
    live: tuple[str, ...] | None = None
    target: str = ""
    schema: Callable[[str], Mapping[str, object]] = lambda _: {}


class Violation(NamedTuple):
    """What a check yields: what is wrong, where, what to do.

    `severity` only where it differs from the rule's.
    """

    what: str
    path: str = ""
    subject: str = ""
    next: str = ""
    severity: Severity | None = None


class Rule(NamedTuple):
    """A rule.

    Its permanent code, its name in lower case with hyphens, how bad what it finds is, what it looks
    at, and how it looks.

    `fix` is the command that repairs what it finds, "" for none, in which WHERE and NORMAL stand
    for the checkpoint and its reference; `safe` says that it loses nothing. `families` limits it to
    families by name, empty for all. `page` is the docstring of its module: first line the sentence,
    then why it matters, what to do.
    """

    code: str
    name: str
    severity: Severity
    needs: frozenset[Need]
    check: Callable[[Subject], Iterator[Violation]]
    page: str
    fix: str = ""
    safe: bool = False
    families: frozenset[str] = frozenset()
    supply_chain: bool = False
