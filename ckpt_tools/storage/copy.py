"""Copying a range of bytes from file to file, in the kernel where it can, through memory where it cannot. Any size in one small buffer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.errors import ChangedDuringRead, Unreadable
from ckpt_tools.progress import ignore

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 64 << 20
"""Bytes per call into the kernel: few enough that an interrupt is heard and progress is seen."""

BUFFER = 1 << 20


def copy_range(  # noqa: PLR0913, PLR0917 - two places and what goes between them
    source: int,
    target: int,
    start: int,
    end: int,
    offset: int,
    progress: Callable[[int], None] = ignore,
) -> None:
    """Copy bytes `start` to `end` (exclusive) of descriptor `source` to `offset` of `target`.

    `progress` is called with the bytes done since the last call.

    Raises ChangedDuringRead for a source that ends before, Unreadable for one that cannot be read,
    OSError for a target that cannot be written.
    """
    done = start
    for copy in (_by_file_system, _by_kernel):
        while done < end:
            try:
                count = copy(source, target, done, min(end - done, STEP), offset + done - start)
            except InterruptedError:
                continue
            except OSError:
                # Two file systems, or one that cannot, or a full disk: reading and writing tells
                # which, and goes on where this stopped.
                break
            if count == 0:
                break
            done += count
            progress(count)
    _by_hand(source, target, done, end, offset + done - start, progress)


def _by_file_system(source: int, target: int, start: int, count: int, offset: int) -> int:
    return os.copy_file_range(source, target, count, start, offset)


def _by_kernel(source: int, target: int, start: int, count: int, offset: int) -> int:
    os.lseek(target, offset, os.SEEK_SET)
    return os.sendfile(target, source, start, count)


def _by_hand(  # noqa: PLR0913, PLR0917 - as copy_range
    source: int, target: int, start: int, end: int, offset: int, progress: Callable[[int], None]
) -> None:
    buffer = memoryview(bytearray(min(BUFFER, end - start)))
    while start < end:
        count = read_into(source, buffer[: end - start], start)
        write_at(target, buffer[:count], offset)
        start += count
        offset += count
        progress(count)


def read_into(source: int, buffer: memoryview, offset: int) -> int:
    """Return how many bytes from `offset` were read into `buffer`, at least one.

    Raises ChangedDuringRead at the file's end, Unreadable.
    """
    while True:
        try:
            count = os.preadv(source, [buffer], offset)
        except InterruptedError:
            continue
        except OSError as error:
            raise Unreadable(
                (error.strerror or str(error)).lower(), hint="check the disk"
            ) from None
        if count == 0:
            raise ChangedDuringRead("became shorter while it was copied")
        return count


def write_at(target: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. Raises OSError."""
    while data:
        try:
            count = os.pwrite(target, data, offset)
        except InterruptedError:
            continue
        data = data[count:]
        offset += count
