"""Asking the rules.

The order of rules does not matter, and neither does that of what they yield.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Finding, Need, Severity, Skipped
from ckpt_tools.rules.remedy import pasteable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.rules.rule import Rule, Subject

_ORDER = {severity: place for place, severity in enumerate(Severity)}
_ABSENT = {
    Need.FILES: "the folder was not listed",
    Need.VALUES: "the values were not read (`ckpt verify --values` does)",
    Need.BASELINE: "there is no --reference",
    Need.SPEC: "there is no --spec",
    Need.LIVE: "no policy was loaded (`ckpt verify --load` does)",
    Need.CONFIG: "there is no config.json",
}


def ask(
    rules: Iterable[Rule], subject: Subject
) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[Skipped, ...]]:
    """Return (findings, codes of the rules asked, rules not asked and why), each in the order of severity and code."""
    findings: list[Finding] = []
    asked: list[str] = []
    skipped: list[Skipped] = []
    for rule in rules:
        reason = _reason_against(rule, subject)
        if reason:
            skipped.append(Skipped(rule.code, reason))
            continue
        asked.append(rule.code)
        findings += _findings(rule, subject)
    return tuple(sorted(findings, key=_place)), tuple(sorted(asked)), tuple(sorted(skipped))


def _findings(rule: Rule, subject: Subject) -> Iterator[Finding]:
    for found in rule.check(subject):
        yield Finding(
            rule.code,
            found.severity or rule.severity,
            found.what,
            found.path,
            found.subject,
            pasteable(found.next or rule.fix, subject),
        )


def _place(finding: Finding) -> tuple[object, ...]:
    return (
        _ORDER[finding.severity],
        finding.code,
        finding.path,
        finding.subject,
        finding.what,
        finding.next,
    )


def _reason_against(rule: Rule, subject: Subject) -> str:
    """Return why a rule is not asked, "" when it is."""
    if rule.families and subject.family.name not in rule.families:
        return f"it is about {' and '.join(sorted(rule.families))}"
    return next((_ABSENT[need] for need in sorted(rule.needs) if _is_absent(need, subject)), "")


def _is_absent(need: Need, subject: Subject) -> bool:
    given = {
        Need.FILES: subject.entries,
        Need.VALUES: subject.facts,
        Need.BASELINE: subject.reference,
        Need.SPEC: subject.spec,
        Need.LIVE: subject.live,
        Need.CONFIG: subject.checkpoint.document("config.json"),
        Need.HEADERS: subject.checkpoint,
    }
    return given[need] is None
