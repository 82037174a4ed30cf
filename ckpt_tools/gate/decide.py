"""Applies settings to findings and decides whether an upload may proceed. Pure.

The order of findings and of suppressions does not matter, and one more finding never turns a
failure into a pass: each is decided by itself. Errors and warnings fail, notes do not. A
verification in which no rules were checked does not pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.gate.verdict import OPTION, Verdict
from ckpt_tools.rules.coverage import State, title
from ckpt_tools.rules.engine import in_order
from ckpt_tools.rules.finding import Finding, Severity, Suppressed
from ckpt_tools.rules.profiles import matches
from ckpt_tools.rules.remedy import Remedy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.gate.verdict import Settings, Suppression
    from ckpt_tools.rules.finding import Verification

STALE = "CK817"
UNCHECKED = "CK824"


def decide(verification: Verification, profile: str, settings: Settings) -> Verdict:
    """Return the verdict under the severities and suppressions of `settings`."""
    return verdict_on(apply_suppressions(verification, settings), profile)


def verdict_on(verification: Verification, profile: str) -> Verdict:
    """Return the verdict on what stands after suppressions."""
    refused = tuple(one for one in verification.findings if one.severity is not Severity.NOTE)
    passes = bool(verification.checked) and not refused
    return Verdict(profile, verification, refused, passes=passes)


def apply_suppressions(verification: Verification, settings: Settings) -> Verification:
    """Apply requirements, severities and suppressions; add a note for each one without effect."""
    findings = [
        finding._replace(severity=settings.severity.get(finding.code, finding.severity))
        for finding in (*verification.findings, *_unchecked(verification, settings))
    ]
    active = [one for one in settings.suppress if not _has_expired(one, settings)]
    reasons = {
        finding: min(one.reason for one in active if _matches(one, finding))
        for finding in findings
        if any(_matches(one, finding) for one in active)
    }
    standing = [finding for finding in findings if finding not in reasons]
    notes = _stale(settings, findings, verification.checked)
    suppressed = sorted(
        Suppressed(finding, reasons[finding]) for finding in findings if finding in reasons
    )
    return verification._replace(
        findings=in_order((*standing, *notes)),
        suppressed=(*verification.suppressed, *suppressed),
        settings=settings.source,
    )


def _unchecked(verification: Verification, settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each required question that was not checked completely."""
    for one in verification.coverage:
        if one.question in settings.require and one.state is not State.CHECKED:
            done = "only partly checked" if one.state is State.PARTLY else "not checked"
            what = f"{title(one.question)} is required and {done}: {one.detail}"
            answer = (
                f"check it with {' or '.join(one.options)}, or" if one.options else "check it, or"
            )
            remedy = Remedy(text=f"{answer} do not require {one.question}")
            yield Finding(UNCHECKED, Severity.ERROR, what, subject=str(one.question), remedy=remedy)


def _matches(suppression: Suppression, finding: Finding) -> bool:
    """Whether a suppression covers a finding. `*` also matches "", the whole."""
    pairs = ((suppression.path, finding.path), (suppression.subject, finding.subject))
    return suppression.code == finding.code and all(
        glob == "*" or matches(name, (glob,)) for glob, name in pairs
    )


def _has_expired(suppression: Suppression, settings: Settings) -> bool:
    return bool(suppression.expires) and suppression.expires < settings.today


def _stale(
    settings: Settings, findings: Sequence[Finding], checked: Sequence[str]
) -> Iterator[Finding]:
    """Yield a note for each suppression without effect, unless its rule was not checked."""
    for one in settings.suppress:
        is_used = any(_matches(one, finding) for finding in findings)
        if _has_expired(one, settings):
            what = f"the suppression of {one.code} expired on {one.expires}, and hides nothing now"
        elif not is_used and one.code in checked:
            what = f"the suppression of {one.code} matches nothing"
        else:
            continue
        given = one.key == OPTION
        text = "omit it" if given else "remove it from the settings, or review the finding again"
        path = "" if given else settings.source
        yield Finding(STALE, Severity.NOTE, what, path, one.key, Remedy(text=text))


def settings_notes(verifications: Sequence[Verification]) -> tuple[Finding, ...]:
    """Return the notes on suppressions without effect in any of several checkpoints, each once.

    One that another checkpoint needs, or whose rule was not checked there, is none.
    """
    every = dict.fromkeys(one for found in verifications for one in found.findings)
    return tuple(
        note
        for note in every
        if note.code == STALE
        and all(
            note in found.findings for found in verifications if note.path in ("", found.settings)
        )
    )


def without_settings_notes(verification: Verification) -> Verification:
    """Return a verification without the notes on the settings."""
    others = tuple(one for one in verification.findings if one.code != STALE)
    return verification._replace(findings=others)
