"""What is remembered of values.

Used when the very same files are looked at again, forgotten when anything is doubtful, never in the
way.
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
from ckpt_tools.values.measure import measure
from ckpt_tools.values.model import PairFacts
from tests.support.blobs import written
from tests.values.test_compare import floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.checkpoint.model import Checkpoint

type Facts = dict[str, PairFacts]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache folder of its own, and files that are old enough at once.

    None of them changes but on purpose.
    """
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
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
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


def test_the_second_look_reads_nothing_and_says_the_same(
    a: Checkpoint, b: Checkpoint, read: list[str]
) -> None:
    first = compared(a, b)
    assert first["x"].changed == 1
    assert read
    read.clear()
    assert compared(a, b) == first
    assert read == []


def test_no_cache_reads_everything_and_leaves_nothing(
    a: Checkpoint, b: Checkpoint, read: list[str], cache: Path
) -> None:
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


def test_a_file_put_in_the_place_of_another_is_read(
    a: Checkpoint, b: Checkpoint, tmp_path: Path
) -> None:
    compared(a, b)
    written(tmp_path / "c", {"x": floats(1.0, 7.0), "y": floats(3.0)})
    (tmp_path / "c/model.safetensors").replace(tmp_path / "b/model.safetensors")
    assert compared(a, b)["x"].max_abs == 5.0


def test_a_file_of_this_moment_is_not_remembered(
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


def test_equal_digests_are_known_without_reading(
    a: Checkpoint, tmp_path: Path, read: list[str]
) -> None:
    copy = written(tmp_path / "copy", {"x": floats(1.0, 2.0), "y": floats(3.0)})
    measure(a)
    measure(copy)
    read.clear()
    assert all(facts.same_bytes for facts in compared(a, copy).values())
    assert read == []


def test_one_file_under_two_names_is_known_to_be_equal(
    a: Checkpoint, tmp_path: Path, read: list[str]
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    linked = a._replace(root=str(tmp_path / "link"))
    assert all(facts.same_bytes for facts in compared(a, linked, cached=False).values())
    assert read == []


def test_measurements_are_remembered(a: Checkpoint, read: list[str]) -> None:
    first = measure(a)
    assert read
    read.clear()
    assert measure(a) == first
    assert read == []
    assert measure(a, cached=False) == first
    assert read


def held_in(path: Path) -> dict[str, object]:
    """Return what a cache file holds."""
    held: dict[str, object] = json.loads(path.read_bytes().partition(b"\n")[2])
    return held


def put(path: Path, held: object) -> None:
    """Write a cache file whose digest is right, whatever it holds."""
    text = json.dumps(held).encode()
    path.write_bytes(hashlib.blake2b(text, digest_size=20).hexdigest().encode() + b"\n" + text)


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
        rows([["x", "x", 2, False, 1, 0, 0.5, 1.0, "1.0", 0.5, 1.0, 0.0]]),
        rows([["x", "x", 2, True, 0, 0, 0.0, 0.0, 0.0, 0.0]]),
        rows([["x", "x", 99, False, 1, 0, 0.5, 1.0, 1.0, 0.5, 1.0, 0.0]]),
    ],
)
def test_a_damaged_cache_is_as_none(
    damage: Callable[[dict[str, object]], object], a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    put(path, damage(held_in(path)))
    assert compared(a, b) == first


def test_what_is_said_of_other_files_is_not_believed(
    a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    held = held_in(path)
    lie = [["x", "x", 2, False, 2, 0, 9.0, 1.0, 1.0, 9.0, 0.0, 0.0]]
    put(path, held | {"rows": lie})
    assert compared(a, b)["x"].max_abs == 9.0  # what it says of these files it would be
    put(path, held | {"key": ["another"], "rows": lie})
    assert compared(a, b) == first


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"key": NaN'])
def test_a_cache_that_is_no_json_is_as_none(
    data: bytes, a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    path.write_bytes(data)
    assert compared(a, b) == first


def test_a_folder_that_cannot_be_written_is_no_trouble(
    a: Checkpoint, b: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in (str(tmp_path / "file"), "/proc/none"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert compared(a, b)["x"].changed == 1


def test_a_relative_cache_home_is_ignored_as_the_specification_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", "/somewhere")
    assert value_cache.folder() == "/somewhere/.cache/ckpt-tools/values"


def test_what_was_used_longest_ago_goes_first(
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


def test_a_dtype_that_changed_under_one_name_is_another_file(a: Checkpoint, tmp_path: Path) -> None:
    other = written(tmp_path / "d", {"x": (Dtype.BF16, b"\x80\x3f\x00\x40"), "y": floats(3.0)})
    assert compared(a, other)["x"] == PairFacts(2, same_bytes=False, l2_a=5**0.5, l2_b=5**0.5)


def test_no_flipped_bit_of_a_cache_file_is_believed(
    a: Checkpoint, b: Checkpoint, cache: Path
) -> None:
    first = compared(a, b)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert compared(a, b) == first


def test_a_pipe_in_place_of_a_cache_file_is_not_waited_for(
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


def test_a_path_that_leads_elsewhere_since_its_header_was_read_is_refused(
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


def test_it_is_refused_even_where_all_is_known_of_the_other(
    switched: Checkpoint, b: Checkpoint, tmp_path: Path
) -> None:
    compared(b, api.read(str(tmp_path / "other")))
    measure(api.read(str(tmp_path / "other")))
    for look in (lambda: compared(switched, b), lambda: measure(switched)):
        with pytest.raises(ChangedDuringRead):
            look()


def test_a_path_that_leads_to_no_weights_any_more_is_refused(a: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "a/model.safetensors"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ChangedDuringRead, match="has another header than when"):
        measure(a)


def test_a_write_while_reading_is_seen_though_its_time_is_put_back(
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
    """Return when the clock that files are stamped with has moved on."""
    probe = folder / "probe"
    probe.touch()
    before = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == before:
        probe.touch()


@pytest.mark.parametrize("look", ["pairs", "tensors"])
def test_a_write_through_a_memory_map_is_seen(
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


def test_files_where_such_a_write_moves_no_time_are_not_remembered(
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


def test_files_that_the_system_cannot_write_down_are_not_remembered(
    a: Checkpoint, b: Checkpoint, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    assert compared(a, b)["x"].changed == 1
    assert measure(a)[0].high == 2.0
    assert not cache.exists()


def test_the_age_of_a_file_is_that_when_it_was_opened(
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
