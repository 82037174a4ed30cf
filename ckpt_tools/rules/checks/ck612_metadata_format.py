"""If the metadata names a format, it is pt.

`format` says which framework the weights were saved from: pt, tf, flax, np, mlx. transformers
refuses a file whose format is none of those it knows, and takes tf or flax for weights of another
layout. LeRobot does not look.

If the weights are PyTorch's, set it: `ckpt plan` with `metadata`, or `ckpt sanitize --reference`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_LONGEST = 40


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each weight file."""
    for file in subject.checkpoint.weights:
        name = dict(file.metadata or ()).get("format", "pt")
        if name != "pt":
            yield Violation(
                f"the metadata says format {name[:_LONGEST]!r}, and PyTorch's is 'pt'",
                file.path,
                "__metadata__/format",
            )


RULE = Rule(
    code="CK612",
    name="metadata-format",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt plan WHERE RECIPE, with `metadata` in the recipe",
)
