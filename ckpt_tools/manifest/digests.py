"""Digests of bytes in files.

Of any range (BLAKE3), and of whole files (SHA-256, the id that git gives), on all cores and in
bounded memory.

Bytes are read at their place into buffers, never mapped: who cuts a mapped file short kills the
process that reads it.
"""

from __future__ import annotations

import importlib
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

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
"""A range of `BIG` bytes and more that is most of what there is for a core to do is hashed on all cores at once, in larger steps: others would wait for it."""

_AHEAD = 4
"""Steps that SHA-256 may be ahead of BLAKE3, and as many buffers a file."""


class DigestRequest(NamedTuple):
    """A file as it was when it was looked at, and what is wanted of it.

    The BLAKE3 of `ranges` (offset, length), which follow each other, and more.
    """

    path: str
    identity: FileIdentity
    ranges: tuple[tuple[int, int], ...] = ()
    sha256: bool = False
    git: bool = False


class Digests(NamedTuple):
    """What was wanted of a file: a BLAKE3 for each range.

    The SHA-256 of the whole and the id that git gives it in hexadecimal, "" where not wanted.
    """

    ranges: tuple[bytes, ...]
    sha256: str = ""
    git_id: str = ""


def blake3(data: bytes) -> bytes:
    """Return the BLAKE3 of `data`: 32 bytes."""
    digest: bytes = _hasher().update(data).digest()
    return digest


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
    hasher = _hasher(all_cores=all_cores)
    buffer = memoryview(bytearray(min(BIG_CHUNK if all_cores else CHUNK, length)))
    end = offset + length
    while offset < end:
        part = buffer[: read_into(descriptor, buffer[: end - offset], offset)]
        hasher.update(part)
        offset += len(part)
        progress(len(part))
    digest: bytes = hasher.digest()
    return digest


def digest_files(
    files: Iterable[DigestRequest],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Digests, ...]:
    """Return what is wanted of each file, in order.

    The same for any number of `threads` (one a core by default).

    Each byte is read once. `progress` is called by one at a time with the bytes done since the last
    call, `expect` before with all. Raises ChangedDuringRead for a file that is not, or no longer,
    the one that was requested; PathNotFound, NotAFile, Unreadable.
    """
    wanted = tuple(files)
    progress.expect(sum(_bytes_of(file) for file in wanted))
    team = WorkerPool(threads, progress.advance)
    ranges = [[b""] * len(file.ranges) for file in wanted]
    wholes: dict[int, Digests] = {}
    lanes = sum(file.identity.size >= BIG for file in wanted) < team.size

    def stream(position: int) -> None:
        wholes[position] = _streamed(wanted[position], team.tell, lanes=lanes)

    def run(position: int, indexes: list[int]) -> None:
        file = wanted[position]
        with open_unchanged(file.path, file.identity) as descriptor:
            for index in indexes:
                ranges[position][index] = digest_of(
                    descriptor,
                    *file.ranges[index],
                    team.tell,
                    all_cores=file.ranges[index][1] >= share,
                )

    def nbytes(run: tuple[int, list[int]]) -> int:
        return sum(wanted[run[0]].ranges[index][1] for index in run[1])

    share = max(BIG, sum(map(_bytes_of, wanted)) // (2 * team.size))
    streams = [position for position, file in enumerate(wanted) if file.sha256 or file.git]
    runs = [
        (position, indexes)
        for position, file in enumerate(wanted)
        if not (file.sha256 or file.git)
        for indexes in _runs(file.ranges)
    ]
    # What takes long starts first. The rest goes in the order in which it lies on the disk.
    streams.sort(key=lambda position: -wanted[position].identity.size)
    runs.sort(key=lambda run: -max(nbytes(run), RUN))
    team.do((*((stream, (position,)) for position in streams), *((run, found) for found in runs)))
    return tuple(
        wholes.get(position) or Digests(tuple(found)) for position, found in enumerate(ranges)
    )


def _bytes_of(file: DigestRequest) -> int:
    """Return how many bytes are read of a file."""
    return (
        file.identity.size if file.sha256 or file.git else sum(length for _, length in file.ranges)
    )


def _runs(ranges: tuple[tuple[int, int], ...]) -> Iterator[list[int]]:
    """Yield the places of all ranges, in runs of at most RUN bytes; a longer range is alone."""
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
    """Return all that is wanted of a file from one reading in order.

    With `lanes`, another thread does BLAKE3: the cores have nothing else to do.
    """
    whole = ContentHasher(file.identity.size, sha256=file.sha256, git=file.git)
    ranges = _Ranges(file.ranges)
    with (
        open_unchanged(file.path, file.identity) as descriptor,
        _lane(ranges, wanted=lanes and file.identity.size >= BIG) as update,
    ):
        for part, offset in _parts(descriptor, file.identity.size):
            update(part, offset)
            whole.update(part)
            progress(len(part))
    return Digests(ranges.digests(), *whole.sums())


def _parts(descriptor: int, size: int) -> Iterator[tuple[memoryview, int]]:
    """Yield (bytes, their offset) of a file from its start to its end.

    A part is good until `_AHEAD` more have been asked for.
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
        self._hasher = _hasher()

    def update(self, part: memoryview, offset: int) -> None:
        """Take the bytes that lie at `offset`."""
        end = offset + len(part)
        while self._waiting and self._waiting[0][0] < end:
            first, length = self._waiting[0]
            self._hasher.update(part[max(first - offset, 0) : first + length - offset])
            if first + length > end:
                return
            self._finish()

    def digests(self) -> tuple[bytes, ...]:
        """Return a digest for each range, all bytes having been seen."""
        while self._waiting:
            self._finish()
        return tuple(self._done)

    def _finish(self) -> None:
        self._done.append(self._hasher.digest())
        self._hasher.reset()
        self._waiting.popleft()


@contextmanager
def _lane(ranges: _Ranges, *, wanted: bool) -> Iterator[Callable[[memoryview, int], None]]:
    """Yield whom to give parts: `ranges`, in a thread of its own if `wanted`.

    At the end it has taken them all.
    """
    if not wanted:
        yield ranges.update
        return
    waiting: deque[Any] = deque()
    with importlib.import_module("concurrent.futures").ThreadPoolExecutor(1) as pool:

        def update(part: memoryview, offset: int) -> None:
            waiting.append(pool.submit(ranges.update, part, offset))
            if len(waiting) == _AHEAD:
                waiting.popleft().result()

        yield update
        for task in waiting:
            task.result()


def _hasher(*, all_cores: bool = False) -> Any:  # noqa: ANN401 - the library has no types, and is loaded here alone
    """Return a new hasher of BLAKE3, from a library that only what hashes should wait for."""
    library = importlib.import_module("blake3")
    return library.blake3(max_threads=library.blake3.AUTO if all_cores else 1)
