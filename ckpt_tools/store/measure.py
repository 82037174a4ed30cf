"""One pass over the values of a checkpoint's tensors, in bounded memory, on several cores; numpy only."""

from __future__ import annotations

import importlib
import os
from math import inf
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import CkptError
from ckpt_tools.records.dtype import Dtype
from ckpt_tools.records.facts import Facts
from ckpt_tools.store.casting import cast
from ckpt_tools.store.copying import no_progress, read_into
from ckpt_tools.store.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ckpt_tools.records.checkpoint import Checkpoint, Tensor

CHUNK = 1 << 20
"""Bytes per step: enough that Python's own time does not show, little enough for a core's cache."""

THREADS = 4

_NATIVE = {
    Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.F16: "<f2", Dtype.U8: "u1", Dtype.I8: "i1", Dtype.U16: "<u2", Dtype.I16: "<i2", Dtype.U32: "<u4",
    Dtype.I32: "<i4", Dtype.U64: "<u8", Dtype.I64: "<i8",
}  # fmt: skip
_CODED = (Dtype.BF16, Dtype.F8_E4M3, Dtype.F8_E5M2)

MEASURED = frozenset((*_NATIVE, *_CODED))
"""The dtypes whose values are understood; tensors of others are left out."""

_SIGN, _INFINITY = 0x8000, 0x7F80
"""Bits of BF16."""


def measure(checkpoint: Checkpoint, progress: Callable[[int], None] = no_progress) -> dict[str, Facts]:
    """Return the facts of every tensor whose dtype is understood, by name. `progress` is called with the bytes read since the last call.

    Raises Unreadable or ChangedUnderneath with the path of the file.
    """
    pool = importlib.import_module("concurrent.futures").ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
    found: dict[str, Facts] = {}
    with pool:
        for file in checkpoint.weights:
            path = os.path.join(checkpoint.root, file.path)
            tensors = sorted((tensor for tensor in file.tensors if tensor.dtype in MEASURED), key=lambda tensor: -tensor.nbytes)
            with open_regular(path) as (descriptor, _):
                tasks = [pool.submit(_facts, descriptor, file.payload_start, tensor) for tensor in tensors]
                for tensor, task in zip(tensors, tasks, strict=True):
                    found[tensor.name] = _result(pool, task, path)
                    progress(tensor.nbytes)
    return found


def _result(pool: Any, task: Any, path: str) -> Facts:  # noqa: ANN401 - executor and future, imported late
    try:
        facts: Facts = task.result()
    except CkptError as error:
        pool.shutdown(cancel_futures=True)
        raise error.at(path) from None
    return facts


def _facts(descriptor: int, payload: int, tensor: Tensor) -> Facts:
    np = importlib.import_module("numpy")
    look = _look_at_bf16 if tensor.dtype is Dtype.BF16 else _look_at_values
    buffer = bytearray(min(CHUNK, tensor.nbytes))
    nan = infinite = 0
    low, high = inf, -inf
    for start in range(tensor.start, tensor.end, CHUNK):
        part = memoryview(buffer)[: tensor.end - start]
        done = 0
        while done < len(part):
            done += read_into(descriptor, part[done:], payload + start + done)
        lost, endless, least, most = look(np, np.frombuffer(part, dtype="u1"), tensor.dtype)
        nan, infinite, low, high = nan + lost, infinite + endless, min(low, least), max(high, most)
    empty = low > high
    return Facts(tensor.parameters, nan, infinite, 0.0 if empty else low, 0.0 if empty else high)


type _Seen = tuple[int, int, float, float]
"""NaN, infinities, and the range of the finite values, (inf, -inf) where there is none."""


def _look_at_values(np: Any, data: NDArray[Any], dtype: Dtype) -> _Seen:  # noqa: ANN401 - numpy, imported late
    values = data.view(_NATIVE[dtype]) if dtype in _NATIVE else cast(data, dtype, Dtype.F32)
    low, high = values.min(), values.max()
    if -inf < low and high < inf:  # false where one of them is NaN, which both are if there is one
        return 0, 0, float(low), float(high)
    lost, endless = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    finite = values[np.isfinite(values)]
    return lost, endless, float(finite.min(initial=inf)), float(finite.max(initial=-inf))


def _look_at_bf16(np: Any, data: NDArray[Any], dtype: Dtype) -> _Seen:  # noqa: ANN401 - as above
    """Look at the bits: among numbers of one sign they are in the order of the size. Nothing is converted, and memory is read, never written."""
    signed, unsigned = data.view("<i2"), data.view("<u2")
    positive, negative = int(signed.max()), int(unsigned.max())
    high = positive if positive >= 0 else int(unsigned.min())
    low = negative if negative >= _SIGN else int(unsigned.min())
    if high & ~_SIGN < _INFINITY and low & ~_SIGN < _INFINITY:
        return 0, 0, _number(low), _number(high)
    return _look_at_values(np, data, dtype)


def _number(bits: int) -> float:
    """Return the number that BF16 bits stand for."""
    return float(importlib.import_module("struct").unpack("<f", b"\0\0" + bits.to_bytes(2, "little"))[0])
