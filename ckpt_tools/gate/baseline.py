"""Fingerprints of findings, and a baseline: the findings of an earlier report, which are accepted.

Pure.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import BaselineInvalid, JsonInvalid
from ckpt_tools.rules.finding import Suppressed
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.rules.finding import Finding, Verification

LIMIT = 1 << 28
"""Bytes of a report that are read."""

_SCHEMAS = ("ckpt-tools/findings.schema.json", "ckpt-tools/verdict.schema.json")


class Baseline(NamedTuple):
    """The fingerprints of the findings in the file `path`, by the checkpoint they are about."""

    path: str
    known: Mapping[str, frozenset[str]]

    def known_in(self, where: str) -> frozenset[str]:
        """Return the fingerprints for a checkpoint. A report about one counts for any other."""
        if len(self.known) == 1:
            return next(iter(self.known.values()))
        return self.known.get(where, frozenset())


def parse_baseline(data: bytes, path: str) -> Baseline:
    """Return the baseline in what `--format json` wrote: one document, or one a line.

    Raises BaselineInvalid.
    """
    try:
        text = decode_utf8(data).strip()
        lines = text.splitlines()
        texts = [text] if lines[:1] in ([], ["{"]) else lines
        return Baseline(path, dict(_document(parse_object(one)) for one in texts))
    except (JsonInvalid, BaselineInvalid) as error:
        raise BaselineInvalid(
            f"is not a report of verify or gate: {error.what}", path=path
        ) from None


def apply_baseline(verification: Verification, baseline: Baseline) -> Verification:
    """Return a verification whose known findings are suppressed, with the baseline as reason."""
    known = baseline.known_in(verification.where)
    marks = fingerprints(
        (*verification.findings, *(one.finding for one in verification.suppressed))
    )
    pairs = list(zip(verification.findings, marks, strict=False))  # the suppressed come after
    reason = f"in the baseline {baseline.path}"
    old = (Suppressed(finding, reason) for finding, mark in pairs if mark in known)
    return verification._replace(
        findings=tuple(finding for finding, mark in pairs if mark not in known),
        suppressed=(*verification.suppressed, *old),
    )


def fingerprints(findings: Iterable[Finding]) -> list[str]:
    """Return a digest for each finding that does not depend on the run or the checkpoint's path.

    It covers the rule, the file, the subject, and the number among equal ones.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    found: list[str] = []
    for finding in findings:
        key = (finding.code, finding.path, finding.subject)
        found.append(
            hashlib.sha256(
                "\0".join((*key, str(seen[key]))).encode("utf-8", "surrogatepass")
            ).hexdigest()
        )
        seen[key] += 1
    return found


def _document(value: Mapping[str, object]) -> tuple[str, frozenset[str]]:
    """Return the checkpoint of a report, and the fingerprints of its findings."""
    where, findings = value.get("where"), value.get("findings")
    if value.get("$schema") not in _SCHEMAS or not isinstance(where, str):
        raise BaselineInvalid(f'its "$schema" is none of {", ".join(_SCHEMAS)}')
    marks = [
        one.get("fingerprint") if isinstance(one, dict) else None
        for one in (findings if isinstance(findings, list) else [None])
    ]
    texts = frozenset(mark for mark in marks if isinstance(mark, str))
    if None in marks or len(texts) != len(marks):
        raise BaselineInvalid("its findings have no fingerprints")
    return where, texts
