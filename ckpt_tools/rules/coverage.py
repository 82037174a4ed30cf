"""Which questions about a checkpoint a verification answered, and what it did not look at.

A rule yields `Covered` for what it compared, so that no verdict rests on a rule that found nothing
to compare. Here these become an answer for each question.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG, PROCESSORS
from ckpt_tools.families.family import Unknown, nothing_expected
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.registry import named_in_config
from ckpt_tools.rules.finding import Need

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ckpt_tools.rules.rule import Rule, Subject


class Question(StrEnum):
    """What a verdict is about: names as in `--require`."""

    CONTAINER = "container"
    VALUES = "values"
    COMPLETENESS = "completeness"
    AGREEMENT = "agreement"
    PROCESSORS = "processors"
    SUPPLY_CHAIN = "supply-chain"


class State(StrEnum):
    """How far a question was answered."""

    CHECKED = "checked"
    PARTLY = "partly"
    SKIPPED = "skipped"


class Covered(NamedTuple):
    """What a rule compared: all that a question asks, or only `part` of it."""

    question: Question
    part: str = ""


class Coverage(NamedTuple):
    """The state of a question; `detail` is what was checked of it, or why it was skipped.

    `options` are those that would answer it.
    """

    question: Question
    state: State
    detail: str = ""
    options: tuple[str, ...] = ()


TITLES = {
    Question.AGREEMENT: "agreement of config and weights",
    Question.SUPPLY_CHAIN: "supply chain",
}
"""What reports call a question, where that is not its name."""

_COMPARED = ("--reference", "--spec")
_NOT_SELECTED = "none of the selected rules checked it"
_ABSENT, _UNREADABLE = "there is no checkpoint", "the checkpoint cannot be read"


def coverage_of(
    subject: Subject,
    covered: Iterable[Covered],
    rules: Collection[Rule],
    checked: Collection[str],
    *,
    are_all: bool = True,
) -> tuple[Coverage, ...]:
    """Return the answer to every question that a checkpoint of this kind poses.

    `covered` is what `rules` compared, of which those with the codes `checked` were checked. Unless
    they `are_all`, what they did not check has no other reason: others may have checked it.
    """
    ran = [rule for rule in rules if rule.code in checked]
    values = any(Need.VALUES in rule.needs for rule in ran)
    reads = are_all or any(Need.VALUES in rule.needs for rule in rules)
    supply_chain = any(rule.supply_chain for rule in ran)
    options = _options(subject, in_gate=supply_chain) if are_all else ()
    parts: dict[Question, dict[str, None]] = {}
    for one in covered:
        parts.setdefault(one.question, {})[one.part] = None
    return (
        _container(subject),
        _plain(
            Question.VALUES,
            "tensor values not read" if reads else _NOT_SELECTED,
            "--values" if reads and not supply_chain else "",  # the gate reads them by default
            is_checked=values,
        ),
        _compared(
            Question.COMPLETENESS,
            parts,
            _no_expectation(subject) if are_all else _NOT_SELECTED,
            options,
        ),
        _compared(
            Question.AGREEMENT,
            parts,
            _no_agreement(subject) if are_all else _NOT_SELECTED,
            options,
        ),
        *_processors(subject, parts, are_all=are_all),
        _plain(
            Question.SUPPLY_CHAIN, "only the gate checks it", "ckpt gate", is_checked=supply_chain
        ),
    )


def unreadable(*, without_checkpoint: bool = False) -> tuple[Coverage, ...]:
    """Return the coverage of a checkpoint that cannot be read, or of a folder without one."""
    why = _ABSENT if without_checkpoint else _UNREADABLE
    first = State.SKIPPED if without_checkpoint else State.PARTLY
    return (
        Coverage(Question.CONTAINER, first, why if without_checkpoint else "up to the first fault"),
        *(Coverage(one, State.SKIPPED, why) for one in Question if one is not Question.CONTAINER),
    )


def answered(coverage: Iterable[Coverage], question: Question) -> tuple[Coverage, ...]:
    """Return the coverage with a question that was checked after all."""
    return tuple(
        Coverage(question, State.CHECKED) if one.question is question else one for one in coverage
    )


def merged(parts: Iterable[tuple[str, tuple[Coverage, ...]]]) -> tuple[Coverage, ...]:
    """Return the coverage of a whole from (name, coverage) of its components.

    A question is checked where it is in every component that poses it.
    """
    by_question: dict[Question, list[tuple[str, Coverage]]] = {}
    for name, coverage in parts:
        for one in coverage:
            by_question.setdefault(one.question, []).append((name, one))
    return tuple(
        _merged(question, by_question[question]) for question in Question if question in by_question
    )


def not_checked(coverage: Iterable[Coverage]) -> str:
    """Return "completeness not checked: no expectation for this family", "" where all is checked.

    Reasons only where one question is left.
    """
    skipped = [one for one in coverage if one.state is State.SKIPPED]
    partly = [one for one in coverage if one.state is State.PARTLY]
    if len(skipped) == 1 and not partly:
        return f"{title(skipped[0].question)} not checked: {skipped[0].detail}"
    return "; ".join(
        f"{word}: {', '.join(one.question.replace('-', ' ') for one in some)}"
        for word, some in (("not checked", skipped), ("partly checked", partly))
        if some
    )


def title(question: Question) -> str:
    """Return what reports call a question."""
    return TITLES.get(question, question.value)


def _container(subject: Subject) -> Coverage:
    if subject.entries is None and not subject.checkpoint.documents:
        return Coverage(Question.CONTAINER, State.CHECKED, "a single file")
    return Coverage(Question.CONTAINER, State.CHECKED)


def _plain(question: Question, reason: str, option: str, *, is_checked: bool) -> Coverage:
    if is_checked:
        return Coverage(question, State.CHECKED)
    return Coverage(question, State.SKIPPED, reason, (option,) if option else ())


def _options(subject: Subject, *, in_gate: bool) -> tuple[str, ...]:
    """Return the options that would compare more: `--live` where config.json names a library's.

    Of an adapter, `--base`.
    """
    there, family = subject.checkpoint, subject.family
    if subject.base is None and there.document(ADAPTER_CONFIG):
        return ("ckpt verify --base" if in_gate else "--base", *_COMPARED)
    in_code_or_live = family.file is None and family.expected is not nothing_expected
    if subject.entries is None or in_code_or_live or named_in_config(there) is None:
        return _COMPARED
    return ("ckpt verify --live" if in_gate else "--live", *_COMPARED)


def _compared(
    question: Question,
    parts: dict[Question, dict[str, None]],
    reason: str,
    options: tuple[str, ...] = (),
) -> Coverage:
    found = parts.get(question, {})
    if "" in found:
        return Coverage(question, State.CHECKED)
    state = State.PARTLY if found else State.SKIPPED
    return Coverage(question, state, ", ".join(found) or reason, options)


def _no_expectation(subject: Subject) -> str:
    if subject.entries is None:
        return "a single file"
    found = subject.family.expected(subject.checkpoint)
    if subject.family.expected is not nothing_expected and isinstance(found, Unknown):
        return found.reason
    return "no expectation for this family"


def _no_agreement(subject: Subject) -> str:
    if subject.checkpoint.document(CONFIG) is None:
        return f"no {CONFIG}"
    if subject.family.file is not None and subject.family.file.names_only:
        return f"of a {subject.family.name} only the names are known"
    return "nothing in this config is compared"


def _processors(
    subject: Subject, parts: dict[Question, dict[str, None]], *, are_all: bool
) -> Iterator[Coverage]:
    """Yield the answer for a LeRobot policy, and for a file that may be one's."""
    if subject.entries is None:
        yield Coverage(Question.PROCESSORS, State.SKIPPED, "a single file")
    elif Kind.POLICY in subject.kinds:
        there = any(subject.checkpoint.document(path) for path in PROCESSORS)
        why = "no step of its processors is known" if there else "there are none"
        yield _compared(Question.PROCESSORS, parts, why if are_all or not there else _NOT_SELECTED)


def _merged(question: Question, found: list[tuple[str, Coverage]]) -> Coverage:
    states = {one.state for _, one in found}
    options = tuple(dict.fromkeys(option for _, one in found for option in one.options))
    details = {one.detail for _, one in found}
    if states == {State.CHECKED}:
        return Coverage(question, State.CHECKED)
    if len(states) == len(details) == 1:
        return Coverage(question, found[0][1].state, found[0][1].detail, options)
    if states == {State.SKIPPED}:  # that a component is absent is a finding
        reasons = details - {_ABSENT, _UNREADABLE} or details
        return Coverage(question, State.SKIPPED, "; ".join(sorted(reasons)), options)
    said = (
        f"{', '.join(dict.fromkeys(name for name, one in found if one.state is state))} {word}"
        for state, word in ((State.CHECKED, "completely"), (State.PARTLY, "partly"))
        if state in states
    )
    return Coverage(question, State.PARTLY, ", ".join(said), options)
