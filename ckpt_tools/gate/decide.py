"""From what was found to what stands, and to whether it may be uploaded, under what the settings say. Pure.

The order of findings and of suppressions does not matter. One more finding never makes a refusal a
pass: each is judged by itself. Errors and warnings refuse, notes do not, and nothing asked is not a
pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.rules.finding import Finding, Severity, Suppressed
from ckpt_tools.rules.profiles import matches
from ckpt_tools.rules.remedy import Remedy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.gate.verdict import Settings, Suppression
    from ckpt_tools.rules.finding import Verification

STALE = "CK817"
_ORDER = {severity: place for place, severity in enumerate(Severity)}


def decide(verification: Verification, profile: str, settings: Settings) -> Verdict:
    """Return the verdict on what was found, by the severities and suppressions of `settings`."""
    judged = apply_suppressions(verification, settings)
    refused = tuple(finding for finding in judged.findings if finding.severity is not Severity.NOTE)
    return Verdict(profile, judged, refused, passes=bool(verification.checked) and not refused)


def apply_suppressions(verification: Verification, settings: Settings) -> Verification:
    """Return a verification with the severities of `settings`, what they suppress apart, and a note for each suppression that has no use."""
    findings = [
        finding._replace(severity=settings.severity.get(finding.code, finding.severity))
        for finding in verification.findings
    ]
    active = [one for one in settings.suppress if not _has_expired(one, settings)]
    lived_with = [(finding, _reason(finding, active)) for finding in findings]
    standing = [finding for finding, reason in lived_with if reason is None]
    notes = _notes(settings, findings, frozenset(verification.checked))
    return verification._replace(
        findings=in_order((*standing, *notes)),
        suppressed=(
            *verification.suppressed,
            *sorted(
                Suppressed(finding, reason) for finding, reason in lived_with if reason is not None
            ),
        ),
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings as they are told: worst first, then by code, place and words."""
    return tuple(sorted(findings, key=_place))


def _place(finding: Finding) -> tuple[object, ...]:
    return (
        _ORDER[finding.severity],
        finding.code,
        finding.path,
        finding.subject,
        finding.what,
        finding.next,
    )


def _reason(finding: Finding, active: Iterable[Suppression]) -> str | None:
    """Return why a finding is lived with, None if it is not.

    Of several reasons the first in the alphabet.
    """
    return min((one.reason for one in active if _fits(one, finding)), default=None)


def _fits(suppression: Suppression, finding: Finding) -> bool:
    subject = suppression.subject == "*" or matches(finding.subject, (suppression.subject,))
    return (
        suppression.code == finding.code
        and (suppression.path == "*" or matches(finding.path, (suppression.path,)))
        and subject
    )


def _has_expired(suppression: Suppression, settings: Settings) -> bool:
    return bool(suppression.expires) and suppression.expires < settings.today


def _notes(settings: Settings, findings: list[Finding], asked: frozenset[str]) -> Iterator[Finding]:
    """Yield a note for each suppression without use; of a rule that was not asked nobody knows."""
    for one in settings.suppress:
        used = any(_fits(one, finding) for finding in findings)
        if _has_expired(one, settings):
            again = (
                "what it hid is a finding again"
                if used
                else "there is nothing left that it would hide"
            )
            what = f"the suppression of {one.code} ran out on {one.expires}: {again}"
        elif not used and one.code in asked:
            what = f"the suppression of {one.code} hides nothing"
        else:
            continue
        yield Finding(
            STALE,
            Severity.NOTE,
            what,
            settings.source,
            one.place,
            Remedy(text="take it out of the settings, or look at the finding again"),
        )
