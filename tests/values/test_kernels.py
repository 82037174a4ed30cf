"""The compiled sums, against ml_dtypes and exact arithmetic.

They are tested with this processor's vectors and without. Without the
compiled library, numpy computes the same.
"""

from __future__ import annotations

import ctypes
import json
import os
from fractions import Fraction
from functools import partial
from math import inf, isclose, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import __version__
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.cli.main import main
from ckpt_tools.values import kernels
from tools import build_kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP = 1 << 16
"""Bytes that the library reads at once."""

KINDS = {
    Dtype.F32: np.dtype("<f4"),
    Dtype.BF16: np.dtype(ml_dtypes.bfloat16),
    Dtype.F16: np.dtype("<f2"),
}


@pytest.fixture(params=["vectors", "plain"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the functions for this processor, then the portable ones."""
    if request.param == "plain":
        without_wide_vectors(monkeypatch)
    yield
    kernels._function.cache_clear()


class Plain(ctypes.CDLL):
    """The library on a processor without wide vectors."""

    @staticmethod
    def has_wide() -> int:
        return 0


def without_wide_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "library", lambda: Plain(kernels.LIBRARY))
    kernels._function.cache_clear()


def pair(a: Any, b: Any) -> kernels.PairSums:
    one, two = (
        next(kind for kind, dtype in KINDS.items() if dtype == side.dtype) for side in (a, b)
    )
    return kernels.pair((one, two), a.ctypes.data, b.ctypes.data, a.size)


def one(a: Any) -> kernels.OneSums:
    return kernels.one(
        next(kind for kind, dtype in KINDS.items() if dtype == a.dtype), a.ctypes.data, a.size
    )


def exact(values: Any) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


def near(found: float, expected: Fraction, scale: Fraction) -> bool:
    return abs(Fraction(found) - expected) <= scale * Fraction(1, 10**14)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("dtype", [Dtype.BF16, Dtype.F16], ids=str)
def test_every_code_matches_ml_dtypes(dtype: Dtype) -> None:
    codes = np.arange(1 << 16, dtype="<u2").view(KINDS[dtype])
    with np.errstate(all="ignore"):
        values = codes.astype("<f8")
    for code, value in zip(codes, values, strict=True):
        found = one(np.array([code]))
        assert (
            (found.sum == value and found.low == found.high == value)
            if isfinite(value)
            else not found.squares < inf
        )
        assert found.nonzero == (value != 0)


@pytest.mark.usefixtures("level")
def test_floats_of_every_exponent_are_read() -> None:
    values = np.array(
        [sign * 2.0**exponent * 1.25 for exponent in range(-147, 128) for sign in (1, -1)], "<f4"
    )
    for value in values:
        assert one(np.array([value])).sum == float(value)


@st.composite
def numbers(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw two arrays of finite numbers, of any two kinds.

    Lengths around the rows and vectors in which they are added.
    """
    count = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 1023, 1024, 1025, 2051]))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    sides = []
    for _ in range(2):
        values = random.standard_normal(count) * np.exp2(random.integers(-20, 13, count))
        values[random.random(count) < 0.1] = 0.0
        sides.append(values.astype("<f4").astype(KINDS[draw(st.sampled_from(list(KINDS)))]))
    if sides[0].dtype == sides[1].dtype and draw(st.booleans()):
        same = random.random(count) < 0.5
        sides[1][same] = sides[0][same]
    return sides[0], sides[1]


@pytest.mark.usefixtures("level")
@given(numbers())
def test_sums_of_a_pair_match_exact_arithmetic(sides: tuple[Any, Any]) -> None:
    found, (a, b) = pair(*sides), map(exact, sides)
    assert found.changed == sum(x != y for x, y in zip(a, b, strict=True))
    assert found.max_abs == float(max((abs(y - x) for x, y in zip(a, b, strict=True)), default=0))
    aa, bb, dd = (
        sum(x * x for x in a),
        sum(y * y for y in b),
        sum((y - x) ** 2 for x, y in zip(a, b, strict=True)),
    )
    assert near(found.aa, Fraction(aa), Fraction(aa))
    assert near(found.bb, Fraction(bb), Fraction(bb))
    assert near(found.dd, Fraction(dd), Fraction(dd))
    assert near(
        found.ab, Fraction(sum(x * y for x, y in zip(a, b, strict=True))), Fraction(aa + bb)
    )


@pytest.mark.usefixtures("level")
@given(numbers())
def test_sums_of_one_tensor_match_exact_arithmetic(sides: tuple[Any, Any]) -> None:
    a = sides[0]
    found, values = one(a), exact(a)
    assert found.nonzero == sum(value != 0 for value in values)
    assert (found.low, found.high) == (
        (float(min(values)), float(max(values))) if values else (inf, -inf)
    )
    assert near(found.sum, Fraction(sum(values)), Fraction(sum(map(abs, values))))
    assert near(
        found.squares,
        Fraction(sum(value * value for value in values)),
        Fraction(sum(value * value for value in values)),
    )
    assert found.bits == int(np.bitwise_or.reduce(a.view(f"<u{a.dtype.itemsize}"), initial=0))


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("broken", [float("nan"), inf, -inf])
@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("place", [0, 3, 1024, 2050])
def test_nan_and_infinities_are_found_at_any_index(dtype: Dtype, broken: float, place: int) -> None:
    a, b = np.ones(2051, KINDS[dtype]), np.ones(2051, KINDS[dtype])
    b[place] = broken
    for found in (pair(a, b), pair(b, a), pair(b, b)):
        assert not found.aa + found.bb < inf
    assert not one(b).squares < inf


@pytest.mark.usefixtures("level")
def test_the_largest_floats_do_not_overflow() -> None:
    a = np.full(1 << 16, np.finfo("<f4").max, "<f4")
    found = pair(a, -a)
    assert isclose(found.dd, 4 * a.size * float(a[0]) ** 2, rel_tol=1e-14)
    assert found.max_abs == 2 * float(a[0])


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("count", [1, 63, 1024, STEP - 1, STEP, STEP + 1, 3 * STEP + 5])
def test_a_different_byte_is_found_at_any_index(count: int, tmp_path: Path) -> None:
    a = np.random.default_rng(0).integers(0, 256, count, "u1")
    for place in {0, count // 2, count - 1}:
        b = a.copy()
        assert on_files(kernels.same_in_files, tmp_path, a, b, count) is True
        b[place] ^= 0x10
        assert on_files(kernels.same_in_files, tmp_path, a, b, count) is False
        assert on_files(kernels.same_in_files, tmp_path, a, b, place) is True
    assert on_files(kernels.same_in_files, tmp_path, a, a[:-1], count) is None


def on_files(what: Callable[..., Any], folder: Path, a: Any, b: Any, count: int) -> Any:
    """Return what is found of a and b in files of their own, after one byte of something else."""
    descriptors = []
    for name, side in (("a", a), ("b", b)):
        (folder / name).write_bytes(b"?" + side.tobytes())
        descriptors.append(os.open(folder / name, os.O_RDONLY))
    try:
        return what(
            *(kernels.Source(descriptor, 1, kernels.Memory(STEP)) for descriptor in descriptors),
            count,
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("count", [0, 1, 1025, STEP // 4, STEP // 4 + 1, STEP + 3])
@pytest.mark.parametrize(
    "dtypes", [(Dtype.F32, Dtype.F32), (Dtype.BF16, Dtype.F32), (Dtype.F16, Dtype.BF16)], ids=str
)
def test_sums_of_two_files_match_sums_in_memory(
    dtypes: tuple[Dtype, Dtype], count: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(count)
    a, b = (random.standard_normal(count).astype("<f4").astype(KINDS[dtype]) for dtype in dtypes)
    done, found = on_files(partial(kernels.pair_of_files, dtypes), tmp_path, a, b, count)
    expected = pair(a, b)
    assert (done, found.changed, found.max_abs) == (count, expected.changed, expected.max_abs)
    assert all(
        isclose(getattr(found, name), getattr(expected, name), rel_tol=1e-13, abs_tol=1e-12)
        for name in ("aa", "bb", "dd", "ab")
    )


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("count", [0, 1, 1025, STEP // 4 + 1, STEP + 3])
@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_sums_of_one_file_match_sums_in_memory(dtype: Dtype, count: int, tmp_path: Path) -> None:
    a = np.random.default_rng(count).standard_normal(count).astype("<f4").astype(KINDS[dtype])
    done, found = on_files(partial(first_file_sums, dtype), tmp_path, a, a, count)
    expected = one(a)
    assert (done, found.nonzero, found.bits, found.low, found.high) == (
        count,
        expected.nonzero,
        expected.bits,
        expected.low,
        expected.high,
    )
    assert all(
        isclose(getattr(found, name), getattr(expected, name), rel_tol=1e-13, abs_tol=1e-12)
        for name in ("sum", "squares")
    )


def first_file_sums(
    dtype: Dtype, a: kernels.Source, _: kernels.Source, count: int
) -> tuple[int, kernels.OneSums]:
    return kernels.one_of_file(dtype, a, count)


@pytest.mark.parametrize("size", [64, 4096, 4 * STEP])
def test_reading_files_never_writes_outside_the_buffers(size: int, tmp_path: Path) -> None:
    a = np.random.default_rng(0).standard_normal(STEP).astype("<f4")
    (tmp_path / "a").write_bytes(a.tobytes())
    with (tmp_path / "a").open("rb") as file:
        guarded = [kernels.Memory(size + 64) for _ in range(2)]
        for memory in guarded:
            memory.size = size
        left, right = (kernels.Source(file.fileno(), 0, memory) for memory in guarded)
        assert kernels.same_in_files(left, right, a.nbytes) is True
        assert kernels.one_of_file(Dtype.F32, left, a.size)[0] == a.size
        done, found = kernels.pair_of_files((Dtype.F32, Dtype.F32), left, right, a.size)
    assert (done, found.changed) == (a.size, 0)
    assert isclose(found.ab, float(np.sum(a.astype("<f8") ** 2)), rel_tol=1e-13)
    assert all(bytes(memory.view[size:]) == bytes(64) for memory in guarded)


@pytest.mark.usefixtures("level")
def test_sums_stop_before_the_first_invalid_block(tmp_path: Path) -> None:
    a, b = np.ones(STEP, "<f4"), np.ones(STEP, "<f4")
    b[STEP // 2 + 1] = np.nan
    done, found = on_files(
        partial(kernels.pair_of_files, (Dtype.F32, Dtype.F32)), tmp_path, a, b, a.size
    )
    assert (done, found.aa, found.bb) == (STEP // 2, STEP // 2, STEP // 2)
    done, found = on_files(
        partial(kernels.pair_of_files, (Dtype.F32, Dtype.F32)), tmp_path, a, a[:-1], a.size
    )
    assert (done, found.aa) == (STEP - STEP // 4, STEP - STEP // 4)
    done, one_side = on_files(partial(first_file_sums, Dtype.F32), tmp_path, b, b, b.size)
    assert (done, one_side.squares, one_side.high) == (STEP // 2, STEP // 2, 1.0)
    closed = kernels.Source(-1, 0, kernels.Memory(STEP))
    assert (
        kernels.pair_of_files((Dtype.F32, Dtype.F32), closed, closed, 1)[0]
        == kernels.one_of_file(Dtype.F32, closed, 1)[0]
        == 0
    )


def test_sums_with_and_without_wide_vectors_are_bit_identical(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(100_003).astype("<f4") for _ in range(2))
    first = bytes(pair(a, b)), bytes(one(a))
    without_wide_vectors(monkeypatch)
    assert (bytes(pair(a, b)), bytes(one(a))) == first
    kernels._function.cache_clear()


def test_the_library_was_built_from_this_source(tmp_path: Path) -> None:
    """Otherwise the tests of an edited `kernels.c` would run the previous build."""
    build_kernels.build(tmp_path / "libkernels.so", "-Werror")
    assert (tmp_path / "libkernels.so").read_bytes() == Path(kernels.LIBRARY).read_bytes()


# --- without the library --------------------------------------------------------------------------


@pytest.fixture
def reloaded_library() -> Iterator[None]:
    """Load the library again, before and after the test."""
    kernels.library.cache_clear()
    yield
    kernels.library.cache_clear()


def missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "LIBRARY", str(tmp_path / "none.so"))


def switched_off(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setenv(kernels.NO_KERNEL, "1")


def built_from_other_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kernels.c").write_bytes(Path(kernels.SOURCE).read_bytes() + b"\n")
    monkeypatch.setattr(kernels, "SOURCE", str(tmp_path / "kernels.c"))


def another_library(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    found = next(Path(np.__file__).parent.rglob("_multiarray_umath*.so"))
    monkeypatch.setattr(kernels, "LIBRARY", str(found))


def not_a_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.so").write_bytes(b"\x7fELF")
    monkeypatch.setattr(kernels, "LIBRARY", str(tmp_path / "broken.so"))


@pytest.mark.usefixtures("reloaded_library")
@pytest.mark.parametrize(
    "disable", [missing, switched_off, built_from_other_source, another_library, not_a_library]
)
def test_an_unusable_library_is_ignored_and_reported_by_version(
    disable: Callable[[pytest.MonkeyPatch, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert kernels.reads(Dtype.F32)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ckpt {__version__} (safetensors format 0.8)\n"
    disable(monkeypatch, tmp_path)
    kernels.library.cache_clear()
    assert not kernels.reads()
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == (
        f"ckpt {__version__} (safetensors format 0.8; "
        "without the compiled kernel: tensor values are read more slowly)\n"
    )


def close(a: object, b: object) -> bool:
    """Whether two JSON values are the same, up to the rounding of sums."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return isclose(a, b, rel_tol=1e-12, abs_tol=1e-300)
    return a == b


@pytest.mark.usefixtures("reloaded_library")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["diff", "--values", "--no-cache", "fixtures/normal", "fixtures/reflow"], 1),
        (["show", "--values", "--no-cache", "fixtures/reflow"], 0),
        (["verify", "--values", "fixtures/reflow"], 1),
    ],
    ids=lambda parameter: parameter[0] if isinstance(parameter, list) else "",
)
def test_output_is_the_same_without_the_library(
    command: list[str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outputs = []
    for value in ("", "1"):
        monkeypatch.setenv(kernels.NO_KERNEL, value)
        kernels.library.cache_clear()
        assert main([*command, "--format", "json"]) == status
        outputs.append(json.loads(capsys.readouterr().out))
    assert close(*outputs)


def test_a_compile_error_contains_the_compiler_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "kernels.c"
    source.write_text("int broken(void) { return nothing; }\n", encoding="utf-8")
    monkeypatch.setattr(build_kernels, "SOURCE", source)
    with pytest.raises(
        RuntimeError,
        match=r"kernels.c could not be compiled by Zig \(pip install ziglang\): .*nothing",
    ):
        build_kernels.build(tmp_path / "libkernels.so")
    assert not (tmp_path / "libkernels.so").exists()
