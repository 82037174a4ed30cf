"""One pass over the values of tensors that two checkpoints have in common.

What changed, exactly, in bounded memory, on all cores.

Bytes are compared first, and where they are equal nothing is decoded. Files are read, not mapped: a
file that becomes shorter while it is mapped kills the process. Every sum is taken over the same
blocks whatever the number of threads, so that the result is the same to the last bit.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from math import inf, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.read import refuse_other
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.threads import WorkerPool
from ckpt_tools.values import cache as value_cache
from ckpt_tools.values.blocks import PIECE, BufferPool, Span, threads
from ckpt_tools.values.dtypes import root, total
from ckpt_tools.values.model import PairFacts
from ckpt_tools.values.pair_sums import Sums, piece_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.values.dtypes import Scaled

type Pair = tuple[Tensor, Tensor]


def compare_values(
    a: Checkpoint,
    b: Checkpoint,
    pairs: Sequence[Pair],
    *,
    cached: bool = True,
    progress: Progress = SILENT,
) -> tuple[PairFacts, ...]:
    """Return the facts of each pair of tensors, A's and B's of equal shape.

    `progress` is called with the bytes done since the last call.

    `cached` takes and leaves what is known in the user's cache folder. Raises ChangedDuringRead or
    Unreadable with the path of the file.
    """
    files_a, files_b = (
        {file.path: file for file in a.weights},
        {file.path: file for file in b.weights},
    )
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair[0].shard, pair[1].shard), []).append(pair)
    found: dict[Pair, PairFacts] = {}
    progress.expect(sum(left.nbytes + right.nbytes for left, right in pairs))
    for (shard_a, shard_b), members in groups.items():
        sides = (_Side(a, files_a[shard_a]), _Side(b, files_b[shard_b]))
        found |= _compare_files(sides, members, progress, cached=cached)
    return tuple(found[pair] for pair in pairs)


class _Side:
    """A tensor file of one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, file: TensorFile) -> None:
        self.path = os.path.join(checkpoint.root, file.path)
        self.payload = file.payload_start
        self.file = file


class _Job:
    """A pair of tensors in pieces, and what was found of each so far."""

    def __init__(self, pair: Pair, spans: tuple[Span, Span]) -> None:
        self.pair, self.spans = pair, spans
        count = pair[0].parameters
        self.pieces = [range(first, min(first + PIECE, count)) for first in range(0, count, PIECE)]
        self.found = [Sums(same_bytes=True)] * len(self.pieces)

    def look(self, index: int, benches: BufferPool, tell: Callable[[int], None]) -> None:
        """Find the sums of a piece, or that its bytes are equal."""
        with benches.one() as bench:
            self.found[index] = piece_sums(bench, self.spans, self.pieces[index])
        tell(sum(len(self.pieces[index]) * span.dtype.bits // 8 for span in self.spans))

    def add_norms(self, index: int, benches: BufferPool) -> None:
        """Find the sums of a piece whose bytes are equal."""
        with benches.one() as bench:
            self.found[index] = piece_sums(bench, self.spans, self.pieces[index], norms=True)

    def lacking(self) -> list[int]:
        """Return which pieces' norms are not known, although the tensor changed elsewhere."""
        same = [index for index, piece in enumerate(self.found) if piece.same_bytes]
        return same if len(same) < len(self.found) else []


def _compare_files(
    sides: tuple[_Side, _Side],
    pairs: Sequence[Pair],
    progress: Progress,
    *,
    cached: bool,
) -> dict[Pair, PairFacts]:
    """Return the facts of pairs whose tensors lie in these two files, from the cache as far as it knows them."""
    left, right = sides
    with ExitStack() as stack:
        (one, _), (two, _) = (stack.enter_context(open_regular(side.path)) for side in sides)
        watches = value_cache.Watch(left.path, one), value_cache.Watch(right.path, two)
        known = value_cache.KnownPairs(*watches, use=cached)
        found = {pair: facts for pair in pairs if (facts := known.get(*pair)) is not None}
        rest = sorted(
            (pair for pair in pairs if pair not in found), key=lambda pair: -pair[0].nbytes
        )
        for watch, side in zip(watches, sides, strict=True):
            if cached and rest:
                watch.settle()
            refuse_other(side.file, watch.descriptor, side.path)
        for a, b in found:
            progress.advance(a.nbytes + b.nbytes)
        new = _measured(sides, (one, two), rest, progress) if rest else {}
        for watch in watches:
            watch.check_unchanged()
        known.add(new)
    return found | new


def _measured(
    sides: tuple[_Side, _Side],
    descriptors: tuple[int, int],
    pairs: Sequence[Pair],
    progress: Progress,
) -> dict[Pair, PairFacts]:
    """Return the facts of each pair. Threads share the pieces of all, in this order."""
    (one, two), (left, right) = descriptors, sides
    jobs = [
        _Job(
            (a, b),
            (
                Span(left.path, one, left.payload + a.start, a.dtype),
                Span(right.path, two, right.payload + b.start, b.dtype),
            ),
        )
        for a, b in pairs
    ]
    team, benches = WorkerPool(threads(), progress.advance), BufferPool()
    team.do(
        (job.look, (index, benches, team.tell)) for job in jobs for index in range(len(job.pieces))
    )
    team.do((job.add_norms, (index, benches)) for job in jobs for index in job.lacking())
    return {job.pair: _facts(*job.pair, job.found) for job in jobs}


def _facts(a: Tensor, b: Tensor, pieces: Sequence[Sums]) -> PairFacts:
    elements = max(value_cache.numbers_in(a), value_cache.numbers_in(b))
    if all(piece.same_bytes for piece in pieces):
        return PairFacts(elements, same_bytes=a.dtype is b.dtype)
    aa, bb, dd, ab = (
        total(getattr(piece, name) for piece in pieces) for name in ("aa", "bb", "dd", "ab")
    )
    a_norm, change = root(aa), root(dd)
    return PairFacts(
        elements,
        same_bytes=False,
        changed=sum(piece.changed for piece in pieces),
        broken=sum(piece.broken for piece in pieces),
        max_abs=max(piece.max_abs for piece in pieces),
        l2_a=a_norm,
        l2_b=root(bb),
        l2_change=change,
        cosine=_cosine(aa, bb, ab),
        rel_l2_of_huge=_ratio(dd, aa) if inf in (a_norm, change) else 0.0,
    )


def _ratio(dd: Scaled, aa: Scaled) -> float:
    """Return the quotient of two norms whose squares these are, neither of which need be a double.

    Infinite where it is none itself.
    """
    return root((dd[0] / aa[0], dd[1] - aa[1])) if aa[0] else inf


def _cosine(aa: Scaled, bb: Scaled, ab: Scaled) -> float:
    """Return the cosine; 1 between zeros, 0 between zeros and something."""
    if not aa[0] or not bb[0]:
        return 1.0 if aa[0] == bb[0] else 0.0
    exponent = ab[1] - (aa[1] + bb[1]) // 2
    return max(-1.0, min(1.0, ab[0] / sqrt(aa[0]) / sqrt(bb[0]) * 2.0**exponent))
