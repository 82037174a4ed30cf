"""The page of `ckpt verify` and `ckpt gate`: findings by severity, suppressions, the verdict."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.edit.sanitize import REFERENCE_HINT
from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.report.blocks import Heading, Line, Status, Title, Topic, text_blocks
from ckpt_tools.report.pages.coverage import coverage_blocks
from ckpt_tools.report.pages.rules import explain_page
from ckpt_tools.rules.coverage import not_checked
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.remedy import REFERENCE
from ckpt_tools.text import count, escaped, placed, printable, transferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ckpt_tools.report.blocks import Block, Page
    from ckpt_tools.rules.finding import Finding, Verification
    from ckpt_tools.rules.rule import Rule

_MARKS = {Severity.ERROR: Status.BAD, Severity.WARNING: Status.CHANGE, Severity.NOTE: Status.NONE}
_TITLES = {Severity.ERROR: "Errors", Severity.WARNING: "Warnings", Severity.NOTE: "Notes"}
_LOADS = "CK751"
"""The rule that loads a policy."""

MANY = 20
"""Findings of one rule that are listed; JSON lists all."""


def page(judgement: Verification | Verdict) -> Page:
    """Return the page of a verification or a verdict."""
    verification = judgement.verification if isinstance(judgement, Verdict) else judgement
    return (
        *_findings(verification),
        *_suppressed(verification),
        *coverage_blocks(verification.coverage),
        *_loaded(verification),
        *_conclusion(judgement, verification),
    )


def explained_page(judgement: Verification | Verdict, rules: Iterable[Rule]) -> Page:
    """Return the page of a verification or a verdict for readers without a terminal.

    Every finding, grouped by rule, with the rule's page.
    """
    verification = judgement.verification if isinstance(judgement, Verdict) else judgement
    what = "Gate" if isinstance(judgement, Verdict) else "Verification"
    known = {rule.code: rule for rule in rules}
    blocks = (
        *_topics(verification, known),
        *_reference_hint(verification),
        *_suppressed(verification, many=None),
        *coverage_blocks(verification.coverage),
        *_loaded(verification),
        *_skipped(verification),
        *_conclusion(judgement, verification),
    )
    return (Title(text=f"{what}: {printable(verification.where)}"), *blocks)


def several(
    judgements: Sequence[Verification | Verdict],
    unread: int,
    notes: Sequence[Finding] = (),
    rules: Iterable[Rule] | None = None,
) -> Page:
    """Return one page of several judgements, with the pages of their `rules` where given.

    `unread` is the number of checkpoints that could not be checked, `notes` are on the settings.
    """
    blocks: list[Block] = [Title(text=f"ckpt: {count(len(judgements), 'checkpoint')}")]
    for judgement in judgements:
        verification = judgement.verification if isinstance(judgement, Verdict) else judgement
        name = printable(verification.where)
        for block in explained_page(judgement, rules)[1:] if rules else page(judgement):
            if isinstance(block, Heading):
                blocks.append(block._replace(text=f"{name}: {block.text}"))
            else:
                blocks.append(block)
    if notes:
        blocks += (
            Heading(text=f"Settings: {count(len(notes), 'note')}"),
            *_lines(notes, Status.NONE),
        )
    return (*blocks, Heading(text="All checkpoints", conclusion=True), _total(judgements, unread))


def passed(judgement: Verification | Verdict) -> bool:
    """Whether rules were checked, and nothing that they found fails the checkpoint."""
    if isinstance(judgement, Verdict):
        return judgement.passes
    return bool(judgement.checked) and judgement.clean


def _total(judgements: Sequence[Verification | Verdict], unread: int) -> Line:
    good, number = sum(map(passed, judgements)), len(judgements) + unread
    word = "passed" if isinstance(judgements[0], Verdict) else "clean"
    trouble = f"; {unread:,} could not be checked" if unread else ""
    mark = Status.GOOD if good == number else Status.BAD
    return Line(text=f"{good:,} of {count(number, 'checkpoint')} {word}{trouble}", mark=mark)


def _topics(verification: Verification, rules: Mapping[str, Rule]) -> Iterator[Block]:
    for severity in Severity:
        found = [finding for finding in verification.findings if finding.severity is severity]
        if found:
            yield Heading(text=f"{_TITLES[severity]}: {len(found):,}")
        for code in dict.fromkeys(finding.code for finding in found):
            lines = tuple(_line(finding, Status.NONE) for finding in found if finding.code == code)
            yield _topic(code, rules.get(code), _MARKS[severity], lines)


def _topic(code: str, rule: Rule | None, mark: Status, lines: tuple[Line, ...]) -> Topic:
    explanation = tuple(text_blocks(explain_page(rule)[1:])) if rule else ()
    return Topic(
        key=code,
        text=printable(rule.name) if rule else "",
        mark=mark,
        lines=lines,
        explanation=explanation,
    )


def _loaded(verification: Verification) -> Iterator[Block]:
    """Yield that the policy was loaded, where it was and nothing prevented it."""
    findings = (*verification.findings, *(one.finding for one in verification.suppressed))
    if _LOADS in verification.checked and all(one.code != _LOADS for one in findings):
        yield Line(text="the policy loads, and acted once (--load)", mark=Status.GOOD)


def _skipped(verification: Verification) -> Iterator[Block]:
    if verification.skipped:
        yield Heading(text="Skipped rules")
    for reason in sorted({skip.reason for skip in verification.skipped}):
        codes = [skip.code for skip in verification.skipped if skip.reason == reason]
        yield Line(
            text=f"{printable(reason)}: {count(len(codes), 'rule')}", details=(", ".join(codes),)
        )


def _findings(verification: Verification) -> Iterator[Block]:
    for severity in Severity:
        found = [finding for finding in verification.findings if finding.severity is severity]
        if found:
            yield Heading(text=f"{_TITLES[severity]}: {len(found):,}")
            yield from _lines(found, _MARKS[severity])
    yield from _reference_hint(verification)


def _reference_hint(verification: Verification) -> Iterator[Block]:
    """Yield what to write for NORMAL, if a suggested command has it."""
    if any(REFERENCE in finding.remedy.argv for finding in verification.findings):
        yield Line(text=f"in these commands, {REFERENCE_HINT}")


def _lines(found: Sequence[Finding], mark: Status) -> Iterator[Block]:
    listed: Counter[str] = Counter()
    counts = Counter(finding.code for finding in found)
    for finding in found:
        listed[finding.code] += 1
        if listed[finding.code] <= MANY:
            line = _line(finding, mark)
            yield line._replace(text=f"{finding.code} {line.text}")
        elif listed[finding.code] == counts[finding.code]:
            yield Line(text=f"{finding.code} and {counts[finding.code] - MANY:,} more", mark=mark)


def _line(finding: Finding, mark: Status) -> Line:
    return Line(
        text=placed(finding.path, finding.subject, finding.what),
        mark=mark,
        details=(escaped(finding.next),) if finding.next else (),
    )


def _suppressed(verification: Verification, *, many: int | None = MANY) -> Iterator[Block]:
    if verification.suppressed:
        yield Heading(text=f"Suppressed: {len(verification.suppressed):,}")
    for finding, reason in verification.suppressed[:many]:
        yield Line(
            text=f"{finding.code} {placed(finding.path, finding.subject, finding.what)}",
            details=(printable(reason),),
        )
    if many and len(verification.suppressed) > many:
        yield Line(text=f"and {len(verification.suppressed) - many:,} more")


def _conclusion(judgement: Verification | Verdict, verification: Verification) -> Iterator[Block]:
    yield Heading(text="Verdict", conclusion=True)
    if verification.transferred:
        yield Line(text=transferred(verification.transferred))
    if verification.settings:
        hidden = count(len(verification.suppressed), "finding")
        yield Line(text=f"settings: {printable(verification.settings)} ({hidden} suppressed)")
    where = printable(_checked_path(verification))
    checked = f"{count(len(verification.checked), 'rule')} checked"
    rest = "".join(f"; {text}" for text in (not_checked(verification.coverage),) if text)
    if not verification.checked:
        yield Line(
            text=f"{where}: no rules were checked; this does not count as a pass", mark=Status.BAD
        )
    elif isinstance(judgement, Verdict):
        yield _verdict(judgement, where, rest, f"(profile {judgement.profile}, {checked})")
    elif verification.clean:
        yield Line(text=f"{where}: clean{rest} ({checked})", mark=Status.GOOD)
    else:
        yield Line(text=f"{where}: {_severities(verification)} ({checked})", mark=Status.BAD)


def _checked_path(verification: Verification) -> str:
    """Return the path that was given; for a LeRobot run, that of the step that was checked."""
    found = verification.checkpoint
    return (
        found.step_or_where if found and found.where == verification.where else verification.where
    )


def _verdict(verdict: Verdict, where: str, rest: str, circumstances: str) -> Line:
    if verdict.passes:
        return Line(text=f"{where}: passes{rest} {circumstances}", mark=Status.GOOD)
    codes = ", ".join(sorted({finding.code for finding in verdict.refused}))
    return Line(text=f"{where}: failed: {codes} {circumstances}", mark=Status.BAD)


def _severities(verification: Verification) -> str:
    """Return "2 errors, 1 warning"."""
    counts = Counter(finding.severity for finding in verification.findings)
    return ", ".join(count(counts[severity], severity) for severity in Severity if counts[severity])
