"""One pass over all values of a checkpoint that tells everything: digests, counts, range, mean, norm; in bounded memory, on all cores; numpy and blake3 only.

`ckpt verify --values` asks for less and is faster: see `store/measure.py`.
"""

from __future__ import annotations

import importlib
import os
from math import inf
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import CkptError
from ckpt_tools.records.dtype import Dtype
from ckpt_tools.records.facts import Measurement
from ckpt_tools.store.comparing import threads
from ckpt_tools.store.copying import no_progress
from ckpt_tools.store.files import open_regular
from ckpt_tools.store.numbers import BLOCK, MANTISSA, Space, product, root, total, unpacked
from ckpt_tools.store.pair_sums import Place
from ckpt_tools.store.reader import refuse_other
from ckpt_tools.store.value_cache import Watch, known_measurements, numbers_in, remember_measurements

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.records.checkpoint import Checkpoint, Tensor, TensorFile
    from ckpt_tools.store.numbers import Array, Scaled


def measure_all(checkpoint: Checkpoint, *, cached: bool = True, progress: Callable[[int], None] = no_progress) -> tuple[Measurement, ...]:
    """Return what is told of every tensor, in the order of `checkpoint.tensors`. `progress` is called with the bytes done since the last call.

    `cached` takes and leaves what is known in the user's cache folder. Raises ChangedUnderneath or Unreadable with the path of the file.
    """
    pool = importlib.import_module("concurrent.futures").ThreadPoolExecutor(threads())
    try:
        found = {measured.name: measured for file in checkpoint.weights for measured in _measured(checkpoint, file, pool, progress, cached=cached)}
    finally:
        pool.shutdown(cancel_futures=True)
    return tuple(found[tensor.name] for tensor in checkpoint.tensors)


def _measured(
    checkpoint: Checkpoint,
    file: TensorFile,
    pool: Any,  # noqa: ANN401 - an executor, imported late
    progress: Callable[[int], None],
    *,
    cached: bool,
) -> list[Measurement]:
    """Return what is told of the tensors of one file, from the cache where it knows all of them."""
    path = os.path.join(checkpoint.root, file.path)
    with open_regular(path) as (descriptor, _):
        watch = Watch(path, descriptor)
        known = known_measurements(watch, use=cached)
        complete = all(tensor.name in known and known[tensor.name].elements == numbers_in(tensor) for tensor in file.tensors)
        if cached and not complete:
            watch.settle()
        refuse_other(file, descriptor, path)
        if complete:
            progress(sum(tensor.nbytes for tensor in file.tensors))
            return [known[tensor.name] for tensor in file.tensors]
        largest_first = sorted(file.tensors, key=lambda tensor: -tensor.nbytes)
        tasks = [pool.submit(_measure, tensor, Place(descriptor, file.payload_start + tensor.start, tensor.dtype)) for tensor in largest_first]
        found = []
        try:
            for tensor, task in zip(largest_first, tasks, strict=True):
                found.append(task.result())
                progress(tensor.nbytes)
        except CkptError as error:
            pool.shutdown(cancel_futures=True)
            raise error.at(path) from None
        watch.check_unchanged()
        remember_measurements(watch, found, use=cached)
    return found


def _measure(tensor: Tensor, place: Place) -> Measurement:
    """Return what is told of one tensor, block by block, as its digest needs it."""
    np = importlib.import_module("numpy")
    space, digest = Space(np), importlib.import_module("blake3").blake3()
    counts, low, high = [0, 0, 0], inf, -inf
    sums: list[Scaled] = []
    squares: list[Scaled] = []
    bits = 0
    with np.errstate(all="ignore"):
        for first in range(0, tensor.parameters, BLOCK):
            data = place.read(space, first, min(BLOCK, tensor.parameters - first))
            digest.update(data)
            bits |= _bits(np, data, tensor.dtype)
            values = space.values(data, tensor.dtype)
            broken, values = _finite(np, values)
            counts = [sum(pair) for pair in zip(counts, (*broken, int(np.count_nonzero(values == 0))), strict=True)]
            if values.size:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
                doubles = space.widened(values)
                sums.append(_sum(np, doubles))
                squares.append(product(np, doubles, doubles))
    nan, infinite, zeros = counts
    elements = numbers_in(tensor)
    finite = elements - nan - infinite
    low, high = (low + 0.0, high + 0.0) if finite else (0.0, 0.0)  # -0.0 becomes 0.0
    mean, l2 = _scaled_mean(total(sums), finite), root(total(squares))
    return Measurement(tensor.name, digest.hexdigest(), elements, nan, infinite, low, high, mean, l2, zeros, _zero_low_bits(bits, tensor.dtype))


def _finite(np: Any, values: Array) -> tuple[tuple[int, int], Array]:  # noqa: ANN401 - numpy, imported late
    """Return how many values are NaN and how many infinite, and the others."""
    if -inf < values.min() and values.max() < inf:  # false where one of them is NaN, which both are if there is one
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
