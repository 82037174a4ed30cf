"""Models of several components: each checked as a checkpoint of its own, and the whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.composition import Component, Composition, composition, merged
from ckpt_tools.checkpoint.read import read_at
from ckpt_tools.diff.summary import group_of, summarize
from ckpt_tools.errors import FormatError, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.kinds import Kind, name_of
from ckpt_tools.progress import Progress
from ckpt_tools.rules.coverage import Question, unreadable
from ckpt_tools.rules.coverage import merged as merged_coverage
from ckpt_tools.rules.engine import in_order
from ckpt_tools.rules.finding import Finding, Skipped, Verification
from ckpt_tools.rules.parse_rules import finding_of
from ckpt_tools.storage.hub_name import SCHEME
from ckpt_tools.storage.session import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.diff.model import Group, Summary
    from ckpt_tools.rules.coverage import Coverage
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.scan.entry import Entry

_WHOLE = frozenset((Kind.PIPELINE, Kind.SENTENCE))
_UNREADABLE_TOO = frozenset(("CK812", "CK818", "CK821"))
"""Rules that say again that a file cannot be read."""


class Part(NamedTuple):
    """A component and one of its sets of weights, as read."""

    component: Component
    checkpoint: Checkpoint


def read_parts(
    composed: Composition, where: str, *, lenient: bool
) -> tuple[list[Part], list[Finding]]:
    """Return what can be read of the components, and a finding for each that cannot."""
    found: list[Part] = []
    faults: list[Finding] = []
    for component in composed.components:
        sets = (component.weights, *component.variants)
        for location in (one for one in sets if one is not None):
            named = inner(where, component.folder)
            if location in component.variants:
                named = f"{named}/{location.index_file or location.weights[0]}"
            try:
                checkpoint = read_at(location, named, lenient=lenient)
            except FormatError as error:
                fault = finding_of(error)
                below = os.path.relpath(fault.path, composed.root)
                faults.append(fault._replace(path=below))
                continue
            found.append(Part(component, checkpoint))
    return found, faults


def summarize_components(composed: Composition, where: str, *, lenient: bool) -> Summary:
    """Return the summary of the whole: a group for each component, tensors named after theirs.

    Raises the FormatError of a component that cannot be read.
    """
    parts: list[tuple[Component, Checkpoint]] = []
    groups: list[Group] = []
    for one in composed.components:
        location = one.weights or next(iter(one.variants), None)
        tensors: tuple[Tensor, ...] = ()
        if location is not None:
            checkpoint = read_at(location, inner(where, one.folder), lenient=lenient)
            tensors = checkpoint.tensors
            parts.append((one, _renamed(checkpoint, one.name)))
        groups.append(group_of(one.name, f"{one.name} ({one.kind})", tensors))
    summary = summarize(merged(composed, where, parts))
    return summary._replace(
        family=name_of(summary.checkpoint, GENERIC), components=tuple(groups), sums=()
    )


def _renamed(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """Return a component with its name before those of its tensors, to tell them apart."""
    weights = (
        file._replace(tensors=tuple(t._replace(name=f"{name}.{t.name}") for t in file.tensors))
        for file in checkpoint.weights
    )
    return checkpoint._replace(weights=tuple(weights))


def inner(where: str, folder: str) -> str:
    """Return the name of a folder below `where`."""
    scheme = SCHEME if is_remote(where) and "://" not in where else ""
    return f"{scheme}{where.rstrip('/')}/{folder}" if folder else where


def is_about_whole(rule: Rule) -> bool:
    """Whether a rule is checked once on the whole, and not on each component."""
    return rule.supply_chain or bool(rule.kinds and rule.kinds <= _WHOLE)


def check_components(  # noqa: PLR0913 - by keyword, as `check`
    composed: Composition,
    entries: tuple[Entry, ...],
    where: str,
    rules: Sequence[Rule],
    check_one: Callable[..., Verification],
    *,
    lenient: bool,
    reference: str,
    progress: Progress,
) -> Verification:
    """Check each component, and the rules about the whole once.

    `entries` is everything in the folder; `check_one` checks rules on one checkpoint. Findings
    have paths from the root; a rule that was checked on one component counts as checked.
    """
    parts, faults = read_parts(composed, where, lenient=lenient)
    progress.expect(sum(t.nbytes for part in parts for t in part.checkpoint.tensors))
    inside = Progress(progress.advance)
    baselines = _baselines(reference, lenient=lenient)
    about_whole = tuple(rule for rule in rules if is_about_whole(rule))
    own = tuple(rule for rule in rules if not is_about_whole(rule))
    done: list[Verification] = []
    for part in parts:
        folder = part.component.folder
        found = check_one(
            part.checkpoint,
            rules=own,
            entries=_below(entries, folder),
            baseline=baselines.get(part.component.name),
            progress=inside,
        )
        done.append(_located(found, folder))
    whole = merged(composed, where, [(part.component, part.checkpoint) for part in parts])
    of_whole = check_one(whole, rules=about_whole, entries=entries, composed=composed)
    answers = [(part.component.name, one.coverage) for part, one in zip(parts, done, strict=True)]
    found = _united(where, whole, [*done, of_whole], faults, rules)
    return found._replace(coverage=_coverage(composed, answers, of_whole.coverage))


def _coverage(
    composed: Composition,
    answers: Sequence[tuple[str, tuple[Coverage, ...]]],
    whole: Iterable[Coverage],
) -> tuple[Coverage, ...]:
    """Return the coverage: of the supply chain that of the whole, else that of the components."""
    read = {name for name, _ in answers}
    unread = (one for one in composed.components if one.needs_weights and one.name not in read)
    own = (
        (name, tuple(one for one in found if one.question is not Question.SUPPLY_CHAIN))
        for name, found in (*answers, *((one.name, _unknown(one)) for one in unread))
    )
    return (*merged_coverage(own), *(one for one in whole if one.question is Question.SUPPLY_CHAIN))


def _unknown(component: Component) -> tuple[Coverage, ...]:
    """Return the coverage of a component that cannot be read or has no weights."""
    found = unreadable(without_checkpoint=not (component.weights or component.variants))
    return tuple(one for one in found if one.question is not Question.PROCESSORS)


def _united(
    where: str,
    whole: Checkpoint,
    done: Sequence[Verification],
    faults: Sequence[Finding],
    rules: Sequence[Rule],
) -> Verification:
    """Return one verification of what was found in the components and in the whole."""
    every = dict.fromkeys(finding for found in done for finding in found.findings)
    checked = {code for found in done for code in found.checked} | {one.code for one in faults}
    reasons = {rule.code: "no component could be read" for rule in rules}
    for found in reversed(done):
        reasons |= dict(found.skipped)
    return Verification(
        where,
        whole,
        name_of(whole, GENERIC),
        in_order((*without_repeats(every, faults), *faults)),
        tuple(sorted(checked)),
        tuple(Skipped(*item) for item in sorted(reasons.items()) if item[0] not in checked),
    )


def without_repeats(findings: Iterable[Finding], faults: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings that do not say again that the file of one of `faults` is unreadable."""
    unreadable = {fault.path for fault in faults}
    for finding in findings:
        if not (finding.code in _UNREADABLE_TOO and finding.path in unreadable):
            yield finding


def _located(found: Verification, folder: str) -> Verification:
    """Return the findings with paths from the root; what is about all of a component names it."""
    return found._replace(
        findings=tuple(
            one._replace(path="/".join(filter(None, (folder, one.path)))) for one in found.findings
        )
    )


def _below(entries: tuple[Entry, ...], folder: str) -> tuple[Entry, ...]:
    start = f"{folder}/" * bool(folder)
    return tuple(
        entry._replace(path=entry.path.removeprefix(start)) if start else entry
        for entry in entries
        if entry.path.startswith(start) and entry.path != start
    )


def _baselines(reference: str, *, lenient: bool) -> dict[str, Checkpoint]:
    """Return the components of the reference by name. Raises UnknownSelection, FormatError."""
    if not reference:
        return {}
    composed = composition(reference)
    if composed is None:
        raise UnknownSelection(
            "the reference is one model, what is checked consists of several",
            hint="name the folder of a component, and its reference",
        )
    return {
        part.name: read_at(part.weights, inner(reference, part.folder), lenient=lenient)
        for part in composed.components
        if part.weights is not None
    }
