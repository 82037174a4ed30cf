"""Copying a range of bytes between files: in the kernel if it can, else through a small buffer.

Python itself repeats a call that a signal interrupts (PEP 475).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ckpt_tools.errors import ChangedDuringRead, Unreadable
from ckpt_tools.progress import ignore

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 64 << 20
"""Bytes per call into the kernel: few enough for interrupts and progress."""

BUFFER = 1 << 20


def copy_range(  # noqa: PLR0913, PLR0917 - two files and a range
    source: int,
    target: int,
    start: int,
    end: int,
    offset: int,
    progress: Callable[[int], None] = ignore,
) -> None:
    """Copy bytes `start` to `end` (exclusive) of descriptor `source` to `offset` of `target`.

    `progress` gets the bytes copied since its last call. Raises ChangedDuringRead if the source is
    shorter, Unreadable if it cannot be read, OSError if the target cannot be written.
    """
    done = start
    # macOS has no such calls between files.
    for copy in (os.copy_file_range, _send) if sys.platform == "linux" else ():
        while done < end:
            try:
                count = copy(source, target, min(end - done, STEP), done, offset + done - start)
            except OSError:
                # Two file systems, an unsupported one, or a full disk: the next method continues
                # from here, and the last one raises the error.
                break
            if count == 0:
                break
            done += count
            progress(count)
    _through_memory(source, target, done, end, offset + done - start, progress)


def _send(source: int, target: int, count: int, start: int, offset: int) -> int:
    """Copy as os.copy_file_range does, between files of any two file systems."""
    os.lseek(target, offset, os.SEEK_SET)
    return os.sendfile(target, source, start, count)


def _through_memory(  # noqa: PLR0913, PLR0917 - as copy_range
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
    """Read at least one byte from `offset` into `buffer`, and return how many.

    Raises ChangedDuringRead at the file's end, Unreadable.
    """
    try:
        count = os.preadv(source, [buffer], offset)
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower(), hint="check the disk") from None
    if count == 0:
        raise ChangedDuringRead("became shorter while it was read")
    return count


def fill(descriptor: int, data: memoryview, offset: int) -> None:
    """Read exactly the bytes of `data` from `offset`. Raises ChangedDuringRead or Unreadable."""
    done = 0
    while done < len(data):
        done += read_into(descriptor, data[done:], offset + done)


def write_at(target: int, data: memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. Raises OSError."""
    while data:
        count = os.pwrite(target, data, offset)
        data = data[count:]
        offset += count
