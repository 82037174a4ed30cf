"""What the rules ask of a checkpoint's values: NaN, infinities, and the range, in one pass, in bounded memory, on several cores."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING, Any

from ckpt_tools.records.dtype import Dtype
from ckpt_tools.records.facts import Facts
from ckpt_tools.store import sums
from ckpt_tools.store.bench import PIECE, Benches, Span, blocks, threads
from ckpt_tools.store.casting import cast
from ckpt_tools.store.copying import no_progress
from ckpt_tools.store.files import open_regular
from ckpt_tools.store.team import Team

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ckpt_tools.records.checkpoint import Checkpoint, Tensor
    from ckpt_tools.store.bench import Bench

_NATIVE = {
    Dtype.F64: "<f8", Dtype.F32: "<f4", Dtype.F16: "<f2", Dtype.U8: "u1", Dtype.I8: "i1", Dtype.U16: "<u2", Dtype.I16: "<i2", Dtype.U32: "<u4",
    Dtype.I32: "<i4", Dtype.U64: "<u8", Dtype.I64: "<i8",
}  # fmt: skip
_CODED = (Dtype.BF16, Dtype.F8_E4M3, Dtype.F8_E5M2)

MEASURED = frozenset((*_NATIVE, *_CODED))
"""The dtypes whose values are understood; tensors of others are left out."""


def measure(checkpoint: Checkpoint, progress: Callable[[int], None] = no_progress) -> dict[str, Facts]:
    """Return the facts of every tensor whose dtype is understood, by name. `progress` is called with the bytes read since the last call.

    Raises Unreadable or ChangedUnderneath with the path of the file.
    """
    team, benches = Team(threads(), progress), Benches()
    found: dict[str, Facts] = {}

    def look(tensor: Tensor, span: Span) -> None:
        with benches.one() as bench:
            found[tensor.name] = _facts(bench, tensor, span, team.tell)

    for file in checkpoint.weights:
        path = os.path.join(checkpoint.root, file.path)
        largest_first = sorted((tensor for tensor in file.tensors if tensor.dtype in MEASURED), key=lambda tensor: -tensor.nbytes)
        with open_regular(path) as (descriptor, _):
            team.do((look, (tensor, Span(path, descriptor, file.payload_start + tensor.start, tensor.dtype))) for tensor in largest_first)
    return found


type _Seen = tuple[int, int, float, float]
"""NaN, infinities, and the range of the finite values, (inf, -inf) where there is none."""


def _facts(bench: Bench, tensor: Tensor, span: Span, tell: Callable[[int], None]) -> Facts:
    nan, infinite, low, high = 0, 0, inf, -inf
    for lost, endless, least, most in _seen(bench, tensor, span, tell):
        nan, infinite, low, high = nan + lost, infinite + endless, min(low, least), max(high, most)
    empty = low > high
    return Facts(tensor.parameters, nan, infinite, 0.0 if empty else low + 0.0, 0.0 if empty else high + 0.0)  # -0.0 becomes 0.0


def _seen(bench: Bench, tensor: Tensor, span: Span, tell: Callable[[int], None]) -> Iterator[_Seen]:
    """Yield what is seen in each part: compiled as far as numbers are finite, then in a block that numpy looks at, and so on."""
    memory, rest = bench.memories[0], range(tensor.parameters)
    while rest:
        asked, done = rest[:PIECE], 0
        if tensor.dtype in sums.KINDS:
            done, found = sums.one_of_file(tensor.dtype, span.source(memory, rest.start), len(asked))
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
