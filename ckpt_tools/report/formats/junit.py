"""Verifications or verdicts as JUnit XML, one test case per rule.

A finding that fails the checkpoint is a failure: errors and warnings, or for the gate what its
profile rejects. Skipped rules are skipped cases; other and suppressed findings are a case's output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ckpt_tools.report.formats.findings import (
    fails,
    found_in,
    line,
    path_of,
    sentence,
    table,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.report.formats.findings import Judgement
    from ckpt_tools.rules.finding import Finding, Verification
    from ckpt_tools.rules.rule import Rule


def render(judgements: Iterable[Judgement], rules: Iterable[Rule] | None = None) -> str:
    """Return verifications or verdicts as JUnit XML, one test suite each.

    `rules` are all that may be named, by default the tool's own.
    """
    known = table(rules)
    made = [_suite(judgement, known) for judgement in judgements]
    totals = {
        name: str(sum(int(suite.get(name, "0")) for suite in made))
        for name in ("tests", "failures", "errors")
    }
    suites = Element("testsuites", {"name": "ckpt", **totals})
    suites.extend(made)
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, encoding="unicode")}\n'


def _suite(judgement: Judgement, known: Mapping[str, Rule]) -> Element:
    verification = found_in(judgement)
    codes = sorted({*verification.checked, *(finding.code for finding in verification.findings)})
    cases = [_case(judgement, code, known) for code in codes]
    skipped = [
        _skipped(verification, skip.code, skip.reason, known)
        for skip in verification.skipped
        if skip.code not in codes
    ]
    failures = sum(case.find("failure") is not None for case in cases)
    counts = {"tests": str(len(cases) + len(skipped)), "failures": str(failures), "errors": "0"}
    suite = Element(
        "testsuite",
        {"name": line(verification.where), **counts, "skipped": str(len(skipped))},
    )
    properties = SubElement(suite, "properties")
    for one in verification.coverage:
        value = f"{one.state}: {line(one.detail)}" if one.detail else str(one.state)
        SubElement(properties, "property", {"name": f"coverage.{one.question}", "value": value})
    suite.extend([*cases, *skipped])
    return suite


def _case(judgement: Judgement, code: str, known: Mapping[str, Rule]) -> Element:
    verification = found_in(judgement)
    case = _empty(verification, code, known)
    found = [finding for finding in verification.findings if finding.code == code]
    bad = [finding for finding in found if fails(judgement, finding)]
    if bad:
        more = f" (and {len(bad) - 1:,} more)" if len(bad) > 1 else ""
        failure = SubElement(
            case,
            "failure",
            {"type": bad[0].severity, "message": _sentence(verification, bad[0]) + more},
        )
        failure.text = "\n".join(_sentence(verification, finding) for finding in bad)
    output = [_sentence(verification, finding) for finding in found if finding not in bad]
    output += [
        f"{_sentence(verification, accepted.finding)}; suppressed: {line(accepted.reason)}"
        for accepted in verification.suppressed
        if accepted.finding.code == code
    ]
    if output:
        SubElement(case, "system-out").text = "\n".join(output)
    return case


def _skipped(
    verification: Verification, code: str, reason: str, known: Mapping[str, Rule]
) -> Element:
    case = _empty(verification, code, known)
    SubElement(case, "skipped").text = line(reason)
    return case


def _empty(verification: Verification, code: str, known: Mapping[str, Rule]) -> Element:
    return Element(
        "testcase",
        {"classname": f"ckpt.{verification.family}", "name": line(title(code, known)), "time": "0"},
    )


def _sentence(verification: Verification, finding: Finding) -> str:
    return f"{line(path_of(verification, finding))}: {sentence(finding)}"
