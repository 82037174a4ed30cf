"""No shard index lies beside a single weight file.

Such an index is left over from a sharded save. Readers do not agree which of the two counts:
transformers and LeRobot take model.safetensors, others take the index and miss its shards, or read
old ones.

Delete the index, or the file that it is meant to replace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each index beside model.safetensors."""
    checkpoint = subject.checkpoint
    if [file.path for file in checkpoint.weights] != ["model.safetensors"]:
        return
    listed = (
        entry.path
        for entry in subject.entries or ()
        if entry.kind != "folder" and "/" not in entry.path
    )
    for path in sorted(
        {path for path in (*checkpoint.paths, *listed) if path.endswith(INDEX_SUFFIX)}
    ):
        yield Violation("is a shard index, and model.safetensors beside it holds all weights", path)


RULE = Rule(
    code="CK209",
    name="index-beside-single-file",
    severity=Severity.WARNING,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="delete the index",
)
