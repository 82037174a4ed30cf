"""Findings and verdicts as JSON documents that name their schema. Names are exact and complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.gate.baseline import fingerprints
from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.report.formats.findings import table
from ckpt_tools.report.json.document import coverage_entry, transfer
from ckpt_tools.rules.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.report.formats.findings import Judgement
    from ckpt_tools.report.json.document import JsonDict
    from ckpt_tools.rules.finding import Finding, Verification
    from ckpt_tools.rules.rule import Rule

FINDINGS_SCHEMA = "ckpt-tools/findings.schema.json"
VERDICT_SCHEMA = "ckpt-tools/verdict.schema.json"


def document(record: Judgement, rules: Iterable[Rule] | None = None) -> JsonDict:
    """Return a verification by `findings.schema.json`, a verdict by `verdict.schema.json`.

    `rules` give the names; the default is the tool's own.
    """
    return (
        verdict_document(record, rules)
        if isinstance(record, Verdict)
        else findings_document(record, rules)
    )


def findings_document(verification: Verification, rules: Iterable[Rule] | None = None) -> JsonDict:
    """Return the document of `ckpt verify`."""
    return {"$schema": FINDINGS_SCHEMA, **_body(verification, rules)}


def verdict_document(verdict: Verdict, rules: Iterable[Rule] | None = None) -> JsonDict:
    """Return the document of `ckpt gate`: the verdict and its verification."""
    refused = sorted({finding.code for finding in verdict.refused})
    return {
        "$schema": VERDICT_SCHEMA,
        "profile": verdict.profile,
        "passes": verdict.passes,
        "refused": refused,
        **_body(verdict.verification, rules),
    }


def _body(verification: Verification, rules: Iterable[Rule] | None) -> JsonDict:
    known = table(rules)
    findings = [*verification.findings, *(accepted.finding for accepted in verification.suppressed)]
    entries = [
        _finding(finding, known, mark)
        for finding, mark in zip(findings, fingerprints(findings), strict=True)
    ]
    count = len(verification.findings)
    return {
        "where": verification.where,
        "root": verification.checkpoint.root if verification.checkpoint else None,
        "family": verification.family,
        **transfer(verification.transferred),
        "clean": verification.clean,
        "counts": {
            str(severity): sum(finding.severity is severity for finding in verification.findings)
            for severity in Severity
        },
        "findings": entries[:count],
        "suppressed": [
            entry | {"reason": accepted.reason}
            for entry, accepted in zip(entries[count:], verification.suppressed, strict=True)
        ],
        "asked": list(verification.checked),
        "skipped": [{"code": skip.code, "reason": skip.reason} for skip in verification.skipped],
        **coverage_entry(verification.coverage),
    }


def _finding(finding: Finding, known: Mapping[str, Rule], mark: str) -> JsonDict:
    name = known[finding.code].name if finding.code in known else None
    where = {"path": finding.path, "subject": finding.subject}
    return {
        "code": finding.code,
        "name": name,
        "severity": str(finding.severity),
        "what": finding.what,
        **where,
        "next": finding.next,
        "fingerprint": mark,
    }
