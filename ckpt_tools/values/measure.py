"""One pass over all values of a checkpoint that tells everything.

Digests, counts, range, mean, norm; in bounded memory, on all cores.

`ckpt verify --values` asks for less and is faster: see `store/measure.py`.
"""

from __future__ import annotations

import importlib
import os
from math import inf
from typing import TYPE_CHECKING, Any

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.read import refuse_other
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.threads import WorkerPool
from ckpt_tools.values import kernels
from ckpt_tools.values.blocks import PIECE, BufferPool, Span, blocks, threads
from ckpt_tools.values.cache import Watch, known_measurements, numbers_in, remember_measurements
from ckpt_tools.values.cast import cast
from ckpt_tools.values.dtypes import MANTISSA, product, root, total, unpacked
from ckpt_tools.values.kernels import KINDS, one
from ckpt_tools.values.model import Facts, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.values.blocks import ScratchBuffers
    from ckpt_tools.values.dtypes import Array, Scaled
    from ckpt_tools.values.kernels import OneSums


def measure_all(
    checkpoint: Checkpoint, *, cached: bool = True, progress: Progress = SILENT
) -> tuple[Measurement, ...]:
    """Return what is told of every tensor, in the order of `checkpoint.tensors`.

    `progress` is called with the bytes done since the last call.

    `cached` takes and leaves what is known in the user's cache folder. Raises ChangedDuringRead or
    Unreadable with the path of the file.
    """
    progress.expect(sum(tensor.nbytes for tensor in checkpoint.tensors))
    found = {
        measured.name: measured
        for file in checkpoint.weights
        for measured in _measured(checkpoint, file, progress, cached=cached)
    }
    return tuple(found[tensor.name] for tensor in checkpoint.tensors)


def _measured(
    checkpoint: Checkpoint, file: TensorFile, progress: Progress, *, cached: bool
) -> list[Measurement]:
    """Return what is told of the tensors of one file, from the cache where it knows all of them."""
    path = os.path.join(checkpoint.root, file.path)
    with open_regular(path) as (descriptor, _):
        watch = Watch(path, descriptor)
        known = known_measurements(watch, use=cached)
        complete = all(
            tensor.name in known and known[tensor.name].elements == numbers_in(tensor)
            for tensor in file.tensors
        )
        if cached and not complete:
            watch.settle()
        refuse_other(file, descriptor, path)
        if complete:
            progress.advance(sum(tensor.nbytes for tensor in file.tensors))
            return [known[tensor.name] for tensor in file.tensors]
        found = _looked_at(file, path, descriptor, progress)
        watch.check_unchanged()
        remember_measurements(watch, found, use=cached)
    return found


def _looked_at(
    file: TensorFile, path: str, descriptor: int, progress: Progress
) -> list[Measurement]:
    """Return what is told of each tensor. Threads share them, the largest first."""
    team, benches, found = (
        WorkerPool(threads(), progress.advance),
        BufferPool(),
        dict[str, Measurement](),
    )

    def look(tensor: Tensor) -> None:
        with benches.one() as bench:
            found[tensor.name] = _measure(
                bench,
                tensor,
                Span(path, descriptor, file.payload_start + tensor.start, tensor.dtype),
                team.tell,
            )

    team.do((look, (tensor,)) for tensor in sorted(file.tensors, key=lambda tensor: -tensor.nbytes))
    return [found[tensor.name] for tensor in file.tensors]


class _Running:
    """What is known of a tensor from its blocks so far."""

    def __init__(self, dtype: Dtype) -> None:
        self.dtype = dtype
        self.nan = self.infinite = self.zeros = self.bits = 0
        self.low, self.high = inf, -inf
        self.sums: list[Scaled] = []
        self.squares: list[Scaled] = []

    def add(self, found: OneSums, count: int) -> None:
        """Take a block of `count` numbers, all of them finite."""
        self.zeros += count - found.nonzero
        self.bits |= found.bits
        self.low, self.high = min(self.low, found.low), max(self.high, found.high)
        self.sums.append((found.sum, 0))
        self.squares.append((found.squares, 0))

    def decode(self, bench: ScratchBuffers, data: memoryview) -> None:
        """Take a block of any numbers, NaN and infinities among them."""
        np, space, stored = bench.np, bench.spaces[0], bench.np.frombuffer(data, "u1")
        self.bits |= _bits(np, stored, self.dtype)
        (nan, infinite), values = _finite(np, space.values(stored, self.dtype))
        self.nan, self.infinite, self.zeros = (
            self.nan + nan,
            self.infinite + infinite,
            self.zeros + int(np.count_nonzero(values == 0)),
        )
        if values.size:
            self.low, self.high = (
                min(self.low, float(values.min())),
                max(self.high, float(values.max())),
            )
            doubles = space.widened(values)
            self.sums.append(_sum(np, doubles))
            self.squares.append(product(np, doubles, doubles))

    def told(self, tensor: Tensor, digest: str) -> Measurement:
        """Return what is told of the tensor, all of whose blocks were taken."""
        elements = numbers_in(tensor)
        finite = elements - self.nan - self.infinite
        low, high = (self.low + 0.0, self.high + 0.0) if finite else (0.0, 0.0)  # -0.0 becomes 0.0
        mean, l2 = _scaled_mean(total(self.sums), finite), root(total(self.squares))
        spare = _zero_low_bits(self.bits, self.dtype)
        return Measurement(
            tensor.name,
            digest,
            elements,
            self.nan,
            self.infinite,
            low,
            high,
            mean,
            l2,
            self.zeros,
            spare,
        )


def _measure(
    bench: ScratchBuffers, tensor: Tensor, span: Span, tell: Callable[[int], None]
) -> Measurement:
    """Return what is told of one tensor, block by block, as its digest needs it."""
    running, digest = _Running(tensor.dtype), importlib.import_module("blake3").blake3()
    memory = bench.memories[0]
    for block in blocks(range(tensor.parameters), tensor.dtype):
        data = span.read(memory, block)
        digest.update(data)
        found = one(tensor.dtype, memory.address, len(block)) if tensor.dtype in KINDS else None
        if found and found.squares < inf:
            running.add(found, len(block))
        else:
            with bench.np.errstate(all="ignore"):
                running.decode(bench, data)
        tell(len(data))
    return running.told(tensor, digest.hexdigest())


def _finite(np: Any, values: Array) -> tuple[tuple[int, int], Array]:  # noqa: ANN401 - numpy, imported late
    """Return how many values are NaN and how many infinite, and the others."""
    if (
        -inf < values.min() and values.max() < inf
    ):  # false where one of them is NaN, which both are if there is one
        return (0, 0), values
    nan = int(np.count_nonzero(np.isnan(values)))
    finite = np.isfinite(values)
    return (nan, values.size - nan - int(np.count_nonzero(finite))), values[finite]


def _sum(np: Any, doubles: Array) -> Scaled:  # noqa: ANN401 - as above
    """Return a sum of doubles, which is computed at a quarter of a millionth of their size where it would leave their range."""
    value = float(np.add.reduce(doubles))
    if -inf < value < inf:
        return value, 0
    return float(np.add.reduce(doubles * 2.0**-22)), 22


def _scaled_mean(whole: Scaled, count: int) -> float:
    value, exponent = whole
    return value / count * 2.0**exponent if count else 0.0


def _bits(np: Any, data: Array, dtype: Dtype) -> int:  # noqa: ANN401 - as above
    """Return the bits that are set in any element of a float type."""
    if dtype not in MANTISSA or not data.size:
        return 0
    width = 32 if dtype is Dtype.C64 else dtype.bits
    codes = unpacked(np, data, dtype) if width < 8 else data.view(f"<u{width // 8}")  # noqa: PLR2004 - bits of a byte
    return int(np.bitwise_or.reduce(codes))


def _zero_low_bits(bits: int, dtype: Dtype) -> int:
    """Return how many of the last bits of the mantissa are set nowhere, -1 for what has none."""
    if dtype not in MANTISSA:
        return -1
    mantissa = bits & (1 << MANTISSA[dtype]) - 1
    return (mantissa & -mantissa).bit_length() - 1 if mantissa else MANTISSA[dtype]


_NATIVE = {
    Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.F16: "<f2", Dtype.U8: "u1", Dtype.I8: "i1", Dtype.U16: "<u2", Dtype.I16: "<i2", Dtype.U32: "<u4",
    Dtype.I32: "<i4", Dtype.U64: "<u8", Dtype.I64: "<i8",
}  # fmt: skip
_CODED = (Dtype.BF16, Dtype.F8_E4M3, Dtype.F8_E5M2)

MEASURED = frozenset((*_NATIVE, *_CODED))
"""The dtypes whose values are understood; tensors of others are left out."""


def measure(checkpoint: Checkpoint, progress: Progress = SILENT) -> dict[str, Facts]:
    """Return the facts of every tensor whose dtype is understood, by name.

    `progress` is called with the bytes read since the last call.

    Raises Unreadable or ChangedDuringRead with the path of the file.
    """
    progress.expect(sum(tensor.nbytes for tensor in checkpoint.tensors))
    team, benches = WorkerPool(threads(), progress.advance), BufferPool()
    found: dict[str, Facts] = {}

    def look(tensor: Tensor, span: Span) -> None:
        with benches.one() as bench:
            found[tensor.name] = _facts(bench, tensor, span, team.tell)

    for file in checkpoint.weights:
        path = os.path.join(checkpoint.root, file.path)
        largest_first = sorted(
            (tensor for tensor in file.tensors if tensor.dtype in MEASURED),
            key=lambda tensor: -tensor.nbytes,
        )
        with open_regular(path) as (descriptor, _):
            team.do(
                (
                    look,
                    (
                        tensor,
                        Span(path, descriptor, file.payload_start + tensor.start, tensor.dtype),
                    ),
                )
                for tensor in largest_first
            )
    return found


type _Seen = tuple[int, int, float, float]
"""NaN, infinities, and the range of the finite values, (inf, -inf) where there is none."""


def _facts(bench: ScratchBuffers, tensor: Tensor, span: Span, tell: Callable[[int], None]) -> Facts:
    nan, infinite, low, high = 0, 0, inf, -inf
    for lost, endless, least, most in _seen(bench, tensor, span, tell):
        nan, infinite, low, high = nan + lost, infinite + endless, min(low, least), max(high, most)
    empty = low > high
    return Facts(
        tensor.parameters, nan, infinite, 0.0 if empty else low + 0.0, 0.0 if empty else high + 0.0
    )  # -0.0 becomes 0.0


def _seen(
    bench: ScratchBuffers, tensor: Tensor, span: Span, tell: Callable[[int], None]
) -> Iterator[_Seen]:
    """Yield what is seen in each part.

    Compiled as far as numbers are finite, then in a block that numpy looks at, and so on.
    """
    memory, rest = bench.memories[0], range(tensor.parameters)
    while rest:
        asked, done = rest[:PIECE], 0
        if tensor.dtype in kernels.KINDS:
            done, found = kernels.one_of_file(
                tensor.dtype, span.source(memory, rest.start), len(asked)
            )
            yield 0, 0, found.low, found.high
        if done < len(asked):
            block = next(blocks(asked[done:], tensor.dtype))
            yield _look(bench.np, bench.np.frombuffer(span.read(memory, block), "u1"), tensor.dtype)
            done += len(block)
        tell(done * tensor.dtype.bits // 8)
        rest = rest[done:]


def _look(np: Any, data: NDArray[Any], dtype: Dtype) -> _Seen:  # noqa: ANN401 - numpy, imported late
    values = data.view(_NATIVE[dtype]) if dtype in _NATIVE else cast(data, dtype, Dtype.F32)
    low, high = values.min(), values.max()
    if -inf < low and high < inf:  # false where one of them is NaN, which both are if there is one
        return 0, 0, float(low), float(high)
    lost, endless = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    finite = values[np.isfinite(values)]
    return lost, endless, float(finite.min(initial=inf)), float(finite.max(initial=-inf))
