"""One pass over the values of tensors that two checkpoints have in common: what changed, exactly, in bounded memory, on all cores; numpy only.

Bytes are compared first, and where they are equal nothing is decoded. Files are read, not mapped: a file that becomes shorter while it is mapped kills
the process. Every sum is taken over the same blocks whatever the number of threads, so that the result is the same to the last bit.
"""

from __future__ import annotations

import importlib
import os
from collections import deque
from contextlib import ExitStack
from math import fsum, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.errors import ChangedUnderneath, CkptError
from ckpt_tools.records.dtype import Dtype
from ckpt_tools.records.tensor_change import PairFacts
from ckpt_tools.store import value_cache
from ckpt_tools.store.copying import no_progress, read_into
from ckpt_tools.store.files import open_regular
from ckpt_tools.store.numbers import BLOCK, INTEGERS, ZERO, Scaled, Space, dot, largest, native, product, root, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckpt_tools.records.checkpoint import Checkpoint, Tensor, TensorFile
    from ckpt_tools.store.numbers import Array

PIECE = 8 * BLOCK
"""Elements that one thread takes at a time: large tensors are shared among threads, and small ones wait for nobody."""

MOST_THREADS = 16
"""Each has buffers of nine megabytes."""

GLANCE = 1 << 10
"""Elements that tell of most pieces that they changed."""

AHEAD = 256
"""Pieces that wait for a thread."""

_APART = 1e4
"""How many times larger one square of a norm may be than the other before the scalar product is no longer taken from norms."""

type Pair = tuple[Tensor, Tensor]


class Place(NamedTuple):
    """Where a tensor's bytes are: an open file, and the offset of the first in it."""

    descriptor: int
    start: int
    dtype: Dtype

    def read(self, space: Space, first: int, count: int) -> Array:
        """Return the bytes of `count` elements from `first`, in `space`. Raises ChangedUnderneath or Unreadable."""
        length = count * self.dtype.bits // 8
        part = memoryview(space.raw)[:length]
        done = 0
        while done < length:
            done += read_into(self.descriptor, part[done:], self.start + first * self.dtype.bits // 8 + done)
        return space.raw[:length]


class _Sums(NamedTuple):
    """What a piece of a pair, or a block of a piece, adds to its facts: the squares of a, of b, of b - a, and the scalar product of a and b."""

    same_bytes: bool
    changed: int = 0
    broken: int = 0
    max_abs: float = 0.0
    aa: Scaled = ZERO
    bb: Scaled = ZERO
    dd: Scaled = ZERO
    ab: Scaled = ZERO


class Bench:
    """The memory that a thread works in."""

    def __init__(self) -> None:
        self.np = importlib.import_module("numpy")
        self.a, self.b = Space(self.np), Space(self.np)
        self.mask = self.np.empty(2 * BLOCK, bool)


def threads() -> int:
    """Return how many threads there are: one for each core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_THREADS)


def compare_values(
    a: Checkpoint, b: Checkpoint, pairs: Sequence[Pair], *, cached: bool = True, progress: Callable[[int], None] = no_progress
) -> tuple[PairFacts, ...]:
    """Return the facts of each pair of tensors, A's and B's of equal shape. `progress` is called with the bytes done since the last call.

    `cached` takes and leaves what is known in the user's cache folder. Raises ChangedUnderneath or Unreadable with the path of the file.
    """
    files_a, files_b = {file.path: file for file in a.weights}, {file.path: file for file in b.weights}
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair[0].shard, pair[1].shard), []).append(pair)
    found: dict[Pair, PairFacts] = {}
    run = _Run(progress)
    try:
        for (shard_a, shard_b), members in groups.items():
            sides = (_Side(a, files_a[shard_a]), _Side(b, files_b[shard_b]))
            found |= _compare_files(sides, members, run, cached=cached)
    finally:
        run.end()
    return tuple(found[pair] for pair in pairs)


class _Side:
    """A tensor file of one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, file: TensorFile) -> None:
        self.path = os.path.join(checkpoint.root, file.path)
        self.payload = file.payload_start


class _Job(NamedTuple):
    """A pair whose pieces have been handed out."""

    pair: Pair
    places: tuple[Place, ...]
    tasks: list[Any]


class _Run:
    """What all pairs share: threads and their memory, which are there from the first piece on, and whom to tell."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.progress = progress
        self._pool: Any = None
        self._benches: Any = None

    def submit(self, places: tuple[Place, ...], elements: range, *, norms: bool = False) -> Any:  # noqa: ANN401 - a future, imported late
        """Return the future of a piece."""
        if self._pool is None:
            # Where all is known from before, numpy is not needed, and takes longer to load than the rest.
            self._pool = importlib.import_module("concurrent.futures").ThreadPoolExecutor(threads())
            self._benches = importlib.import_module("queue").SimpleQueue()
            for _ in range(threads()):
                self._benches.put(Bench())
        return self._pool.submit(_piece, self._benches, places, elements, norms=norms)

    def end(self) -> None:
        """Let the threads finish what they are at, and no more."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _compare_files(sides: tuple[_Side, _Side], pairs: Sequence[Pair], run: _Run, *, cached: bool) -> dict[Pair, PairFacts]:
    """Return the facts of pairs whose tensors lie in these two files, from the cache as far as it knows them."""
    left, right = sides
    with ExitStack() as stack:
        (one, _), (two, _) = (stack.enter_context(open_regular(side.path)) for side in sides)
        watches = value_cache.Watch(left.path, one), value_cache.Watch(right.path, two)
        known = value_cache.KnownPairs(*watches, use=cached)
        found = {pair: facts for pair in pairs if (facts := known.get(*pair)) is not None}
        for a, b in found:
            run.progress(a.nbytes + b.nbytes)
        new = dict(_measured(sides, (one, two), sorted((pair for pair in pairs if pair not in found), key=lambda pair: -pair[0].nbytes), run))
        for watch in watches:
            watch.check_unchanged()
        known.add(new)
    return found | new


def _measured(sides: tuple[_Side, _Side], descriptors: tuple[int, int], pairs: Sequence[Pair], run: _Run) -> Iterator[tuple[Pair, PairFacts]]:
    """Yield the facts of each pair, in order. Some pieces ahead are handed out, so that no thread waits; not all, for there may be many."""
    waiting: deque[_Job] = deque()
    try:
        for a, b in pairs:
            places = tuple(Place(one, side.payload + tensor.start, tensor.dtype) for one, side, tensor in zip(descriptors, sides, (a, b), strict=True))
            waiting.append(_Job((a, b), places, [run.submit(places, elements) for elements in _pieces(a)]))
            while sum(len(job.tasks) for job in waiting) > AHEAD:
                yield _finished(waiting.popleft(), run)
        while waiting:
            yield _finished(waiting.popleft(), run)
    except ChangedUnderneath as error:
        raise error.at(_shorter(sides, descriptors, pairs)) from None
    except CkptError as error:
        raise error.at(sides[0].path) from None


def _pieces(tensor: Tensor) -> Iterator[range]:
    count = tensor.parameters
    yield from (range(first, min(first + PIECE, count)) for first in range(0, count, PIECE))


def _finished(job: _Job, run: _Run) -> tuple[Pair, PairFacts]:
    a, b = job.pair
    pieces = _results(job.tasks, a, b, run)
    if any(piece.same_bytes for piece in pieces) and not all(piece.same_bytes for piece in pieces):
        pieces = _with_norms(job, pieces, run)
    return job.pair, _facts(a, b, pieces)


def _results(tasks: list[Any], a: Tensor, b: Tensor, run: _Run) -> list[_Sums]:
    pieces = []
    for elements, task in zip(_pieces(a), tasks, strict=True):
        pieces.append(task.result())
        run.progress(len(elements) * (a.dtype.bits + b.dtype.bits) // 8)
    return pieces


def _with_norms(job: _Job, pieces: list[_Sums], run: _Run) -> list[_Sums]:
    """Return the pieces of a tensor that changed elsewhere, with the norms of those that did not."""
    tasks = [run.submit(job.places, elements, norms=True) if piece.same_bytes else None for elements, piece in zip(_pieces(job.pair[0]), pieces, strict=True)]
    return [task.result() if task else piece for task, piece in zip(tasks, pieces, strict=True)]


def _shorter(sides: tuple[_Side, _Side], descriptors: tuple[int, int], pairs: Sequence[Pair]) -> str:
    """Return the path of the file that has lost its end."""
    ends = (max(a.end for a, _ in pairs), max(b.end for _, b in pairs))
    lost = [side.path for side, one, end in zip(sides, descriptors, ends, strict=True) if os.fstat(one).st_size < side.payload + end]
    return (lost or [sides[1].path])[0]


def _facts(a: Tensor, b: Tensor, pieces: Sequence[_Sums]) -> PairFacts:
    elements = max(value_cache.numbers_in(a), value_cache.numbers_in(b))
    if all(piece.same_bytes for piece in pieces):
        return PairFacts(elements, same_bytes=a.dtype is b.dtype)
    aa, bb, dd, ab = (total(getattr(piece, name) for piece in pieces) for name in ("aa", "bb", "dd", "ab"))
    return PairFacts(
        elements,
        same_bytes=False,
        changed=sum(piece.changed for piece in pieces),
        broken=sum(piece.broken for piece in pieces),
        max_abs=max(piece.max_abs for piece in pieces),
        l2_a=root(aa),
        l2_b=root(bb),
        l2_change=root(dd),
        cosine=_cosine(aa, bb, ab),
    )


def _cosine(aa: Scaled, bb: Scaled, ab: Scaled) -> float:
    """Return the cosine; 1 between zeros, 0 between zeros and something."""
    if not aa[0] or not bb[0]:
        return 1.0 if aa[0] == bb[0] else 0.0
    exponent = ab[1] - (aa[1] + bb[1]) // 2
    return max(-1.0, min(1.0, ab[0] / sqrt(aa[0]) / sqrt(bb[0]) * 2.0**exponent))


# --- a piece, in a thread ------------------------------------------------------------------------------------------------


def _piece(benches: Any, places: tuple[Place, Place], elements: range, *, norms: bool) -> _Sums:  # noqa: ANN401 - a queue, imported late
    """Return the sums over some elements; of a piece whose bytes are equal no more than that, unless `norms` are wanted."""
    bench = benches.get()
    try:
        with bench.np.errstate(all="ignore"):
            if not norms and places[0].dtype is places[1].dtype and _equal(bench, places, elements):
                return _Sums(same_bytes=True)
            return _added([_block(bench, places, block.start, len(block)) for block in _blocks(elements)])
    finally:
        benches.put(bench)


def _blocks(elements: range) -> Iterator[range]:
    yield from (range(first, min(first + BLOCK, elements.stop)) for first in range(elements.start, elements.stop, BLOCK))


def _equal(bench: Bench, places: tuple[Place, Place], elements: range) -> bool:
    """Whether the bytes are equal; stops at the first block where they are not, which is nearly always the short one that is looked at before all."""
    np = bench.np
    for block in (elements[:GLANCE], *_blocks(elements)):
        a, b = places[0].read(bench.a, block.start, len(block)), places[1].read(bench.b, block.start, len(block))
        whole = a.size // 8 * 8
        mask = np.not_equal(a[:whole].view("<u8"), b[:whole].view("<u8"), out=bench.mask[: whole // 8])
        if mask.any() or (a[whole:] != b[whole:]).any():
            return False
    return True


def _added(blocks: Sequence[_Sums]) -> _Sums:
    return _Sums(
        same_bytes=False,
        changed=sum(block.changed for block in blocks),
        broken=sum(block.broken for block in blocks),
        max_abs=max(block.max_abs for block in blocks),
        aa=total(block.aa for block in blocks),
        bb=total(block.bb for block in blocks),
        dd=total(block.dd for block in blocks),
        ab=total(block.ab for block in blocks),
    )


def _block(bench: Bench, places: tuple[Place, Place], first: int, count: int) -> _Sums:
    left, right = places
    one, two = left.read(bench.a, first, count), right.read(bench.b, first, count)
    if left.dtype in INTEGERS and right.dtype in INTEGERS:
        return _block_of_integers(bench, native(one, left.dtype), native(two, right.dtype))
    if left.dtype is right.dtype is Dtype.BF16 and count % 2 == 0:
        a, b = bench.a.halves(one), bench.b.halves(two)
    else:
        a, b = bench.a.values(one, left.dtype), bench.b.values(two, right.dtype)
    if a.size != b.size:
        a, b = (values if dtype is Dtype.C64 else _complex(bench.np, values) for values, dtype in ((a, left.dtype), (b, right.dtype)))
    if a.dtype != b.dtype or a.dtype.itemsize == 8:  # noqa: PLR2004 - bytes of a double
        sums = _block_of_doubles(bench, a, b)
        return sums._replace(changed=sums.changed + sum(_without_a_double(bench.np, *side, a, b) for side in ((one, left.dtype), (two, right.dtype))))
    return _block_of_floats(bench, a, b)


def _complex(np: Any, values: Array) -> Array:  # noqa: ANN401 - numpy, imported late
    """Return real numbers as complex ones, in pairs."""
    pairs: Array = np.zeros(2 * values.size, values.dtype)
    pairs[0::2] = values
    return pairs


def _without_a_double(np: Any, data: Array, dtype: Dtype, a: Array, b: Array) -> int:  # noqa: ANN401 - as above
    """Return how many integers equal a float only because they were rounded to a double."""
    if dtype not in (Dtype.I64, Dtype.U64):
        return 0
    numbers = native(data, dtype)
    high, low = (numbers >> 32).astype("<f8") * 2.0**32, (numbers & 0xFFFFFFFF).astype("<f8")
    rounded = high + low
    return int(np.count_nonzero((low - (rounded - high) != 0) & (a == b)))


def _block_of_floats(bench: Bench, a: Array, b: Array) -> _Sums:
    """Return the sums over numbers that came from at most 32 bits, whose squares are doubles: nearly all there are, in the fewest passes over memory."""
    np = bench.np
    changed = int(np.count_nonzero(np.not_equal(a, b, out=bench.mask[: a.size])))
    wide_a, wide_b = bench.a.widened(a), bench.b.widened(b)
    aa, bb = dot(np, wide_a, wide_a), dot(np, wide_b, wide_b)
    if not aa + bb < float("inf"):
        return _block_with_broken(bench, wide_a, wide_b)
    difference = np.subtract(wide_b, wide_a, out=wide_b)
    dd = dot(np, difference, difference)
    most = largest(np, difference)
    if aa > _APART * bb or bb > _APART * aa:
        ab = fsum((aa, dot(np, wide_a, difference))) if bb > aa else dot(np, wide_a, bench.b.widened(b))
    else:
        ab = (aa - dd + bb) / 2
    return _Sums(False, changed, 0, most, (aa, 0), (bb, 0), (dd, 0), (ab, 0))  # noqa: FBT003 - same_bytes, a field's value


def _block_of_doubles(bench: Bench, a: Array, b: Array) -> _Sums:
    """Return the sums over numbers whose squares leave the range of doubles."""
    np = bench.np
    changed = int(np.count_nonzero(np.not_equal(a, b, out=bench.mask[: a.size])))
    a, b = bench.a.widened(a), bench.b.widened(b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return _block_with_broken(bench, a, b)
    difference = b - a
    halved = not largest(np, difference) < float("inf")
    if halved:
        difference = b / 2 - a / 2
    square, exponent = product(np, difference, difference)
    return _Sums(
        same_bytes=False,
        changed=changed,
        max_abs=largest(np, difference) * (1 + halved),
        aa=product(np, a, a),
        bb=product(np, b, b),
        dd=(square, exponent + 2 * halved),
        ab=product(np, a, b),
    )


def _block_with_broken(bench: Bench, a: Array, b: Array) -> _Sums:
    """Return the sums over doubles some of which are NaN or infinite: those are counted, and left out with their partners."""
    np = bench.np
    finite = np.isfinite(a) & np.isfinite(b)
    differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    rest = _block_of_doubles(bench, np.where(finite, a, 0.0), np.where(finite, b, 0.0))
    return rest._replace(changed=int(np.count_nonzero(differ)), broken=int(np.count_nonzero(differ & ~finite)))


def _block_of_integers(bench: Bench, a: Array, b: Array) -> _Sums:
    """Return the sums over integers, which are compared and, where both are of one type, subtracted as such."""
    np = bench.np
    changed = int(np.count_nonzero(a != b))
    wide_a, wide_b = a.astype("<f8"), b.astype("<f8")
    if a.dtype == b.dtype:
        unsigned = a.dtype.str.replace("i", "u")
        # Wraps around where it must: taken as unsigned, the difference of the larger and the smaller is right.
        difference = (np.maximum(a, b).view(unsigned) - np.minimum(a, b).view(unsigned)).astype("<f8")
    else:
        difference = np.abs(wide_b - wide_a)
    aa, bb, dd, ab = (dot(np, x, y) for x, y in ((wide_a, wide_a), (wide_b, wide_b), (difference, difference), (wide_a, wide_b)))
    return _Sums(False, changed, 0, largest(np, difference), (aa, 0), (bb, 0), (dd, 0), (ab, 0))  # noqa: FBT003 - same_bytes, a field's value
