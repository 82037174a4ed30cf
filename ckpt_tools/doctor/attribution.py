"""Which of two checkpoints is the wrong one.

A difference is REFLOW's fault only where NORMAL has what a clean checkpoint has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.model import Aspect
from ckpt_tools.doctor.side_by_side import setting
from ckpt_tools.families.family import Unknown
from ckpt_tools.strict_json.pointer import ABSENT, segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Subject

_OF_TRAINING = {"fields": frozenset({"CK702", "CK703"}), "teacher": frozenset({"CK301"})}
"""Rules about what only the training of a student leaves in a checkpoint."""


def swapped(normal: Iterable[Finding], reflow: Iterable[Finding]) -> Iterator[str]:
    """Yield the question whether the two are swapped, where NORMAL holds what only training a student leaves, and REFLOW does not."""
    left = {
        code: [finding for finding in normal if finding.code in codes]
        for code, codes in _OF_TRAINING.items()
    }
    codes = {finding.code for finding in reflow}
    fields = sorted({key_of(finding) for finding in left["fields"]} - {""})
    holds = [f"reflow fields ({', '.join(fields)})"] * bool(fields) + ["a teacher"] * bool(
        left["teacher"]
    )
    if holds and not any(codes & of for of in _OF_TRAINING.values()):
        yield f"NORMAL holds {' and '.join(holds)}, and REFLOW does not: are they swapped?"


def is_right(key: str, reflow: Subject) -> bool:
    """Whether a clean checkpoint has what REFLOW has at this key, so that it is NORMAL which has something else."""
    value, cleaning = setting(reflow.checkpoint, key), reflow.family.cleaning
    if cleaning is None:
        return False
    judge = next((watched.judge for watched in reflow.family.watched if watched.key == key), None)
    if judge or key in cleaning.reserved:
        return judge(value)[0] if judge else value is ABSENT
    clean = {"use_cache": True, **dict(cleaning.values)}
    return key in clean and value == clean[key]


def lacking(reflow: Subject) -> tuple[str, ...] | None:
    """Return the names that the loader looks for and does not find, None where nobody can tell which it looks for."""
    expected = reflow.family.expected(reflow.checkpoint)
    if isinstance(expected, Unknown):
        return None
    held = {tensor.name for tensor in reflow.checkpoint.tensors}
    return tuple(name for name in expected.tensors if name not in held)


def narrowed_to_normal(normal: Subject, reflow: Subject) -> bool:
    """Whether every dtype that is not NORMAL's is the one that a normal checkpoint has there.

    Then it is NORMAL whose file is large.
    """
    expected = reflow.family.expected(reflow.checkpoint)
    retyped = (
        []
        if isinstance(expected, Unknown)
        else compare(normal.checkpoint, reflow.checkpoint, aspects={Aspect.DTYPE}).retyped
    )
    return not isinstance(expected, Unknown) and all(
        (wanted := expected.tensors.get(mine.name)) and mine.dtype is wanted.normal
        for _, mine in retyped
    )


def key_of(finding: Finding) -> str:
    """Return the top-level key of config.json that a finding is about, "" for none."""
    return (
        segments(finding.subject)[0]
        if finding.path == "config.json" and finding.subject.startswith("/")
        else ""
    )
