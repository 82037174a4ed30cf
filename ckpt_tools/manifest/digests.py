"""Digests of files: BLAKE3 of any ranges, SHA-256 and git's blob id of the whole.

On all cores and in bounded memory. Files are read into buffers, never mapped: truncating a mapped
file kills the process that reads it.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from ckpt_tools.progress import SILENT, Progress, ignore
from ckpt_tools.storage.copy import read_into
from ckpt_tools.storage.digests import ContentHasher
from ckpt_tools.storage.identity import open_unchanged
from ckpt_tools.storage.threads import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.storage.identity import FileIdentity

CHUNK = 1 << 18
"""Bytes per step: enough that Python's own time does not show, little enough for a core's cache."""

RUN = 16 << 20
"""Bytes of ranges for which a file is opened once."""

BIG = 64 << 20
BIG_CHUNK = 1 << 21
"""A range of `BIG` bytes that is most of the work of a core is hashed on all, in larger steps."""

_AHEAD = 4
"""Steps that SHA-256 may be ahead of BLAKE3, and as many buffers a file."""


class DigestRequest(NamedTuple):
    """A file, its identity when it was first opened, and the requested digests.

    The BLAKE3 of `ranges` (offset, length), which follow each other, and of the whole file the
    SHA-256 and git's blob id.
    """

    path: str
    identity: FileIdentity
    ranges: tuple[tuple[int, int], ...] = ()
    sha256: bool = False
    git: bool = False


class Digests(NamedTuple):
    """The requested digests of a file: a BLAKE3 for each range.

    The SHA-256 and git's blob id of the whole in hexadecimal, "" if not requested.
    """

    ranges: tuple[bytes, ...]
    sha256: str = ""
    git_id: str = ""


def digest_of(
    descriptor: int,
    offset: int,
    length: int,
    progress: Callable[[int], None] = ignore,
    *,
    all_cores: bool = False,
) -> bytes:
    """Return the BLAKE3 of `length` bytes from `offset`: 32 bytes.

    `progress` is called with the bytes done since the last call.

    Raises ChangedDuringRead for a file that ends before, Unreadable; both without a path.
    """
    hasher = blake3(max_threads=blake3.AUTO if all_cores else 1)
    buffer = memoryview(bytearray(min(BIG_CHUNK if all_cores else CHUNK, length)))
    end = offset + length
    while offset < end:
        part = buffer[: read_into(descriptor, buffer[: end - offset], offset)]
        hasher.update(part)
        offset += len(part)
        progress(len(part))
    return hasher.digest()


def digest_files(
    files: Iterable[DigestRequest],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Digests, ...]:
    """Return the requested digests of each file, in order, for any number of `threads`.

    By default one a core. Each byte is read once. Raises ChangedDuringRead for a file that is not,
    or no longer, the one that was requested; PathNotFound, NotAFile, Unreadable.
    """
    requests = tuple(files)
    progress.expect(sum(_bytes_of(file) for file in requests))
    workers = WorkerPool(threads, progress.advance)
    ranges = [[b""] * len(file.ranges) for file in requests]
    wholes: dict[int, Digests] = {}
    lanes = sum(file.identity.size >= BIG for file in requests) < workers.size

    def stream(position: int) -> None:
        wholes[position] = _streamed(requests[position], workers.advance, lanes=lanes)

    def run(position: int, indexes: list[int]) -> None:
        file = requests[position]
        with open_unchanged(file.path, file.identity) as descriptor:
            for index in indexes:
                ranges[position][index] = digest_of(
                    descriptor,
                    *file.ranges[index],
                    workers.advance,
                    all_cores=file.ranges[index][1] >= share,
                )

    def nbytes(run: tuple[int, list[int]]) -> int:
        return sum(requests[run[0]].ranges[index][1] for index in run[1])

    share = max(BIG, sum(map(_bytes_of, requests)) // (2 * workers.size))
    streams = [position for position, file in enumerate(requests) if file.sha256 or file.git]
    runs = [
        (position, indexes)
        for position, file in enumerate(requests)
        if not (file.sha256 or file.git)
        for indexes in _runs(file.ranges)
    ]
    # What takes long starts first. The rest goes in the order in which it lies on the disk.
    streams.sort(key=lambda position: -requests[position].identity.size)
    runs.sort(key=lambda run: -max(nbytes(run), RUN))
    workers.do(
        (*((stream, (position,)) for position in streams), *((run, found) for found in runs))
    )
    return tuple(
        wholes.get(position) or Digests(tuple(found)) for position, found in enumerate(ranges)
    )


def _bytes_of(file: DigestRequest) -> int:
    """Return the number of bytes that are read of a file."""
    return (
        file.identity.size if file.sha256 or file.git else sum(length for _, length in file.ranges)
    )


def _runs(ranges: tuple[tuple[int, int], ...]) -> Iterator[list[int]]:
    """Yield the indexes of all ranges, in runs of at most RUN bytes; a longer range is alone."""
    run: list[int] = []
    nbytes = 0
    for index, (_, length) in enumerate(ranges):
        if run and nbytes + length > RUN:
            yield run
            run, nbytes = [], 0
        run.append(index)
        nbytes += length
    if run:
        yield run


def _streamed(file: DigestRequest, progress: Callable[[int], None], *, lanes: bool) -> Digests:
    """Return all digests of a file from one sequential read.

    With `lanes`, for which cores must be idle, BLAKE3 has a thread of its own.
    """
    whole = ContentHasher(file.identity.size, sha256=file.sha256, git=file.git)
    ranges = _Ranges(file.ranges)
    with (
        open_unchanged(file.path, file.identity) as descriptor,
        _lane(ranges, parallel=lanes and file.identity.size >= BIG) as update,
    ):
        for part, offset in _parts(descriptor, file.identity.size):
            update(part, offset)
            whole.update(part)
            progress(len(part))
    return Digests(ranges.digests(), *whole.sums())


def _parts(descriptor: int, size: int) -> Iterator[tuple[memoryview, int]]:
    """Yield (bytes, their offset) of a file from its start to its end.

    A part is valid until `_AHEAD` more have been yielded.
    """
    buffers = [memoryview(bytearray(min(CHUNK, size))) for _ in range(_AHEAD)]
    offset = 0
    while offset < size:
        part = buffers[0][: read_into(descriptor, buffers[0][: size - offset], offset)]
        yield part, offset
        offset += len(part)
        buffers.append(buffers.pop(0))


class _Ranges:
    """The BLAKE3 of ranges that follow each other, from parts that do."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self._waiting = deque(ranges)
        self._done: list[bytes] = []
        self._hasher = blake3()

    def update(self, part: memoryview, offset: int) -> None:
        """Add the bytes at `offset`."""
        end = offset + len(part)
        while self._waiting and self._waiting[0][0] < end:
            first, length = self._waiting[0]
            self._hasher.update(part[max(first - offset, 0) : first + length - offset])
            if first + length > end:
                return
            self._finish()

    def digests(self) -> tuple[bytes, ...]:
        """Return a digest for each range, after all bytes were added."""
        while self._waiting:
            self._finish()
        return tuple(self._done)

    def _finish(self) -> None:
        self._done.append(self._hasher.digest())
        self._hasher.reset()
        self._waiting.popleft()


@contextmanager
def _lane(ranges: _Ranges, *, parallel: bool) -> Iterator[Callable[[memoryview, int], None]]:
    """Yield the function that adds parts to `ranges`, if `parallel` in a thread of its own."""
    if not parallel:
        yield ranges.update
        return
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as pool:

        def update(part: memoryview, offset: int) -> None:
            waiting.append(pool.submit(ranges.update, part, offset))
            if len(waiting) == _AHEAD:
                waiting.popleft().result()

        yield update
        for task in waiting:
            task.result()
