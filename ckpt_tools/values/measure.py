"""One pass over all values of a checkpoint: digests, counts, range, mean, norm.

In bounded memory, on all cores. `ckpt verify --values` needs no digests and is faster: the kernel
then reads the files itself.
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from blake3 import blake3

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.read import refuse_other
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.threads import WorkerPool
from ckpt_tools.values import kernels
from ckpt_tools.values.blocks import PIECE, Buffers, Span, blocks, threads
from ckpt_tools.values.cache import Watch, known_measurements, numbers_in, remember_measurements
from ckpt_tools.values.dtypes import MANTISSA, decode, product, root, total, unpacked
from ckpt_tools.values.lazy import np
from ckpt_tools.values.model import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.values.dtypes import Array, Scaled
    from ckpt_tools.values.kernels import Memory, OneSums


def measure(
    checkpoint: Checkpoint,
    *,
    digests: bool = True,
    cached: bool = True,
    progress: Progress = SILENT,
) -> tuple[Measurement, ...]:
    """Measure every tensor, in the order of `checkpoint.tensors`.

    `cached` uses and updates the user's cache folder, which holds measurements with digests only.
    Raises ChangedDuringRead or Unreadable with the path of the file.
    """
    progress.expect(sum(tensor.nbytes for tensor in checkpoint.tensors))
    return tuple(
        measured
        for file in checkpoint.weights
        for measured in _measure_file(
            file,
            os.path.join(checkpoint.root, file.path),
            progress,
            digests=digests,
            cached=cached and digests,
        )
    )


def _measure_file(
    file: TensorFile, path: str, progress: Progress, *, digests: bool, cached: bool
) -> list[Measurement]:
    """Measure the tensors of one file, or take them from a cache that has all of them."""
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
        found = _measure_tensors(file, path, descriptor, progress, digests=digests)
        watch.check_unchanged()
        remember_measurements(watch, found, use=cached)
    return found


def _measure_tensors(
    file: TensorFile, path: str, descriptor: int, progress: Progress, *, digests: bool
) -> list[Measurement]:
    """Measure each tensor. Threads share them, the largest first."""
    workers, buffers = WorkerPool(threads(), progress.advance), Buffers()
    found: dict[str, Measurement] = {}

    def work(tensor: Tensor) -> None:
        span = Span(path, descriptor, file.payload_start + tensor.start, tensor.dtype)
        found[tensor.name] = _measure(buffers.a, tensor, span, workers.advance, digest=digests)

    workers.do((work, (tensor,)) for tensor in sorted(file.tensors, key=lambda one: -one.nbytes))
    return [found[tensor.name] for tensor in file.tensors]


def _measure(
    memory: Memory, tensor: Tensor, span: Span, advance: Callable[[int], None], *, digest: bool
) -> Measurement:
    """Measure one tensor.

    Without a digest the kernel reads the file as far as numbers are finite; all else is read and
    added up block by block.
    """
    running, hasher, rest = _Running(tensor.dtype), blake3(), range(tensor.parameters)
    while rest:
        piece, done = rest[:PIECE], 0
        if not digest and kernels.reads(tensor.dtype):
            source = span.source(memory, rest.start)
            done, found = kernels.one_of_file(tensor.dtype, source, len(piece))
            running.add(found, done)
        if done < len(piece):
            block = next(blocks(piece[done:], tensor.dtype))
            data = span.read(memory, block)
            if digest:
                hasher.update(data)
            running.add_block(memory, data, len(block))
            done += len(block)
        advance(done * tensor.dtype.bits // 8)
        rest = rest[done:]
    return running.measurement(tensor, hasher.hexdigest() if digest else "")


class _Running:
    """What is known of a tensor from its blocks so far."""

    def __init__(self, dtype: Dtype) -> None:
        self.dtype = dtype
        self.nan = self.infinite = self.zeros = self.bits = 0
        self.low, self.high = inf, -inf
        self.sums: list[Scaled] = []
        self.squares: list[Scaled] = []

    def add(self, found: OneSums, count: int) -> None:
        """Add the kernel's sums over `count` numbers, all of them finite."""
        self.zeros += count - found.nonzero
        self.bits |= found.bits
        self.low, self.high = min(self.low, found.low), max(self.high, found.high)
        self.sums.append((found.sum, 0))
        self.squares.append((found.squares, 0))

    def add_block(self, memory: Memory, data: memoryview, count: int) -> None:
        """Add a block of `count` elements, `data` at the start of `memory`."""
        if kernels.reads(self.dtype):
            found = kernels.one(self.dtype, memory.address, count)
            if found.squares < inf:
                self.add(found, count)
                return
        with np.errstate(all="ignore"):
            self._decode(np.frombuffer(data, "u1"))

    def _decode(self, stored: Array) -> None:
        """Add any numbers, NaN and infinities among them."""
        self.bits |= _bits(stored, self.dtype)
        values = decode(stored, self.dtype)
        finite = np.isfinite(values)
        if not finite.all():
            nan = int(np.count_nonzero(np.isnan(values)))
            self.nan += nan
            self.infinite += values.size - nan - int(np.count_nonzero(finite))
            values = values[finite]
        self.zeros += values.size - int(np.count_nonzero(values))
        if values.size:
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            doubles = values.astype("<f8", copy=False)
            self.sums.append(_sum(doubles))
            self.squares.append(product(doubles, doubles))

    def measurement(self, tensor: Tensor, digest: str) -> Measurement:
        """Return the measurement of the tensor, all of whose blocks were added."""
        elements = numbers_in(tensor)
        finite = elements - self.nan - self.infinite
        mean, exponent = total(self.sums)
        square, double = total(self.squares)
        return Measurement(
            tensor.name,
            digest,
            elements,
            self.nan,
            self.infinite,
            self.low + 0.0 if finite else 0.0,  # -0.0 becomes 0.0
            self.high + 0.0 if finite else 0.0,
            mean / finite * 2.0**exponent if finite else 0.0,
            root((square, double)),
            self.zeros,
            _zero_low_bits(self.bits, self.dtype),
            root((square / finite, double)) if finite else 0.0,
        )


def _sum(doubles: Array) -> Scaled:
    """Return a sum of doubles, scaled down by 2^22 where it would leave their range."""
    value = float(np.add.reduce(doubles))
    if -inf < value < inf:
        return value, 0
    return float(np.add.reduce(doubles * 2.0**-22)), 22


def _bits(data: Array, dtype: Dtype) -> int:
    """Return the bits that are set in any element of a float type."""
    if dtype not in MANTISSA or not data.size:
        return 0
    width = 32 if dtype is Dtype.C64 else dtype.bits
    codes = unpacked(data, dtype) if width < 8 else data.view(f"<u{width // 8}")  # noqa: PLR2004 - bits of a byte
    return int(np.bitwise_or.reduce(codes))


def _zero_low_bits(bits: int, dtype: Dtype) -> int:
    """Return how many of the last bits of the mantissa are zero in every value, -1 for integers."""
    if dtype not in MANTISSA:
        return -1
    mantissa = bits & (1 << MANTISSA[dtype]) - 1
    return (mantissa & -mantissa).bit_length() - 1 if mantissa else MANTISSA[dtype]
