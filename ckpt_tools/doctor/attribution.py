"""Which of the two checkpoints is at fault for a difference.

A difference is REFLOW's fault only where NORMAL has what a clean checkpoint has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.doctor.model import Note, NoteKind
from ckpt_tools.doctor.side_by_side import setting
from ckpt_tools.families.family import Unknown
from ckpt_tools.strict_json.pointer import ABSENT, segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Subject

_FIELDS, _TEACHER = frozenset({"CK702", "CK703"}), frozenset({"CK301"})
_TRAINED = "CK741"
"""Rules about what only the training of a student leaves in a checkpoint, also in a correct one."""


def swapped(normal: Iterable[Finding], reflow: Iterable[Finding], exchanged: str) -> Iterator[Note]:
    """Yield a note if NORMAL has traces of reflow training and REFLOW has none.

    `exchanged` is the command that diagnoses them the other way round.
    """
    codes = {finding.code for finding in normal}
    keys = {key_of(finding) for finding in normal if finding.code in _FIELDS}
    fields = ", ".join(sorted(keys - {""}))
    traces = [f"reflow-training fields ({fields})"] * bool(fields) + ["teacher weights"] * bool(
        codes & _TEACHER
    )
    if not traces and _TRAINED in codes:
        traces = ["a train_config.json of reflow training"]
    own = _FIELDS | _TEACHER | {_TRAINED}
    if traces and not any(finding.code in own for finding in reflow):
        yield Note(NoteKind.SWAPPED, " and ".join(traces), command=exchanged)


def is_right(key: str, reflow: Subject) -> bool:
    """Whether REFLOW has a clean checkpoint's value at this key, so that NORMAL is wrong."""
    value, cleaning = setting(reflow.checkpoint, key), reflow.family.cleaning
    if cleaning is None:
        return False
    evaluate = next(
        (critical.evaluate for critical in reflow.family.watched if critical.key == key), None
    )
    if evaluate:
        return evaluate(value)[0]
    if key in cleaning.reserved:
        return value is ABSENT
    clean = {"use_cache": True, **dict(cleaning.values)}
    return key in clean and value == clean[key]


def lacking(reflow: Subject) -> tuple[str, ...] | None:
    """Return the names that the loader expects and REFLOW lacks, None where they are unknown."""
    expected = reflow.family.expected(reflow.checkpoint)
    if isinstance(expected, Unknown):
        return None
    return tuple(expected.missing(tensor.name for tensor in reflow.checkpoint.tensors))


def key_of(finding: Finding) -> str:
    """Return the top-level key of config.json that a finding is about, "" for none."""
    return (
        segments(finding.subject)[0]
        if finding.path == CONFIG and finding.subject.startswith("/")
        else ""
    )
