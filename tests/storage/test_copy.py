"""Copying ranges of bytes.

Whichever system call is available, every byte is copied or an error names the side that failed.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools.errors import ChangedDuringRead, Unreadable
from ckpt_tools.storage import copy
from ckpt_tools.storage.copy import BUFFER, copy_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = 3 * BUFFER + 17
DATA = bytes(range(251)) * (SIZE // 251 + 1)

UNSUPPORTED = (
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EBADF,
    errno.EPERM,
    errno.ETXTBSY,
    errno.EOVERFLOW,
)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Descriptors of a source that holds DATA and of an empty target."""
    (tmp_path / "source").write_bytes(DATA[:SIZE])
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield source, target
    os.close(source)
    os.close(target)


def failing(number: int) -> Callable[..., int]:
    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def without(monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
    for call in calls:
        monkeypatch.setattr(os, call, failing(errno.ENOSYS))


@pytest.mark.parametrize(
    "unavailable",
    [(), ("copy_file_range",), ("copy_file_range", "sendfile")],
    ids=["copy_file_range", "sendfile", "by hand"],
)
@pytest.mark.parametrize(
    ("start", "end", "offset"), [(0, SIZE, 0), (5, SIZE - 3, 11), (100, 100, 0), (7, 8, BUFFER)]
)
def test_every_method_copies_exactly_the_range_to_the_offset(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    pair: tuple[int, int],
    unavailable: tuple[str, ...],
    start: int,
    end: int,
    offset: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, *unavailable)
    seen: list[int] = []
    copy_range(*pair, start, end, offset, seen.append)
    expected = b"\0" * offset * (end > start) + DATA[start:end]
    assert os.pread(pair[1], SIZE + BUFFER, 0) == expected
    assert sum(seen) == end - start


@pytest.mark.parametrize("number", UNSUPPORTED, ids=errno.errorcode.get)
def test_a_method_that_fails_midway_is_replaced_by_the_next(
    number: int, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in ("copy_file_range", "sendfile"):
        monkeypatch.setattr(os, call, first_call_then(getattr(os, call), failing(number)))
    copy_range(*pair, 0, SIZE, 0)
    assert os.pread(pair[1], SIZE + 1, 0) == DATA[:SIZE]


def first_call_then(first: Callable[..., int], then: Callable[..., int]) -> Callable[..., int]:
    """Return a call that does 1000 bytes the first time and fails the second."""
    calls = iter((first, then))

    def call(*args: int) -> int:
        position = 2 if first.__name__ == "copy_file_range" else 3
        return next(calls)(*args[:position], 1000, *args[position + 1 :])

    return call


@pytest.mark.parametrize("unavailable", [(), ("copy_file_range",), ("copy_file_range", "sendfile")])
def test_short_calls_are_continued(
    pair: tuple[int, int], unavailable: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = {
        name: getattr(os, name) for name in ("copy_file_range", "sendfile", "preadv", "pwrite")
    }
    positions = {"copy_file_range": 2, "sendfile": 3}
    for name, original in originals.items():
        monkeypatch.setattr(os, name, partial_call(original, positions.get(name)))
    without(monkeypatch, *unavailable)
    copy_range(*pair, 1, SIZE, 0)
    assert os.pread(pair[1], SIZE, 0) == DATA[1:SIZE]


def partial_call(original: Callable[..., int], position: int | None) -> Callable[..., int]:
    """Return a call that does a part of what it is asked to."""

    def call(*args: Any) -> Any:
        if position is not None:
            return original(*args[:position], max(1, args[position] // 3), *args[position + 1 :])
        if original.__name__ == "pwrite":
            return original(args[0], memoryview(args[1])[:100_000], args[2])
        return original(args[0], [memoryview(args[1][0])[:300_000]], args[2])

    return call


@pytest.mark.parametrize("unavailable", [(), ("copy_file_range",), ("copy_file_range", "sendfile")])
def test_a_source_that_ends_early_is_reported_as_changed(
    pair: tuple[int, int], unavailable: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *unavailable)
    with pytest.raises(
        ChangedDuringRead,
        match="became shorter while it was read; another program is writing to this checkpoint",
    ):
        copy_range(*pair, 0, SIZE + 1, 0)


def test_a_call_that_copies_zero_bytes_without_an_error_falls_back(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    monkeypatch.setattr(os, "sendfile", lambda *_: 0)
    copy_range(*pair, 0, SIZE, 0)
    assert os.pread(pair[1], SIZE, 0) == DATA[:SIZE]


def test_read_and_write_errors_are_distinguished(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "copy_file_range", "sendfile")
    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", failing(errno.EIO))
        with pytest.raises(Unreadable, match="input/output error; check the disk"):
            copy_range(*pair, 0, SIZE, 0)
    monkeypatch.setattr(os, "pwrite", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        copy_range(*pair, 0, SIZE, 0)


def test_one_system_call_copies_at_most_one_step(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = os.copy_file_range

    def spy(*args: int) -> int:
        sizes.append(args[2])
        return original(*args)

    monkeypatch.setattr(os, "copy_file_range", spy)
    monkeypatch.setattr(copy, "STEP", 1000)
    copy_range(*pair, 0, 2500, 0)
    assert sizes == [1000, 1000, 500]
