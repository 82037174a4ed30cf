"""Checks rules against a checkpoint.

The order of the rules does not matter, and neither does that of what they yield.
"""

from __future__ import annotations

import shlex
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.rules.coverage import Covered
from ckpt_tools.rules.finding import Finding, Need, Severity, Skipped
from ckpt_tools.rules.remedy import SANITIZE, Remedy, addressed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.families.kinds import Kind
    from ckpt_tools.rules.rule import Rule, Subject, Violation

_ORDER = {severity: place for place, severity in enumerate(Severity)}
_ABSENT = {
    Need.FILES: "folder not listed",
    Need.VALUES: "tensor values not read (use `--values`)",
    Need.BASELINE: "no reference checkpoint (use `--reference`)",
    Need.SPEC: "no lockfile (use `--spec`)",
    Need.LIVE: "policy not loaded (use `ckpt verify --load`)",
    Need.CONFIG: "no config.json",
    Need.EXPECTATION: "no expectation of this model's tensors",
    Need.LIBRARY: "the safetensors library is not installed (pip install safetensors)",
}


class Outcome(NamedTuple):
    """Findings, codes of the rules checked, rules skipped and why, in order; what was compared."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    covered: tuple[Covered, ...]


def check_rules(rules: Iterable[Rule], subject: Subject) -> Outcome:
    """Check every rule for which the subject has what it needs."""
    findings: list[Finding] = []
    checked: list[str] = []
    skipped: list[Skipped] = []
    covered: list[Covered] = []
    kinds = subject.kinds
    for rule in rules:
        reason = _reason_against(rule, subject, kinds)
        if reason:
            skipped.append(Skipped(rule.code, reason))
            continue
        checked.append(rule.code)
        yielded = tuple(rule.check(subject))
        covered += [one for one in yielded if isinstance(one, Covered)]
        violations = [one for one in yielded if not isinstance(one, Covered)]
        if violations:
            findings += _findings(rule, violations, subject)
    return Outcome(
        in_order(_with_one_repair(findings)),
        tuple(sorted(checked)),
        tuple(sorted(skipped)),
        tuple(covered),
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings: the worst first, then by code, file, subject, text and remedy."""
    return tuple(
        sorted(
            findings,
            key=lambda finding: (
                _ORDER[finding.severity],
                finding.code,
                finding.path,
                finding.subject,
                finding.what,
                finding.remedy,
            ),
        )
    )


def _findings(rule: Rule, violations: Iterable[Violation], subject: Subject) -> Iterator[Finding]:
    try:
        fix = Remedy(tuple(shlex.split(rule.fix)), safe=rule.safe)
    except ValueError:  # a plugin's sentence with an apostrophe
        fix = Remedy(text=rule.fix)
    for found in violations:
        after = Remedy(text=found.next) if isinstance(found.next, str) else found.next
        yield Finding(
            rule.code,
            found.severity or rule.severity,
            found.what,
            found.path,
            found.subject,
            addressed(after if found.next else fix, subject),
        )


def _with_one_repair(findings: list[Finding]) -> Iterator[Finding]:
    """Give all findings that `ckpt sanitize` repairs one command, with the options that any needs.

    A command with fewer would leave some of them, or be refused in place.
    """
    argv = (finding.remedy.argv for finding in findings)
    wanted = [words for words in argv if words[: len(SANITIZE)] == SANITIZE]
    first = len(SANITIZE) + 1
    pairs = (pair for words in wanted for pair in batched(words[first:], 2))
    options = {pair[0]: pair for pair in sorted(pairs)}
    for finding in findings:
        words = finding.remedy.argv
        if words in wanted:
            words = (*words[:first], *(word for pair in options.values() for word in pair))
        yield finding._replace(remedy=finding.remedy._replace(argv=words))


def _reason_against(rule: Rule, subject: Subject, kinds: frozenset[Kind]) -> str:
    """Return why a rule is skipped, "" when it is not."""
    limits = {*rule.families, *rule.kinds}
    is_about_config = rule.needs == {Need.CONFIG}
    family = subject.config_family if is_about_config and rule.families else subject.family
    if limits and limits.isdisjoint({family.name, *kinds}):
        return f"{' and '.join(sorted(limits))} only"
    return next((_ABSENT[need] for need in sorted(rule.needs) if _is_absent(need, subject)), "")


def _is_absent(need: Need, subject: Subject) -> bool:
    return _GIVEN[need](subject) is None


_GIVEN: dict[Need, Callable[[Subject], object]] = {
    Need.FILES: lambda subject: subject.entries,
    Need.VALUES: lambda subject: subject.facts,
    Need.BASELINE: lambda subject: subject.reference,
    Need.SPEC: lambda subject: subject.spec,
    Need.LIVE: lambda subject: subject.live,
    Need.LIBRARY: lambda subject: subject.library,
    Need.CONFIG: lambda subject: subject.checkpoint.document(CONFIG),
    Need.HEADERS: lambda subject: subject.checkpoint,
    Need.EXPECTATION: lambda subject: subject.expectation,
}
