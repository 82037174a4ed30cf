"""What the formats for machines have in common.

Where a finding is, in words and as a path, and how its words are kept from being obeyed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.rules.finding import Finding, Verification
    from ckpt_tools.rules.rule import Rule

type Judgement = Verification | Verdict
"""What `ckpt verify` found, or what `ckpt gate` decided."""

_SENTENCE = 2_000
"""How many characters of a sentence a report for machines keeps: what is longer is no sentence."""


def found_in(judgement: Judgement) -> Verification:
    """Return what was found."""
    return judgement.verification if isinstance(judgement, Verdict) else judgement


def stands_against(judgement: Judgement, finding: Finding) -> bool:
    """Whether a finding fails the checkpoint.

    For the gate by its profile, else if it is worse than a note.
    """
    return (
        finding in judgement.refused
        if isinstance(judgement, Verdict)
        else finding.severity is not Severity.NOTE
    )


def path_of(verification: Verification, finding: Finding) -> str:
    """Return the path of the file that a finding is about as one can open it, or of the checkpoint where it is about the whole."""
    if verification.checkpoint is None:
        return finding.path or verification.where
    return (
        f"{verification.checkpoint.root.rstrip('/')}/{finding.path}"
        if finding.path
        else verification.where
    )


def sentence(finding: Finding) -> str:
    """Return a finding as one line without its place: `subject: what.

    Next`, characters that something obeys escaped.
    """
    said = (
        f"{printable(finding.subject)}: {_safe(finding.what)}"
        if finding.subject
        else _safe(finding.what)
    )
    return f"{said}; {_safe(finding.next)}" if finding.next else said


def line(text: str) -> str:
    """Return any text as a line of a report.

    Escaped, and cut where it is longer than a sentence.
    """
    return _safe(text)


def title(code: str, rules: Mapping[str, Rule]) -> str:
    """Return a code with its rule's name."""
    return f"{code} {rules[code].name}" if code in rules else code


def table(rules: Iterable[Rule] | None) -> dict[str, Rule]:
    """Return rules by code; without any, the tool's own."""
    return {rule.code: rule for rule in (all_rules() if rules is None else rules)}


def fingerprints(verification: Verification, findings: Iterable[Finding]) -> list[str]:
    """Return what stays the same for each finding from run to run and place to place.

    Rule, file in the checkpoint, part of it, and which of several.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    found: list[str] = []
    for finding in findings:
        key = (finding.code, _below(verification, finding.path), finding.subject)
        found.append(
            hashlib.sha256(
                "\0".join((*key, str(seen[key]))).encode("utf-8", "surrogatepass")
            ).hexdigest()
        )
        seen[key] += 1
    return found


def _below(verification: Verification, path: str) -> str:
    """Return a path relative to the checkpoint: errors of reading have it as it was opened."""
    return (
        path.removeprefix(verification.where).lstrip("/")
        if verification.checkpoint is None
        else path
    )


def _safe(text: str) -> str:
    """Return `text` in printable characters, each of which XML allows too.

    The middle left out of what is too long.
    """
    if len(text) > _SENTENCE:
        text = f"{text[: _SENTENCE // 2]}…{text[-_SENTENCE // 2 :]}"
    return (
        text
        if text.isprintable()
        else "".join(
            character if character.isprintable() else repr(character)[1:-1] for character in text
        )
    )
