"""What the machine-readable formats share: paths, one-line sentences, names of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.edit.sanitize import REFERENCE_HINT
from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.remedy import REFERENCE
from ckpt_tools.text import escaped, placed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.rules.finding import Finding, Verification
    from ckpt_tools.rules.rule import Rule

type Judgement = Verification | Verdict
"""The result of `ckpt verify` or `ckpt gate`."""

_SENTENCE = 2_000
"""Characters of a sentence that are kept; the middle of a longer one is left out."""


def found_in(judgement: Judgement) -> Verification:
    """Return the verification of either result."""
    return judgement.verification if isinstance(judgement, Verdict) else judgement


def fails(judgement: Judgement, finding: Finding) -> bool:
    """Whether a finding fails the checkpoint: by the gate's profile, or if it is not a note."""
    return (
        finding in judgement.refused
        if isinstance(judgement, Verdict)
        else finding.severity is not Severity.NOTE
    )


def path_of(verification: Verification, finding: Finding) -> str:
    """Return the path of a finding's file, as it can be opened, or the checkpoint's.

    The settings are a file outside of it.
    """
    where, path = verification.where.rstrip("/"), finding.path
    if path and path == verification.settings:
        return path
    if verification.checkpoint is not None:
        return f"{verification.checkpoint.root.rstrip('/')}/{path}" if path else verification.where
    is_where = not path or path == where.rpartition("/")[2]
    return verification.where if is_where else f"{where}/{path}"


def sentence(finding: Finding) -> str:
    """Return a finding as one escaped line without its path: `subject: what; next`.

    Each is shown by itself, so it says what NORMAL is in its command.
    """
    remedy = f"; {line(finding.next)}" if finding.next else ""
    if REFERENCE in finding.remedy.argv:
        remedy += f" ({REFERENCE_HINT})"
    return line(placed("", finding.subject, finding.what)) + remedy


def line(text: str) -> str:
    """Return `text` as one escaped line, in characters that XML allows, shortened if very long."""
    if len(text) > _SENTENCE:
        text = f"{text[: _SENTENCE // 2]}…{text[-_SENTENCE // 2 :]}"
    return escaped(text)


def title(code: str, rules: Mapping[str, Rule]) -> str:
    """Return a code and its rule's name."""
    return f"{code} {rules[code].name}" if code in rules else code


def table(rules: Iterable[Rule] | None) -> dict[str, Rule]:
    """Return rules by code; without any, the tool's own."""
    return {rule.code: rule for rule in (all_rules() if rules is None else rules)}
