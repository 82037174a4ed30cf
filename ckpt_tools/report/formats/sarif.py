"""Verifications as SARIF 2.1.0, the format of code scanning.

Rules with their pages, results with levels, places and fingerprints that stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import __version__
from ckpt_tools.gate.baseline import fingerprints
from ckpt_tools.report.formats.findings import (
    found_in,
    line,
    path_of,
    sentence,
    table,
)
from ckpt_tools.report.json.document import coverage_entry, dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ckpt_tools.report.formats.findings import Judgement
    from ckpt_tools.report.json.document import JsonDict
    from ckpt_tools.rules.finding import Finding, Skipped, Verification
    from ckpt_tools.rules.rule import Rule

SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
FINGERPRINT = "ckptFinding/v1"

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def render(judgements: Sequence[Judgement], rules: Iterable[Rule] | None = None) -> str:
    """Return verifications or verdicts as SARIF, one run each.

    `rules` are all that may be named, by default the tool's own.
    """
    known = table(rules)
    runs = [_run(found_in(judgement), known) for judgement in judgements]
    if len(runs) > 1:
        # Code scanning takes several runs of a tool only in categories of their own.
        for run, judgement in zip(runs, judgements, strict=True):
            run["automationDetails"] = {"id": f"ckpt/{uri(found_in(judgement).where)}/"}
    return dump({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": runs})


def _run(verification: Verification, known: Mapping[str, Rule]) -> JsonDict:
    places = {code: place for place, code in enumerate(known)}
    lived = {
        len(verification.findings) + place: one.reason
        for place, one in enumerate(verification.suppressed)
    }
    findings = [*verification.findings, *(one.finding for one in verification.suppressed)]
    prints = fingerprints(findings)
    results = [
        _result(verification, finding, places) | {"partialFingerprints": {FINGERPRINT: prints[at]}}
        for at, finding in enumerate(findings)
    ]
    for at, reason in lived.items():
        results[at]["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": line(reason)}
        ]
    driver = {
        "name": "ckpt",
        "version": __version__,
        "rules": [_rule(rule) for rule in known.values()],
    }
    invocation = {
        "executionSuccessful": True,
        "toolConfigurationNotifications": [_skipped(skip, places) for skip in verification.skipped],
    }
    return {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": coverage_entry(verification.coverage),
    }


def _rule(rule: Rule) -> JsonDict:
    first, _, rest = rule.page.strip().partition("\n")
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": first.strip()},
        "fullDescription": {"text": rest.strip() or first.strip()},
        "help": {"text": rule.page.strip(), "markdown": rule.page.strip()},
        "defaultConfiguration": {"level": str(rule.severity)},
        "properties": {"tags": ["checkpoint", *(["supply-chain"] if rule.supply_chain else [])]},
    }


def _result(verification: Verification, finding: Finding, places: dict[str, int]) -> JsonDict:
    # A line is what code scanning asks of every place; a binary file has none, and gets the first.
    physical = {
        "artifactLocation": {"uri": uri(path_of(verification, finding))},
        "region": {"startLine": 1},
    }
    location: JsonDict = {"physicalLocation": physical}
    if finding.subject:
        location["logicalLocations"] = [{"fullyQualifiedName": line(finding.subject)}]
    found: JsonDict = {
        "ruleId": finding.code,
        "level": str(finding.severity),
        "message": {"text": sentence(finding)},
        "locations": [location],
    }
    return found | ({"ruleIndex": places[finding.code]} if finding.code in places else {})


def _skipped(skip: Skipped, places: dict[str, int]) -> JsonDict:
    index = {"index": places[skip.code]} if skip.code in places else {}
    return {
        "level": "note",
        "message": {"text": f"skipped: {line(skip.reason)}"},
        "associatedRule": {"id": skip.code} | index,
    }


def uri(path: str) -> str:
    """Return a path as a URI reference, every byte that has a meaning there escaped.

    Absolute paths as `file:` URIs.
    """
    quoted = "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"
        for byte in path.encode("utf-8", "surrogateescape" if _bytes(path) else "surrogatepass")
    )
    if path.startswith("/"):
        return f"file:///{quoted.lstrip('/')}"
    return quoted.removeprefix("./") or "."


def _bytes(path: str) -> bool:
    """Whether the lone surrogates in a path all stand for bytes of a name that is no UTF-8."""
    return all(
        "\udc80" <= character <= "\udcff" for character in path if "\ud800" <= character <= "\udfff"
    )
