"""Verifications or verdicts as GitHub workflow commands, which annotate a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.report.formats.findings import found_in, line, path_of, sentence, table, title
from ckpt_tools.rules.coverage import not_checked
from ckpt_tools.rules.finding import Severity
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.report.formats.findings import Judgement
    from ckpt_tools.rules.finding import Finding, Verification
    from ckpt_tools.rules.rule import Rule

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_IN_DATA = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_IN_PROPERTY = (*_IN_DATA, (":", "%3A"), (",", "%2C"))


def render(judgements: Iterable[Judgement], rules: Iterable[Rule] | None = None) -> str:
    """Return a workflow command for each finding, and a summary line a checkpoint for the log.

    `rules` give the names; the default is the tool's own.
    """
    known = table(rules)
    return "".join(_log(judgement, known) for judgement in judgements)


def _log(judgement: Judgement, known: Mapping[str, Rule]) -> str:
    verification = found_in(judgement)
    commands = [_command(verification, finding, known) for finding in verification.findings]
    counts = [
        (severity, sum(finding.severity is severity for finding in verification.findings))
        for severity in Severity
    ]
    severities = ", ".join(count(number, severity) for severity, number in counts)
    suppressed = f", {len(verification.suppressed):,} suppressed" if verification.suppressed else ""
    decided = (
        f"; {'passes' if judgement.passes else 'fails'} profile {line(judgement.profile)}"
        if isinstance(judgement, Verdict)
        else ""
    )
    rest = "".join(f"; {text}" for text in (not_checked(verification.coverage),) if text)
    return (
        "\n".join(
            [*commands, f"{severities}{suppressed} in {line(verification.where)}{decided}{rest}"]
        )
        + "\n"
    )


def _command(verification: Verification, finding: Finding, known: Mapping[str, Rule]) -> str:
    place, name = line(path_of(verification, finding)), line(title(finding.code, known))
    properties = f"file={_escaped(place, _IN_PROPERTY)},title={_escaped(name, _IN_PROPERTY)}"
    return f"::{_COMMANDS[finding.severity]} {properties}::{_escaped(sentence(finding), _IN_DATA)}"


def _escaped(text: str, replacements: Iterable[tuple[str, str]]) -> str:
    for character, code in replacements:
        text = text.replace(character, code)
    return text
