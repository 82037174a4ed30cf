"""What rules found, told without the secrets that stand in the files.

A rule quotes what it complains about, and the log of a CI is public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.scan.home_paths import hidden
from ckpt_tools.scan.redact import Known
from ckpt_tools.scan.secrets import mask, secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.rules.finding import Finding, Verification


def masked(seen: Verification, texts: Iterable[str]) -> Verification:
    """Return a verification with no secret in what it tells, nor a piece of one that stands in `texts`, which rules may have quoted."""
    if not seen.findings and not seen.suppressed:
        return seen
    told = telling(texts)
    return seen._replace(
        findings=tuple(told(finding) for finding in seen.findings),
        suppressed=tuple(lived._replace(finding=told(lived.finding)) for lived in seen.suppressed),
    )


def telling(texts: Iterable[str], *, homes: bool = False) -> Callable[[Finding], Finding]:
    """Return what tells a finding without the secrets in `texts` and its own, and on request without names in paths into homes."""
    known = Known(secret.value for text in texts for secret in secrets(text))

    def told(finding: Finding) -> Finding:
        argv, text, safe = finding.remedy
        words = (mask(text, known) for text in (finding.what, finding.subject, text, *argv))
        what, subject, text, *command = (hidden(text) if homes else text for text in words)
        return finding._replace(
            what=what,
            path=mask(finding.path, known),
            subject=subject,
            remedy=Remedy(tuple(command), text, safe),
        )

    return told
