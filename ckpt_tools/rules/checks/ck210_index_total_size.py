"""The total size that a shard index claims is that of the tensors.

`metadata.total_size` is the sum of the tensors' bytes. Loaders do not check it; the Hub and tools
that plan memory or downloads show it. One that is wrong is left from before a cast, a strip or a
change of shards: the index was not written with these shards.

`ckpt reshard` and `ckpt merge` write a right one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield a finding where the index claims another size."""
    index = subject.checkpoint.shard_index
    nbytes = sum(tensor.nbytes for tensor in subject.checkpoint.tensors)
    if index is not None and index.total_size is not None and index.total_size != nbytes:
        yield Violation(
            f"claims {index.total_size:,} bytes of tensors, and the shards hold {nbytes:,}",
            index.path,
            "/metadata/total_size",
        )


RULE = Rule(
    code="CK210",
    name="index-total-size",
    severity=Severity.NOTE,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt reshard WHERE",
    safe=True,
)
