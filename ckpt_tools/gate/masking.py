"""Removes secrets, and on request user names, from findings.

A rule quotes what it reports, and the logs of CI systems are public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.scan.home_paths import hidden
from ckpt_tools.scan.redact import Known
from ckpt_tools.scan.secrets import mask, secrets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.rules.finding import Finding, Verification


def masked(
    verification: Verification, texts: Iterable[str], *, homes: bool = False
) -> Verification:
    """Return a verification whose findings show no secret, nor a piece of one in `texts`.

    `texts` are what rules may have quoted. With `homes`, user names in paths are hidden too.
    """
    if not verification.findings and not verification.suppressed:
        return verification
    known = Known(secret.value for text in texts for secret in secrets(text))

    def clean(finding: Finding) -> Finding:
        argv, text, safe = finding.remedy
        parts = (mask(part, known) for part in (finding.what, finding.subject, text, *argv))
        what, subject, text, *command = (hidden(part) if homes else part for part in parts)
        remedy = Remedy(tuple(command), text, safe)
        path = mask(finding.path, known)
        return finding._replace(what=what, path=path, subject=subject, remedy=remedy)

    return verification._replace(
        findings=tuple(map(clean, verification.findings)),
        suppressed=tuple(
            one._replace(finding=clean(one.finding)) for one in verification.suppressed
        ),
    )
