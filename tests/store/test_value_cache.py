"""What is remembered of values: used when the very same files are looked at again, forgotten when anything is doubtful, never in the way."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.compare.checkpoints import comparable
from ckpt_tools.records.dtype import Dtype
from ckpt_tools.records.tensor_change import PairFacts
from ckpt_tools.store import copying, pair_sums, value_cache
from ckpt_tools.store.comparing import compare_values
from ckpt_tools.store.measuring import measure_all
from tests.store.blobs import written
from tests.store.test_comparing import floats

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.records.checkpoint import Checkpoint

type Facts = dict[str, PairFacts]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache folder of its own, and files that are old enough at once: none of them changes but on purpose."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(value_cache, "RACY_NS", 0)
    return tmp_path / "cache/ckpt-tools/values"


@pytest.fixture
def a(tmp_path: Path) -> Checkpoint:
    return written(tmp_path / "a", {"x": floats(1.0, 2.0), "y": floats(3.0)})


@pytest.fixture
def b(tmp_path: Path) -> Checkpoint:
    return written(tmp_path / "b", {"x": floats(1.0, 2.5), "y": floats(3.0)})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows whenever payload is read."""
    happened: list[int] = []
    real = copying.read_into

    def counting(descriptor: int, buffer: memoryview, offset: int) -> int:
        happened.append(offset)
        return real(descriptor, buffer, offset)

    monkeypatch.setattr(pair_sums, "read_into", counting)
    return happened


def compared(a: Checkpoint, b: Checkpoint, *, cached: bool = True) -> Facts:
    pairs, _ = comparable(a, b)
    return {pair[1].name: facts for pair, facts in zip(pairs, compare_values(a, b, pairs, cached=cached), strict=True)}


def test_the_second_look_reads_nothing_and_says_the_same(a: Checkpoint, b: Checkpoint, read: list[int]) -> None:
    first = compared(a, b)
    assert first["x"].changed == 1
    assert read
    read.clear()
    assert compared(a, b) == first
    assert read == []


def test_no_cache_reads_everything_and_leaves_nothing(a: Checkpoint, b: Checkpoint, read: list[int], cache: Path) -> None:
    compared(a, b, cached=False)
    assert not cache.exists()
    compared(a, b)
    read.clear()
    compared(a, b, cached=False)
    assert read


def test_a_file_that_changed_is_read_again(a: Checkpoint, b: Checkpoint, tmp_path: Path) -> None:
    compared(a, b)
    path = tmp_path / "b/model.safetensors"
    before = path.stat()
    data = path.read_bytes()
    with path.open("r+b") as file:  # the same inode, size and, put back, modification time
        file.write(data[:-4] + floats(9.0)[1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert compared(a, b)["y"].max_abs + compared(a, b)["x"].max_abs > 5


def test_a_file_put_in_the_place_of_another_is_read(a: Checkpoint, b: Checkpoint, tmp_path: Path) -> None:
    compared(a, b)
    written(tmp_path / "c", {"x": floats(1.0, 7.0), "y": floats(3.0)})
    (tmp_path / "c/model.safetensors").replace(tmp_path / "b/model.safetensors")
    assert compared(a, b)["x"].max_abs == 5.0


def test_a_file_of_this_moment_is_not_remembered(a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_cache, "RACY_NS", 2_000_000_000)
    compared(a, b)
    measure_all(a)
    assert not cache.exists()
    later = time.time_ns() + 3_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    compared(a, b)
    assert len(list(cache.iterdir())) == 1


def test_equal_digests_are_known_without_reading(a: Checkpoint, tmp_path: Path, read: list[int]) -> None:
    copy = written(tmp_path / "copy", {"x": floats(1.0, 2.0), "y": floats(3.0)})
    measure_all(a)
    measure_all(copy)
    read.clear()
    assert all(facts.same_bytes for facts in compared(a, copy).values())
    assert read == []


def test_one_file_under_two_names_is_known_to_be_equal(a: Checkpoint, tmp_path: Path, read: list[int]) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    linked = a._replace(root=str(tmp_path / "link"))
    assert all(facts.same_bytes for facts in compared(a, linked, cached=False).values())
    assert read == []


def test_measurements_are_remembered(a: Checkpoint, read: list[int]) -> None:
    first = measure_all(a)
    assert read
    read.clear()
    assert measure_all(a) == first
    assert read == []
    assert measure_all(a, cached=False) == first
    assert read


def rows(value: object) -> Callable[[dict[str, object]], object]:
    return lambda held: held | {"rows": value}


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: [],
        lambda _: None,
        lambda held: held | {"key": ["pairs", 0]},
        rows(None),
        rows([None, 3, "x"]),
        rows([["x"]]),
        rows([["x", "x", 2, False, 1, 0, 0.5, 1.0, "1.0", 0.5, 1.0]]),
        rows([["x", "x", 2, True, 0, 0, 0.0, 0.0, 0.0, 0.0]]),
        rows([["x", "x", 99, False, 1, 0, 0.5, 1.0, 1.0, 0.5, 1.0]]),
    ],
)
def test_a_damaged_cache_is_as_none(damage: Callable[[dict[str, object]], object], a: Checkpoint, b: Checkpoint, cache: Path) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    path.write_text(json.dumps(damage(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    assert compared(a, b) == first


def test_what_is_said_of_other_files_is_not_believed(a: Checkpoint, b: Checkpoint, cache: Path) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    held = json.loads(path.read_text(encoding="utf-8"))
    lie = [["x", "x", 2, False, 2, 0, 9.0, 1.0, 1.0, 9.0, 0.0]]
    path.write_text(json.dumps(held | {"rows": lie}), encoding="utf-8")
    assert compared(a, b)["x"].max_abs == 9.0  # what it says of these files it would be
    held["key"][-1][0] += "-other"
    path.write_text(json.dumps(held | {"rows": lie}), encoding="utf-8")
    assert compared(a, b) == first


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"key": NaN'])
def test_a_cache_that_is_no_json_is_as_none(data: bytes, a: Checkpoint, b: Checkpoint, cache: Path) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    path.write_bytes(data)
    assert compared(a, b) == first


def test_a_folder_that_cannot_be_written_is_no_trouble(a: Checkpoint, b: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in (str(tmp_path / "file"), "/proc/none"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert compared(a, b)["x"].changed == 1


def test_a_relative_cache_home_is_ignored_as_the_specification_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", "/somewhere")
    assert value_cache.folder() == "/somewhere/.cache/ckpt-tools/values"


def test_what_was_used_longest_ago_goes_first(a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    for number in range(5):
        (cache / f"{number}.json").write_text("x" * 100, encoding="utf-8")
        os.utime(cache / f"{number}.json", (number, number))
    monkeypatch.setattr(value_cache, "MOST_FILES", 3)
    compared(a, b)
    assert {path.name for path in cache.iterdir()} >= {"3.json", "4.json"}
    assert len(list(cache.iterdir())) == 3
    monkeypatch.setattr(value_cache, "MOST_BYTES", 10)
    measure_all(a)
    assert list(cache.iterdir()) == []


def test_no_half_written_file_is_left(a: Checkpoint, b: Checkpoint, cache: Path) -> None:
    compared(a, b)
    assert [path.suffix for path in cache.iterdir()] == [".json"]


def test_a_dtype_that_changed_under_one_name_is_another_file(a: Checkpoint, tmp_path: Path) -> None:
    other = written(tmp_path / "d", {"x": (Dtype.BF16, b"\x80\x3f\x00\x40"), "y": floats(3.0)})
    assert compared(a, other)["x"] == PairFacts(2, same_bytes=False, l2_a=5**0.5, l2_b=5**0.5)
