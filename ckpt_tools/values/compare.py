"""One pass over the values of tensors that two checkpoints have in common.

What changed, exactly, in bounded memory, on all cores. Bytes are compared first, and where they are
equal nothing is decoded. Files are read, not mapped: a file that becomes shorter while it is mapped
kills the process. Every sum is taken over the same blocks whatever the number of threads, so that
the result is the same to the last bit.
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
from ckpt_tools.values.blocks import PIECE, Buffers, Span, threads
from ckpt_tools.values.cache import KnownPairs, Watch, numbers_in
from ckpt_tools.values.dtypes import root
from ckpt_tools.values.model import PairFacts
from ckpt_tools.values.pair_sums import Sums, added, piece_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.values.dtypes import Scaled

type Pair = tuple[Tensor, Tensor]

type Sides = tuple[tuple[str, TensorFile], tuple[str, TensorFile]]
"""The path and the header of a file of each checkpoint."""


def compare_values(
    a: Checkpoint,
    b: Checkpoint,
    pairs: Sequence[Pair],
    *,
    cached: bool = True,
    progress: Progress = SILENT,
) -> tuple[PairFacts, ...]:
    """Return the facts of each pair of tensors, A's and B's of equal shape.

    `cached` uses and updates the user's cache folder. Raises ChangedDuringRead or Unreadable with
    the path of the file.
    """
    progress.expect(sum(left.nbytes + right.nbytes for left, right in pairs))
    found: dict[Pair, PairFacts] = {}
    for sides, members in by_files(a, b, pairs):
        found |= _compare_files(sides, members, progress, cached=cached)
    return tuple(found[pair] for pair in pairs)


def by_files(
    a: Checkpoint, b: Checkpoint, pairs: Sequence[Pair]
) -> Iterator[tuple[Sides, list[Pair]]]:
    """Yield the pairs of tensors that lie in the same two files, together."""
    files = [{file.path: file for file in side.weights} for side in (a, b)]
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair[0].shard, pair[1].shard), []).append(pair)
    for shards, members in groups.items():
        one, two = (
            (os.path.join(side.root, of[shard].path), of[shard])
            for side, of, shard in zip((a, b), files, shards, strict=True)
        )
        yield (one, two), members


def watched(sides: Sides, stack: ExitStack) -> tuple[Watch, Watch]:
    """Open the two files until the stack is closed."""
    one, two = (Watch(path, stack.enter_context(open_regular(path))[0]) for path, _ in sides)
    return one, two


def settle(watches: tuple[Watch, Watch], sides: Sides, *, use: bool) -> None:
    """Refuse other files than those whose headers were read, and flush them for the cache."""
    for watch, (path, file) in zip(watches, sides, strict=True):
        if use:
            watch.settle()
        refuse_other(file, watch.descriptor, path)


def span_of(watch: Watch, side: tuple[str, TensorFile], tensor: Tensor) -> Span:
    """Return where a tensor lies in an open file."""
    return Span(watch.path, watch.descriptor, side[1].payload_start + tensor.start, tensor.dtype)


def _compare_files(
    sides: Sides, pairs: Sequence[Pair], progress: Progress, *, cached: bool
) -> dict[Pair, PairFacts]:
    """Return the facts of pairs of tensors in these two files, from the cache if possible."""
    with ExitStack() as stack:
        one, two = watched(sides, stack)
        known = KnownPairs(one, two, use=cached)
        found = {pair: facts for pair in pairs if (facts := known.get(*pair)) is not None}
        rest = sorted(
            (pair for pair in pairs if pair not in found), key=lambda pair: -pair[0].nbytes
        )
        settle((one, two), sides, use=cached and bool(rest))
        for a, b in found:
            progress.advance(a.nbytes + b.nbytes)
        jobs = [
            _Job(pair, (span_of(one, sides[0], pair[0]), span_of(two, sides[1], pair[1])))
            for pair in rest
        ]
        new = _measured(jobs, progress)
        one.check_unchanged()
        two.check_unchanged()
        known.add(new)
    return found | new


class _Job:
    """A pair of tensors in pieces, and the sums of each so far."""

    def __init__(self, pair: Pair, spans: tuple[Span, Span]) -> None:
        self.pair, self.spans = pair, spans
        count = pair[0].parameters
        self.pieces = [range(first, min(first + PIECE, count)) for first in range(0, count, PIECE)]
        self.found = [Sums(same_bytes=True)] * len(self.pieces)

    def add(self, index: int, buffers: Buffers, advance: Callable[[int], None]) -> None:
        """Find the sums of a piece, or that its bytes are equal."""
        self.found[index] = piece_sums(buffers, self.spans, self.pieces[index])
        advance(sum(len(self.pieces[index]) * span.dtype.bits // 8 for span in self.spans))

    def add_norms(self, index: int, buffers: Buffers) -> None:
        """Find the sums of a piece whose bytes are equal."""
        self.found[index] = piece_sums(buffers, self.spans, self.pieces[index], norms=True)

    def lacking(self) -> list[int]:
        """Return the pieces whose norms are unknown although the tensor changed elsewhere."""
        same = [index for index, piece in enumerate(self.found) if piece.same_bytes]
        return same if len(same) < len(self.found) else []


def _measured(jobs: Sequence[_Job], progress: Progress) -> dict[Pair, PairFacts]:
    """Return the facts of each pair. Threads share the pieces of all, in this order."""
    workers, buffers = WorkerPool(threads(), progress.advance), Buffers()
    workers.do(
        (job.add, (index, buffers, workers.advance))
        for job in jobs
        for index in range(len(job.pieces))
    )
    workers.do((job.add_norms, (index, buffers)) for job in jobs for index in job.lacking())
    return {job.pair: _facts(*job.pair, job.found) for job in jobs}


def _facts(a: Tensor, b: Tensor, pieces: Sequence[Sums]) -> PairFacts:
    elements = max(numbers_in(a), numbers_in(b))
    if all(piece.same_bytes for piece in pieces):
        return PairFacts(elements, same_bytes=a.dtype is b.dtype)
    sums = added(pieces)
    a_norm, change = root(sums.aa), root(sums.dd)
    return PairFacts(
        elements,
        same_bytes=False,
        changed=sums.changed,
        broken=sums.broken,
        max_abs=sums.max_abs,
        l2_a=a_norm,
        l2_b=root(sums.bb),
        l2_change=change,
        cosine=_cosine(sums.aa, sums.bb, sums.ab),
        rel_l2_of_huge=_ratio(sums.dd, sums.aa) if inf in (a_norm, change) else 0.0,
    )


def _ratio(dd: Scaled, aa: Scaled) -> float:
    """Return the quotient of two norms, given their squares, neither of which need be a double.

    Infinite where it exceeds the largest double itself.
    """
    return root((dd[0] / aa[0], dd[1] - aa[1])) if aa[0] else inf


def _cosine(aa: Scaled, bb: Scaled, ab: Scaled) -> float:
    """Return the cosine; 1 between zeros, 0 between zeros and something."""
    if not aa[0] or not bb[0]:
        return 1.0 if aa[0] == bb[0] else 0.0
    exponent = ab[1] - (aa[1] + bb[1]) // 2
    return max(-1.0, min(1.0, ab[0] / sqrt(aa[0]) / sqrt(bb[0]) * 2.0**exponent))
