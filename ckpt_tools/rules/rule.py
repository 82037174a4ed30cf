"""What a rule is, what it is given, and the decorator that makes one of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import ADAPTER_WEIGHTS
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.kinds import kinds_of
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.finding import Need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.composition import Composition
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.checkpoint.payload import SecondSet
    from ckpt_tools.checkpoint.spec import Spec
    from ckpt_tools.families.family import Expectation, Family
    from ckpt_tools.families.kinds import Kind
    from ckpt_tools.rules.coverage import Covered
    from ckpt_tools.rules.finding import Severity
    from ckpt_tools.rules.profiles import Profile
    from ckpt_tools.rules.remedy import Remedy
    from ckpt_tools.scan.entry import Entry
    from ckpt_tools.values.model import Measurement


class Subject(NamedTuple):
    """Everything that a rule is given. What was not read is None; rules that need it are skipped.

    `entries` is everything in the folder and below. `facts` are the tensor values' by tensor name.
    `reference` is a reference checkpoint, `base` the base model of an adapter, `spec` a lockfile,
    `live` the sentences of a load probe. `target` is the LeRobot release the checkpoint is meant
    for, "" for the newest known. `schema` returns a shipped JSON Schema by its name, an empty one
    where there are none. `profile` is the gate's; `profiles.profile_of` derives one from the config
    where it is None. `composition` lists the components of a model that has several; then
    `checkpoint` has the weights of all.
    `library` is why the installed safetensors library rejects a file, "" for one that it opens, and
    `zero_tails` how many bytes at the end of a file are zero; `second` are shards beside a
    file, `unfinished` parts of files from the Hub.
    `resumable`: the folder is that of a LeRobot run, with its training state beside it.
    """

    checkpoint: Checkpoint
    family: Family
    entries: tuple[Entry, ...] | None = None
    facts: Mapping[str, Measurement] | None = None
    reference: Checkpoint | None = None
    base: Checkpoint | None = None
    spec: Spec | None = None
    live: tuple[str, ...] | None = None
    target: str = ""
    schema: Callable[[str], Mapping[str, object]] = lambda _: {}
    profile: Profile | None = None
    composition: Composition | None = None
    library: Mapping[str, str] | None = None
    zero_tails: Mapping[str, int] | None = None
    second: SecondSet | None = None
    unfinished: tuple[str, ...] = ()
    resumable: bool = False

    @property
    def kinds(self) -> frozenset[Kind]:
        """Every kind of model that the checkpoint's JSON files show."""
        return kinds_of(self.checkpoint)

    @property
    def expectation(self) -> Expectation | Unknown | None:
        """What the loader expects, or the reason why that is unknown.

        None for a family of which nothing is known, and where its file does not know this model.
        """
        found = self.family.expected(self.checkpoint)
        is_known = not isinstance(found, Unknown) or self.family.cleaning is not None
        return found if is_known else None

    @property
    def config_family(self) -> Family:
        """The family that config.json is of: for an adapter, that of its policy."""
        there = self.checkpoint
        if [file.path for file in there.weights] != [ADAPTER_WEIGHTS]:
            return self.family
        return family_of(there._replace(weights=()))


class Violation(NamedTuple):
    """What a check yields: what is wrong, in which file, with what in it, and what to do next.

    `next` is a sentence or a Remedy; without one it is the rule's `fix`. `severity` only where it
    differs from the rule's.
    """

    what: str
    path: str = ""
    subject: str = ""
    next: str | Remedy = ""
    severity: Severity | None = None


type Check = Callable[[Subject], Iterator[Violation | Covered]]
"""Yields what is wrong, and what it compared: a rule may find nothing to compare."""


class Rule(NamedTuple):
    """A rule: a permanent code, a name in lower case with hyphens, severity, needs and check.

    `page` explains it: the first line is the fault as a title; then why it matters, what to do, and
    a bad and a good example. `fix` is the command that repairs what the rule finds, "" for none, in
    which WHERE and NORMAL stand for the checkpoint and its reference; `safe`: nothing
    that the model uses is lost.
    `families` limits the rule to families by name and `kinds` to kinds, both empty for all; a
    checkpoint of one of either is enough. `supply_chain`: only the gate checks it.
    """

    code: str
    name: str
    severity: Severity
    needs: frozenset[Need]
    check: Check
    page: str
    fix: str = ""
    safe: bool = False
    families: frozenset[str] = frozenset()
    supply_chain: bool = False
    kinds: frozenset[Kind] = frozenset()


def rule(  # noqa: PLR0913 - the fields of a rule, by keyword
    code: str,
    name: str,
    severity: Severity,
    *,
    needs: Need | Iterable[Need],
    fix: str = "",
    safe: bool = False,
    families: Iterable[str] = (),
    supply_chain: bool = False,
    kinds: Iterable[Kind] = (),
) -> Callable[[Check], Rule]:
    """Make a Rule of the decorated check, whose docstring is the rule's page."""

    def decorate(check: Check) -> Rule:
        title, _, rest = (check.__doc__ or "").partition("\n")
        body = rest.lstrip("\n")
        margin = "\n" + " " * (
            len(body) - len(body.lstrip(" "))
        )  # textwrap takes ten times as long
        return Rule(
            code=code,
            name=name,
            severity=severity,
            needs=frozenset((needs,) if isinstance(needs, Need) else needs),
            check=check,
            page=f"{title.rstrip('.')}\n{rest.replace(margin, '\n')}".strip() + "\n",
            fix=fix,
            safe=safe,
            families=frozenset(families),
            supply_chain=supply_chain,
            kinds=frozenset(kinds),
        )

    return decorate
