"""The facts of pairs of tensors, against arithmetic that does not round; and what must not matter.

Pieces, threads, shards, the order of the sides.
"""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import dataclass
from math import isclose, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.diff.compare import comparable
from ckpt_tools.errors import ChangedDuringRead, Unreadable
from ckpt_tools.progress import Progress
from ckpt_tools.values import blocks
from ckpt_tools.values import compare as values_compare
from ckpt_tools.values import dtypes as values_dtypes
from ckpt_tools.values.compare import compare_values
from ckpt_tools.values.model import PairFacts
from ckpt_tools.values.pair_sums import piece_sums
from tests.support.blobs import decoded, sharded, written

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.checkpoint.model import Checkpoint


def facts_of(a: Checkpoint, b: Checkpoint) -> dict[str, PairFacts]:
    pairs, _ = comparable(a, b)
    return {
        pair[1].name: facts
        for pair, facts in zip(pairs, compare_values(a, b, pairs, cached=False), strict=True)
    }


def compared(folder: Path, one: tuple[Dtype, bytes], two: tuple[Dtype, bytes]) -> PairFacts:
    return facts_of(written(folder / "a", {"x": one}), written(folder / "b", {"x": two}))["x"]


def padded(values: Any, size: int) -> Any:
    """Return real numbers as complex ones where the other side is complex."""
    if values.size == size:
        return values
    pairs = np.zeros(size, np.longdouble)
    pairs[0::2] = values
    return pairs


@np.errstate(all="ignore")
def exact_facts(one: tuple[Dtype, bytes], two: tuple[Dtype, bytes]) -> PairFacts:
    """Return the facts by long doubles, and by whole numbers where those are to be squared."""
    a, b = decoded(one[1], one[0]), decoded(two[1], two[0])
    a, b = padded(a, max(a.size, b.size)), padded(b, max(a.size, b.size))
    differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = a[finite], b[finite]
    d = y - x
    aa, bb, dd, ab = (
        float(np.sqrt((p * p).sum())) if p is q else (p * q).sum()
        for p, q in ((x, x), (y, y), (d, d), (x, y))
    )
    cosine = float(ab / np.longdouble(aa) / np.longdouble(bb)) if aa and bb else float(aa == bb)
    most = float(np.abs(d).max()) if d.size else 0.0
    return PairFacts(
        a.size,
        one == two,
        int(differ.sum()),
        int((differ & ~finite).sum()),
        most,
        aa,
        bb,
        dd,
        cosine,
    )


def assert_facts(found: PairFacts, expected: PairFacts) -> None:
    if expected.same_bytes:
        assert found == PairFacts(expected.elements, same_bytes=True)
        return
    assert found[:4] == expected[:4]
    assert found.max_abs == expected.max_abs
    for mine, theirs in (
        (found.l2_a, expected.l2_a),
        (found.l2_b, expected.l2_b),
        (found.l2_change, expected.l2_change),
    ):
        assert isclose(mine, theirs, rel_tol=1e-12)
    assert isclose(found.cosine, expected.cosine, abs_tol=1e-12)


@dataclass
class TensorPair:
    """Two tensors with the same number of elements, and their dtypes."""

    one: tuple[Dtype, bytes]
    two: tuple[Dtype, bytes]


@st.composite
def pairs(draw: st.DrawFn) -> TensorPair:
    """Draw two tensors of any bits, often equal in part.

    Mistakes are likely where they differ by a single bit.
    """
    first = draw(st.sampled_from(list(Dtype)))
    second = draw(st.one_of(st.just(first), st.sampled_from(list(Dtype))))
    count = 8 * draw(st.integers(0, 6))
    one = draw(st.binary(min_size=count * first.bits // 8, max_size=count * first.bits // 8))
    two = draw(st.binary(min_size=count * second.bits // 8, max_size=count * second.bits // 8))
    if first is second and draw(st.booleans()):
        cut = draw(st.integers(0, len(one)))
        two = one[:cut] + two[cut:]
    return TensorPair((first, one), (second, two))


@settings(max_examples=250)
@given(sides=pairs())
def test_facts_of_any_two_tensors_match_exact_arithmetic(
    sides: TensorPair, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found, expected = (
        compared(tmp_path_factory.mktemp("pair"), sides.one, sides.two),
        exact_facts(sides.one, sides.two),
    )
    mixed = {sides.one[0], sides.two[0]}
    if len(mixed) > 1 and mixed & {Dtype.I64, Dtype.U64}:
        # Compared exactly, but subtracted as doubles.
        assert found[:4] == expected[:4]
        return
    assert_facts(found, expected)


DTYPES = [Dtype.BF16, Dtype.F16, Dtype.F32, Dtype.F64, Dtype.F8_E4M3, Dtype.I32, Dtype.I64]


def numbers_in(dtype: Dtype, count: int, seed: int, spread: float = 1.0) -> bytes:
    """Return plausible weights, of sizes from tiny to large."""
    random = np.random.default_rng(seed)
    values: Any = (
        np.clip(
            random.standard_normal(count) * np.exp(random.standard_normal(count) * 3), -6e4, 6e4
        )
        * spread
    )
    if dtype is Dtype.BF16:
        return bytes((values.astype("<f4").view("<u4") >> 16).astype("<u2"))
    if dtype is Dtype.F8_E4M3:
        return bytes(random.integers(0, 127, count, dtype="u1"))
    kinds = {
        Dtype.F16: "<f2",
        Dtype.F32: "<f4",
        Dtype.F64: "<f8",
        Dtype.I32: "<i4",
        Dtype.I64: "<i8",
    }
    return bytes((values * (1000 if dtype in (Dtype.I32, Dtype.I64) else 1)).astype(kinds[dtype]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_facts_of_large_tensors_match_exact_arithmetic(
    dtype: Dtype, spread: float, tmp_path: Path
) -> None:
    one, two = (
        (dtype, numbers_in(dtype, values_dtypes.BLOCK + 12_345, seed, size))
        for seed, size in ((1, 1.0), (2, spread))
    )
    assert_facts(compared(tmp_path, one, two), exact_facts(one, two))


def test_small_and_large_changes_are_measured_alike(tmp_path: Path) -> None:
    one = np.random.default_rng(0).standard_normal(200_000).astype("<f4")
    two = np.nextafter(one, np.float32(9))
    assert_facts(
        compared(tmp_path, (Dtype.F32, one.tobytes()), (Dtype.F32, two.tobytes())),
        exact_facts((Dtype.F32, one.tobytes()), (Dtype.F32, two.tobytes())),
    )


def doubles(*values: float) -> tuple[Dtype, bytes]:
    return Dtype.F64, np.array(values, "<f8").tobytes()


def floats(*values: float) -> tuple[Dtype, bytes]:
    return Dtype.F32, np.array(values, "<f4").tobytes()


def integers(*values: int) -> tuple[Dtype, bytes]:
    return Dtype.I64, np.array(values, "<i8").tobytes()


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("one", "two", "changed", "broken", "max_abs"),
    [
        (floats(0.0, 1.0), floats(-0.0, 1.0), 0, 0, 0.0),
        (floats(NAN, 1.0), floats(-NAN, 1.0), 0, 0, 0.0),
        (floats(NAN, 1.0), floats(2.0, 4.0), 2, 1, 3.0),
        (floats(INF, -INF, 1.0), floats(INF, INF, 1.5), 2, 1, 0.5),
        (floats(1.5, 2.0), doubles(1.5, 2.0), 0, 0, 0.0),
        (floats(0.1), doubles(0.1), 1, 0, abs(float(np.float32(0.1)) - 0.1)),
        (integers(2**60, -(2**63)), integers(2**60 + 1, 2**63 - 1), 2, 0, 2.0**64),
        (integers(2**60 + 1), doubles(2.0**60), 1, 0, 0.0),
        (integers(2**60), doubles(2.0**60), 0, 0, 0.0),
        (doubles(1e300, 1e-300), doubles(1e300, 3e-300), 1, 0, 3e-300 - 1e-300),
        (doubles(-1.5e308), doubles(1.5e308), 1, 0, INF),
    ],
)
def test_values_are_equal_if_equal_as_numbers(  # noqa: PLR0913, PLR0917 - one parameter a column of the table
    one: tuple[Dtype, bytes],
    two: tuple[Dtype, bytes],
    changed: int,
    broken: int,
    max_abs: float,
    tmp_path: Path,
) -> None:
    found = compared(tmp_path, one, two)
    assert not found.same_bytes
    assert (found.changed, found.broken, found.max_abs) == (changed, broken, max_abs)


def test_norms_of_doubles_whose_squares_overflow_or_underflow(tmp_path: Path) -> None:
    large = 2.0**700
    found = compared(
        tmp_path, doubles(3 * large, 4 * large), doubles(3 * large, 4 * large * (1 + 2**-30))
    )
    assert isclose(found.l2_a, 5 * large, rel_tol=1e-12)
    assert isclose(found.rel_l2, 0.8 * 2**-30, rel_tol=1e-12)
    assert isclose(
        compared(tmp_path, doubles(-1.0e308, 1.0e308), doubles(-1.0e308, -0.75e308)).rel_l2,
        1.75 / sqrt(2),
        rel_tol=1e-12,
    )
    beyond = compared(tmp_path, doubles(-1.5e308), doubles(1.5e308))
    assert (beyond.max_abs, beyond.l2_change, beyond.rel_l2, beyond.cosine) == (INF, INF, 2.0, -1.0)
    largest = 2.0**1023
    norms = compared(
        tmp_path, doubles(*[largest] * 4), doubles(*[largest] * 3, largest * (1 - 2**-20))
    )
    assert (norms.l2_a, norms.max_abs, norms.rel_l2) == (INF, largest * 2**-20, 2**-21)
    assert compared(tmp_path, doubles(0.0, 0.0), doubles(1.7e308, 1.7e308)).rel_l2 == INF
    assert compared(tmp_path, doubles(5e-324, 0.0), doubles(1.7e308, 1.7e308)).rel_l2 == INF
    small = compared(tmp_path, doubles(3e-200, 4e-200), doubles(0.0, 0.0))
    assert isclose(small.l2_change, 5e-200, rel_tol=1e-12)
    assert (small.rel_l2, small.cosine) == (1.0, 0.0)


def test_a_change_relative_to_zeros_is_infinite(tmp_path: Path) -> None:
    assert compared(tmp_path, floats(0.0, 0.0), floats(0.0, 1e-9)).rel_l2 == INF


@pytest.mark.parametrize("integer", [Dtype.I64, Dtype.U64])
def test_large_integers_are_compared_with_complex_numbers(integer: Dtype, tmp_path: Path) -> None:
    whole = integer, np.array([3, 2**60 + 1, 2**60, 5], "<i8").tobytes()
    pairs = Dtype.C64, np.array([3, 0, 2**60, 0, 2**60, 0, 5, 1], "<f4").tobytes()
    for one, two in ((whole, pairs), (pairs, whole)):
        found = compared(tmp_path, one, two)
        assert (found.elements, found.changed, found.broken, found.max_abs) == (8, 2, 0, 1.0)


def test_no_change_is_never_negative_zero(tmp_path: Path) -> None:
    for one, two in (
        (floats(0.0, 0.0), floats(-0.0, -0.0)),
        (floats(-0.0), floats(0.0)),
        (doubles(0.0), doubles(-0.0)),
        (floats(-0.0), doubles(0.0)),
    ):
        assert [str(number) for number in compared(tmp_path, one, two)[4:8]] == ["0.0"] * 4


# --- laws -----------------------------------------------------------------------------------------


def a_model(seed: int) -> dict[str, tuple[Dtype, bytes]]:
    sizes = (1, 7, 4096, 150_001)
    return {
        f"layers.{index}.{dtype.label}": (dtype, numbers_in(dtype, size, seed + index))
        for index, size in enumerate(sizes)
        for dtype in DTYPES
    }


def changed_in_part(model: dict[str, tuple[Dtype, bytes]]) -> dict[str, tuple[Dtype, bytes]]:
    """Return a model whose tensors differ at their ends only, or not at all."""
    other = a_model(50)
    cut = {
        name: (dtype, data if name.startswith("layers.1.") else data[: len(data) * 15 // 128 * 8])
        for name, (dtype, data) in model.items()
    }
    return {
        name: (dtype, data + other[name][1][len(data) :]) for name, (dtype, data) in cut.items()
    }


@pytest.fixture
def two_models(tmp_path: Path) -> tuple[Checkpoint, Checkpoint]:
    model = a_model(0)
    return written(tmp_path / "a", model), written(tmp_path / "b", changed_in_part(model))


def test_a_copy_is_identical(tmp_path: Path) -> None:
    model = a_model(0)
    found = facts_of(written(tmp_path / "a", model), written(tmp_path / "b", model))
    assert len(found) == len(model)
    assert all(facts == PairFacts(facts.elements, same_bytes=True) for facts in found.values())


def test_the_number_of_threads_does_not_matter(
    two_models: tuple[Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = facts_of(*two_models)
    for count in (1, 5):
        monkeypatch.setattr(values_compare, "threads", lambda count=count: count)
        assert facts_of(*two_models) == expected


@pytest.mark.parametrize("piece", [1, 2, 64])
def test_the_size_of_pieces_does_not_matter(
    piece: int, two_models: tuple[Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = facts_of(*two_models)
    monkeypatch.setattr(values_compare, "PIECE", piece * values_dtypes.BLOCK)
    for name, facts in facts_of(*two_models).items():
        assert_facts(facts, expected[name])


@pytest.mark.parametrize("block", [1024, 65_536])
def test_the_size_of_blocks_does_not_matter(
    block: int, two_models: tuple[Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = facts_of(*two_models)
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(values_compare, "PIECE", 16 * block)
    for name, facts in facts_of(*two_models).items():
        assert_facts(facts, expected[name])


def test_shards_do_not_matter(tmp_path: Path) -> None:
    one, two = a_model(0), changed_in_part(a_model(0))
    expected = facts_of(written(tmp_path / "a", one), written(tmp_path / "b", two))
    assert facts_of(sharded(tmp_path / "c", one, 3), sharded(tmp_path / "d", two, 2)) == expected


def test_swapping_the_sides_swaps_the_facts(two_models: tuple[Checkpoint, Checkpoint]) -> None:
    there, back = facts_of(*two_models), facts_of(*reversed(two_models))
    for name, facts in there.items():
        other = back[name]
        assert other[:5] == facts[:5]
        assert (other.l2_a, other.l2_b, other.l2_change) == (
            facts.l2_b,
            facts.l2_a,
            facts.l2_change,
        )
        assert isclose(other.cosine, facts.cosine, abs_tol=1e-12)


@settings(max_examples=40)
@given(
    dtype=st.sampled_from(DTYPES),
    place=st.integers(0),
    count=st.sampled_from([1, 64, 4096, values_dtypes.BLOCK + 1]),
)
def test_a_single_flipped_bit_anywhere_is_found(
    dtype: Dtype, place: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = numbers_in(dtype, count, 3)
    bit = place % (8 * len(data))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    folder = tmp_path_factory.mktemp("flip")
    found = compared(folder, (dtype, data), (dtype, bytes(flipped)))
    assert not found.same_bytes
    assert found.changed <= 1
    assert_facts(found, exact_facts((dtype, data), (dtype, bytes(flipped))))


def test_a_renamed_tensor_is_compared_with_its_counterpart(tmp_path: Path) -> None:
    model = a_model(0)
    moved = {f"_orig_mod.{name}": blob for name, blob in changed_in_part(model).items()}
    pairs, uncompared = comparable(written(tmp_path / "a", model), written(tmp_path / "b", moved))
    assert uncompared == 0
    assert all(b.name == f"_orig_mod.{a.name}" for a, b in pairs)
    assert len(pairs) == len(model)


def test_tensors_without_a_counterpart_of_their_shape_are_counted(tmp_path: Path) -> None:
    a = written(tmp_path / "a", {"x": floats(1.0), "y": floats(1.0), "z": floats(1.0, 2.0, 3.0)})
    b = written(tmp_path / "b", {"x": floats(1.0), "y": floats(1.0, 2.0)})
    pairs, uncompared = comparable(a, b)
    assert [pair[0].name for pair in pairs] == ["x"]
    assert uncompared == 3


# --- memory, and files that change ----------------------------------------------------------------


def sparse(folder: Path, nbytes: int) -> Checkpoint:
    """Return a checkpoint of zeros, which takes no room on the disk."""
    folder.mkdir()
    placed = header.layout([Tensor("x", Dtype.BF16, (nbytes // 2,), "", 0, nbytes)])
    with (folder / "model.safetensors").open("wb") as file:
        file.write(header.encode(placed))
        file.truncate(file.tell() + nbytes)
    return api.read(str(folder))


def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path) -> None:
    nbytes = 128 << 20
    a, b = sparse(tmp_path / "a", nbytes), sparse(tmp_path / "b", nbytes)
    with (tmp_path / "b/model.safetensors").open("r+b") as file:
        file.seek(b.weights[0].payload_start)
        file.write(b"\x80\x3f")
    tracemalloc.start()
    try:
        found = facts_of(a, b)["x"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.changed, found.l2_change) == (1, 1.0)
    assert peak < 12e6 * blocks.threads()


def test_a_file_that_becomes_shorter_is_named(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a", a_model(0)), written(tmp_path / "b", a_model(9))
    path = tmp_path / "b/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ChangedDuringRead, match="became shorter") as caught:
        facts_of(a, b)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("dtype", [Dtype.BF16, Dtype.F64])
@pytest.mark.parametrize("side", [0, 1])
def test_a_file_that_cannot_be_read_is_named(side: int, dtype: Dtype, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(64))
    with (tmp_path / "there").open("rb") as file:
        there, closed = (
            blocks.Span("there", file.fileno(), 0, dtype),
            blocks.Span("closed", -1, 0, dtype),
        )
        with pytest.raises(Unreadable) as caught:
            piece_sums(
                blocks.Buffers(), (closed, there) if side == 0 else (there, closed), range(4)
            )
    assert caught.value.path == "closed"


def test_a_file_written_during_the_comparison_is_named(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a", a_model(0)), written(tmp_path / "b", a_model(9))
    path = tmp_path / "a/model.safetensors"

    def write(_: int) -> None:
        with path.open("r+b") as file:
            file.write(b"\x01")
        os.utime(path)

    pairs, _ = comparable(a, b)
    with pytest.raises(ChangedDuringRead, match="changed while it was read") as caught:
        compare_values(a, b, pairs, cached=False, progress=Progress(write))
    assert caught.value.path == str(path)


def test_progress_counts_every_byte(two_models: tuple[Checkpoint, Checkpoint]) -> None:
    reported: list[int] = []
    pairs, _ = comparable(*two_models)
    compare_values(*two_models, pairs, cached=False, progress=Progress(reported.append))
    assert sum(reported) == sum(tensor.nbytes for side in two_models for tensor in side.tensors)
    assert sqrt(len(reported)) > 1
