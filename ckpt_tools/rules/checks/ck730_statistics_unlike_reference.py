"""Statistics are those of the reference.

A student acts in the space that its teacher was trained in. Stock `lerobot-train` replaces a
pretrained policy's statistics by those of the dataset it trains on: a distilled student then means
something else by the same numbers. Of another policy than the teacher other statistics are in
order, so this is a note.

Copy the teacher's processors and their state files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import POST, PRE, alike, normalizers, read_at_inference
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.processors import Statistic
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a statistic that both have."""
    if subject.reference is None:
        return
    other = subject._replace(checkpoint=subject.reference)
    for path in (PRE, POST):
        normal = {statistic.name: statistic for _, statistic in _read(other, path)}
        for file, statistic in _read(subject, path):
            if statistic.name in normal and not alike(statistic, normal[statistic.name]):
                yield Violation(
                    "differs from the reference's",
                    file,
                    statistic.name,
                    "copy the teacher's processors if the reference is the teacher",
                )


def _read(subject: Subject, path: str) -> Iterator[tuple[str, Statistic]]:
    for normalizer in normalizers(subject, path):
        for read in read_at_inference(subject, normalizer):
            yield from ((normalizer.file, statistic) for statistic in read.pair or ())


RULE = Rule(
    code="CK730",
    name="statistics-unlike-reference",
    severity=Severity.NOTE,
    needs=frozenset({Need.BASELINE}),
    check=check,
    page=__doc__,
)
