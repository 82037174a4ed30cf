"""The cache of facts about tensor values.

It is used when the same files are read again, is ignored when in doubt, and never causes an error.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.diff.compare import comparable
from ckpt_tools.errors import ChangedDuringRead
from ckpt_tools.progress import Progress
from ckpt_tools.values import blocks
from ckpt_tools.values import cache as value_cache
from ckpt_tools.values.compare import compare_values
from ckpt_tools.values.difference_rank import difference_ranks
from ckpt_tools.values.measure import measure
from ckpt_tools.values.model import PairFacts
from tests.support.blobs import written
from tests.support.cases import make
from tests.values.test_compare import floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.values.dtypes import Array

type Facts = dict[str, PairFacts]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache folder of its own, and files that are old enough immediately."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(value_cache, "RACY_NS", 0)
    monkeypatch.setattr(
        value_cache, "TIMELESS", frozenset()
    )  # where tests may well put their files
    return tmp_path / "cache/ckpt-tools/values"


@pytest.fixture
def a(tmp_path: Path) -> Checkpoint:
    return written(tmp_path / "a", {"x": floats(1.0, 2.0), "y": floats(3.0)})


@pytest.fixture
def b(tmp_path: Path) -> Checkpoint:
    return written(tmp_path / "b", {"x": floats(1.0, 2.5), "y": floats(3.0)})


@pytest.fixture
def payload_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows whenever payload is read."""
    happened: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            happened.append(name)
            return real(*arguments)

        return counted

    for name in ("read", "source"):
        monkeypatch.setattr(blocks.Span, name, counting(name, getattr(blocks.Span, name)))
    return happened


def compared(a: Checkpoint, b: Checkpoint, *, cached: bool = True) -> Facts:
    pairs, _ = comparable(a, b)
    return {
        pair[1].name: facts
        for pair, facts in zip(pairs, compare_values(a, b, pairs, cached=cached), strict=True)
    }


def test_a_second_comparison_reads_nothing_and_is_equal(
    a: Checkpoint, b: Checkpoint, payload_reads: list[str]
) -> None:
    first = compared(a, b)
    assert first["x"].changed == 1
    assert payload_reads
    payload_reads.clear()
    assert compared(a, b) == first
    assert payload_reads == []


def matrices(folder: Path, values: dict[str, Array]) -> Checkpoint:
    folder.mkdir()
    make.write_safetensors(
        folder / "model.safetensors",
        {
            name: make.Blob(Dtype.F32, value.shape, value.astype("<f4").tobytes())
            for name, value in values.items()
        },
    )
    return api.read(str(folder))


def test_ranks_of_differences_are_cached_also_those_left_out(
    tmp_path: Path, payload_reads: list[str]
) -> None:
    random = np.random.default_rng(0)
    base = {name: random.standard_normal((32, 32)) for name in ("low", "full", "nan")}
    one = matrices(tmp_path / "one", base)
    base["low"] = base["low"] + np.outer(base["full"][0], base["full"][1])
    base["full"] = base["full"] + random.standard_normal((32, 32))
    base["nan"] = base["nan"] * np.nan
    two = matrices(tmp_path / "two", base)
    pairs, _ = comparable(one, two)

    first = difference_ranks(one, two, pairs)
    assert {found.name: found.rank for found in first} == {"low": 1, "full": 32}
    payload_reads.clear()
    assert difference_ranks(one, two, pairs) == first
    assert payload_reads == []
    assert difference_ranks(one, two, pairs, cached=False) == first
    assert payload_reads


def test_without_a_cache_all_is_read_and_nothing_is_stored(
    a: Checkpoint, b: Checkpoint, payload_reads: list[str], cache: Path
) -> None:
    compared(a, b, cached=False)
    assert not cache.exists()
    compared(a, b)
    payload_reads.clear()
    compared(a, b, cached=False)
    assert payload_reads


def test_a_file_that_changed_is_read_again(a: Checkpoint, b: Checkpoint, tmp_path: Path) -> None:
    compared(a, b)
    path = tmp_path / "b/model.safetensors"
    before = path.stat()
    data = path.read_bytes()
    with path.open("r+b") as file:  # the same inode, size and, put back, modification time
        file.write(data[:-4] + floats(9.0)[1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert compared(a, b)["y"].max_abs + compared(a, b)["x"].max_abs > 5


def test_a_replaced_file_is_read_again(a: Checkpoint, b: Checkpoint, tmp_path: Path) -> None:
    compared(a, b)
    written(tmp_path / "c", {"x": floats(1.0, 7.0), "y": floats(3.0)})
    (tmp_path / "c/model.safetensors").replace(tmp_path / "b/model.safetensors")
    assert compared(a, b)["x"].max_abs == 5.0


def test_a_file_modified_just_now_is_not_cached(
    a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_cache, "RACY_NS", 2_000_000_000)
    compared(a, b)
    measure(a)
    assert not cache.exists()
    later = time.time_ns() + 3_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    compared(a, b)
    assert len(list(cache.iterdir())) == 1


def test_equal_digests_need_no_reading(
    a: Checkpoint, tmp_path: Path, payload_reads: list[str]
) -> None:
    copy = written(tmp_path / "copy", {"x": floats(1.0, 2.0), "y": floats(3.0)})
    measure(a)
    measure(copy)
    payload_reads.clear()
    assert all(facts.same_bytes for facts in compared(a, copy).values())
    assert payload_reads == []


def test_one_file_under_two_paths_is_equal_without_reading(
    a: Checkpoint, tmp_path: Path, payload_reads: list[str]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    linked = a._replace(root=str(tmp_path / "link"))
    assert all(facts.same_bytes for facts in compared(a, linked, cached=False).values())
    assert payload_reads == []


def test_measurements_are_cached(a: Checkpoint, payload_reads: list[str]) -> None:
    first = measure(a)
    assert payload_reads
    payload_reads.clear()
    assert measure(a) == first
    assert payload_reads == []
    assert measure(a, cached=False) == first
    assert payload_reads


def cache_content(path: Path) -> dict[str, object]:
    """Return the content of a cache file."""
    content: dict[str, object] = json.loads(path.read_bytes().partition(b"\n")[2])
    return content


def write_cache(path: Path, content: object) -> None:
    """Write a cache file with a valid digest of any content."""
    text = json.dumps(content).encode()
    path.write_bytes(hashlib.blake2b(text, digest_size=20).hexdigest().encode() + b"\n" + text)


def with_rows(value: object) -> Callable[[dict[str, object]], object]:
    return lambda content: content | {"rows": value}


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: [],
        lambda _: None,
        lambda content: content | {"key": ["pairs", 0]},
        with_rows(None),
        with_rows([None, 3, "x"]),
        with_rows([["x"]]),
        with_rows([["x", "x", 2, False, 1, 0, 0.5, 1.0, "1.0", 0.5, 1.0, 0.0]]),
        with_rows([["x", "x", 2, True, 0, 0, 0.0, 0.0, 0.0, 0.0]]),
        with_rows([["x", "x", 99, False, 1, 0, 0.5, 1.0, 1.0, 0.5, 1.0, 0.0]]),
    ],
)
def test_a_damaged_cache_is_ignored(
    damage: Callable[[dict[str, object]], object], a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    write_cache(path, damage(cache_content(path)))
    assert compared(a, b) == first


def test_a_cache_entry_of_other_files_is_ignored(a: Checkpoint, b: Checkpoint, cache: Path) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    content = cache_content(path)
    lie = [["x", "x", 2, False, 2, 0, 9.0, 1.0, 1.0, 9.0, 0.0, 0.0]]
    write_cache(path, content | {"rows": lie})
    assert compared(a, b)["x"].max_abs == 9.0  # what it says of these files it would be
    write_cache(path, content | {"key": ["another"], "rows": lie})
    assert compared(a, b) == first


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"key": NaN'])
def test_a_cache_that_is_not_json_is_ignored(
    data: bytes, a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    path.write_bytes(data)
    assert compared(a, b) == first


def test_an_unwritable_cache_folder_is_ignored(
    a: Checkpoint, b: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in (str(tmp_path / "file"), "/proc/none"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert compared(a, b)["x"].changed == 1


def test_a_relative_xdg_cache_home_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", "/somewhere")
    assert value_cache.folder() == "/somewhere/.cache/ckpt-tools/values"


def test_the_least_recently_used_entries_are_evicted(
    a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    for number in range(5):
        (cache / f"{number}.json").write_text("x" * 100, encoding="utf-8")
        os.utime(cache / f"{number}.json", (number, number))
    monkeypatch.setattr(value_cache, "MOST_FILES", 3)
    compared(a, b)
    assert {path.name for path in cache.iterdir()} >= {"3.json", "4.json"}
    assert len(list(cache.iterdir())) == 3
    monkeypatch.setattr(value_cache, "MOST_BYTES", 10)
    measure(a)
    assert list(cache.iterdir()) == []


def test_no_half_written_file_is_left(a: Checkpoint, b: Checkpoint, cache: Path) -> None:
    compared(a, b)
    assert [path.suffix for path in cache.iterdir()] == [".json"]


def test_a_changed_dtype_under_one_name_is_compared_as_such(a: Checkpoint, tmp_path: Path) -> None:
    other = written(tmp_path / "d", {"x": (Dtype.BF16, b"\x80\x3f\x00\x40"), "y": floats(3.0)})
    assert compared(a, other)["x"] == PairFacts(2, same_bytes=False, l2_a=5**0.5, l2_b=5**0.5)


def test_a_cache_file_with_a_flipped_bit_is_ignored(
    a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert compared(a, b) == first


def test_a_pipe_instead_of_a_cache_file_does_not_block(
    a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    path.unlink()
    os.mkfifo(path)
    assert compared(a, b) == first


# --- files that change, or are others -------------------------------------------------------------


@pytest.fixture
def switched(a: Checkpoint, tmp_path: Path) -> Checkpoint:
    """Return a checkpoint whose header was read from `a` through a link.

    The link then leads to another file of that size, with the tensors elsewhere.
    """
    link = tmp_path / "link"
    link.mkdir()
    (link / "model.safetensors").symlink_to(tmp_path / "a/model.safetensors")
    seen = api.read(str(link))
    other = written(tmp_path / "other", {"x": floats(7.0), "y": floats(8.0, 9.0)})
    assert other.size == a.size
    (link / "model.safetensors").unlink()
    (link / "model.safetensors").symlink_to(tmp_path / "other/model.safetensors")
    return seen


def test_a_link_retargeted_after_its_header_was_read_is_rejected(
    a: Checkpoint, b: Checkpoint, switched: Checkpoint, cache: Path
) -> None:
    for look in (
        lambda: compared(switched, b),
        lambda: compared(b, switched),
        lambda: measure(switched),
    ):
        with pytest.raises(ChangedDuringRead, match="has another header than when") as caught:
            look()
        assert caught.value.path == os.path.join(switched.root, "model.safetensors")
    assert not cache.exists()
    assert compared(a, b)["x"].changed == 1


def test_a_retargeted_link_is_rejected_although_its_target_is_cached(
    switched: Checkpoint, b: Checkpoint, tmp_path: Path
) -> None:
    compared(b, api.read(str(tmp_path / "other")))
    measure(api.read(str(tmp_path / "other")))
    for look in (lambda: compared(switched, b), lambda: measure(switched)):
        with pytest.raises(ChangedDuringRead):
            look()


def test_weights_overwritten_with_other_bytes_are_rejected(a: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "a/model.safetensors"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ChangedDuringRead, match="has another header than when"):
        measure(a)


def test_a_write_during_reading_is_detected_despite_a_restored_mtime(
    a: Checkpoint, b: Checkpoint, tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "a/model.safetensors"
    before = path.stat()

    def write(_: int) -> None:
        tick(tmp_path)
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x01")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    pairs, _ = comparable(a, b)
    for look in (
        lambda: compare_values(a, b, pairs, progress=Progress(write)),
        lambda: measure(a, progress=Progress(write)),
    ):
        with pytest.raises(ChangedDuringRead, match="changed while it was read"):
            look()
    assert not cache.exists()


def tick(folder: Path) -> None:
    """Return when the clock of file timestamps has advanced."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == before:
        probe.touch()


@pytest.mark.parametrize("look", ["pairs", "tensors"])
def test_a_write_through_a_memory_map_is_detected(
    look: str, a: Checkpoint, b: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(value_cache, "RACY_NS", 0)
    mapped = np.memmap(
        tmp_path / "b/model.safetensors", "<f4", "r+", offset=b.weights[0].payload_start
    )
    mapped[0] = mapped[
        0
    ]  # from now on the page waits to be written down, and another write to it moves no time

    def first() -> float:
        return compared(a, b)["x"].max_abs if look == "pairs" else measure(b)[0].high

    before = first()
    tick(tmp_path)
    mapped[0] = 1000.0
    assert (before, first()) in {(0.5, 999.0), (2.5, 1000.0)}


def test_files_on_filesystems_without_mtime_updates_are_not_cached(
    a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {
        line.rpartition(" - ")[2].split()[0]
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    }
    monkeypatch.setattr(value_cache, "TIMELESS", frozenset(kinds))
    compared(a, b)
    measure(a)
    assert not cache.exists()


def test_files_that_cannot_be_flushed_are_not_cached(
    a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    assert compared(a, b)["x"].changed == 1
    assert measure(a)[0].high == 2.0
    assert not cache.exists()


def test_the_age_of_a_file_counts_from_its_opening(
    a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_cache, "RACY_NS", 2_000_000_000)
    start = time.time_ns()
    passed = [0]
    monkeypatch.setattr(time, "time_ns", lambda: start + passed[0])

    def wait(_: int) -> None:
        passed[0] += 10_000_000_000

    pairs, _ = comparable(a, b)
    for look in (
        lambda: compare_values(a, b, pairs, progress=Progress(wait)),
        lambda: measure(a, progress=Progress(wait)),
    ):
        passed[0] = 0
        look()
    assert not cache.exists()
