"""Digests of ranges and of whole files. The laws, each a test below:

- a digest is that of the bytes, whatever the number of threads, the size of the steps and the other
  files;
- each byte of a file is read once, even for both SHA-256 and BLAKE3;
- a file that changes during hashing is reported by name and stops all threads.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.errors import ChangedDuringRead, NotAFile, PathNotFound
from ckpt_tools.manifest import digests
from ckpt_tools.manifest.digests import DigestRequest, Digests, digest_files, digest_of
from ckpt_tools.progress import Progress
from ckpt_tools.storage import copy
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.identity import identity_at

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 40
MORE: list[dict[str, bool]] = [{}, {"sha256": True}, {"git": True}, {"sha256": True, "git": True}]


@pytest.fixture(params=[1, 1000, 1 << 19])
def _chunk_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the chunk size; a file of twice that size is large."""
    monkeypatch.setattr(digests, "CHUNK", request.param)
    monkeypatch.setattr(digests, "BIG_CHUNK", 3 * request.param)
    monkeypatch.setattr(digests, "BIG", 2 * request.param)


def request_for(path: Path, data: bytes, cuts: list[int], **more: bool) -> DigestRequest:
    """Write `data`, and request digests of the ranges between `cuts`."""
    path.write_bytes(data)
    bounds = [0, *sorted(cuts), len(data)]
    return DigestRequest(
        str(path),
        identity_at(str(path)),
        tuple((start, end - start) for start, end in pairwise(bounds)),
        **more,
    )


def expected(file: DigestRequest, data: bytes) -> Digests:
    return Digests(
        tuple(blake3(data[start : start + length]).digest() for start, length in file.ranges),
        hashlib.sha256(data).hexdigest() if file.sha256 else "",
        hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if file.git
        else "",
    )


# --- what comes out -------------------------------------------------------------------------------


@pytest.mark.usefixtures("_chunk_sizes")
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("more", MORE, ids=lambda more: "+".join(more) or "ranges")
def test_digests_match_the_bytes(threads: int, more: dict[str, bool], tmp_path: Path) -> None:
    contents = [DATA, b"", b"x", DATA[:5001], DATA[7:]]
    cuts = [[0, 8, 8, 300, 5000, 5001], [], [1], [3], list(range(0, 9000, 450))]
    files = [
        request_for(tmp_path / str(number), data, cut, **more)
        for number, (data, cut) in enumerate(zip(contents, cuts, strict=True))
    ]
    assert digest_files(files, threads=threads) == tuple(map(expected, files, contents))


@given(
    st.binary(max_size=300),
    st.lists(st.integers(0, 300), max_size=8),
    st.integers(1, 4),
    st.sampled_from(MORE),
)
def test_digests_of_any_ranges_match_the_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    cuts: list[int],
    threads: int,
    more: dict[str, bool],
) -> None:
    file = request_for(
        tmp_path_factory.mktemp("any") / "file", data, [min(cut, len(data)) for cut in cuts], **more
    )
    assert digest_files([file], threads=threads) == (expected(file, data),)


def test_ranges_need_not_cover_the_file(tmp_path: Path) -> None:
    file = request_for(tmp_path / "file", DATA, [])
    for more in (False, True):
        request = file._replace(ranges=((3, 4), (100, 5), (200, 0)), sha256=more)
        assert digest_files([request]) == (expected(request, DATA),)


@pytest.mark.usefixtures("_chunk_sizes")
def test_the_digest_of_a_range_matches_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with open_regular(str(tmp_path / "file")) as (descriptor, _):
        assert digest_of(descriptor, 5, 1234) == blake3(DATA[5:1239]).digest()
        assert digest_of(descriptor, len(DATA), 0) == blake3().digest()
        with pytest.raises(ChangedDuringRead, match="became shorter"):
            digest_of(descriptor, 5, len(DATA))


def test_git_ids_match_git(tmp_path: Path) -> None:
    file = request_for(tmp_path / "file", DATA, [], git=True)
    done = subprocess.run(
        ["git", "hash-object", "--no-filters", file.path],
        check=True,
        capture_output=True,
        text=True,
    )
    assert digest_files([file])[0].git_id == done.stdout.strip()


# --- how it is read -------------------------------------------------------------------------------


@pytest.mark.usefixtures("_chunk_sizes")
@pytest.mark.parametrize("sha256", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
def test_every_byte_is_read_once_and_counted(
    threads: int, *, sha256: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        request_for(tmp_path / str(number), DATA, [10, 700], sha256=sha256) for number in range(3)
    ]
    read: list[int] = []
    reported: list[int] = []

    def counting(source: int, buffer: memoryview, offset: int) -> int:
        read.append(copy.read_into(source, buffer, offset))
        return read[-1]

    monkeypatch.setattr(digests, "read_into", counting)
    digest_files(files, threads=threads, progress=Progress(reported.append))
    assert sum(read) == sum(reported) == 3 * len(DATA)


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("sha256", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_written_during_hashing_is_reported(
    threads: int, *, sha256: bool, tmp_path: Path
) -> None:
    files = [request_for(tmp_path / str(number), DATA, [], sha256=sha256) for number in range(6)]
    reported: list[int] = []

    def write_once(nbytes: int) -> None:
        reported.append(nbytes)
        if len(reported) == 1:
            (tmp_path / "5").write_bytes(DATA[::-1])

    with pytest.raises(
        ChangedDuringRead,
        match=r"/5: changed while it was read; another program is writing to this checkpoint",
    ):
        digest_files(files, threads=threads, progress=Progress(write_once))


def test_a_write_to_the_open_file_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = request_for(tmp_path / "file", DATA, [])

    def meddling(source: int, buffer: memoryview, offset: int) -> int:
        count = copy.read_into(source, buffer, offset)
        os.utime(file.path, ns=(0, 0))
        return count

    monkeypatch.setattr(digests, "read_into", meddling)
    with pytest.raises(ChangedDuringRead, match="changed while it was read"):
        digest_files([file])


def test_a_file_truncated_during_hashing_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "CHUNK", 1000)
    file = request_for(tmp_path / "file", DATA, [])
    with pytest.raises(ChangedDuringRead, match=r"/file: changed while it was read"):
        digest_files([file], progress=Progress(lambda _: os.truncate(file.path, 10)))


def test_a_removed_or_replaced_file_is_reported(tmp_path: Path) -> None:
    file = request_for(tmp_path / "file", DATA, [])
    (tmp_path / "file").unlink()
    with pytest.raises(PathNotFound, match=r"/file: no such file or directory"):
        digest_files([file])
    os.mkfifo(file.path)
    with pytest.raises(NotAFile, match=r"/file: is a named pipe, not a file"):
        digest_files([file])


def test_the_first_failure_stops_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [request_for(tmp_path / str(number), DATA, []) for number in range(8)]
    others_at_work, interrupted = threading.Event(), threading.Event()
    after: list[int] = []

    def main() -> bool:
        return threading.current_thread() is threading.main_thread()

    def read(source: int, buffer: memoryview, offset: int) -> int:
        if main():
            assert others_at_work.wait(60)
        elif others_at_work.is_set():
            assert interrupted.wait(60)
        return copy.read_into(source, buffer, offset)

    def interrupt(nbytes: int) -> None:
        if interrupted.is_set():
            after.append(nbytes)
        elif main():
            interrupted.set()
            time.sleep(
                0.05
            )  # the others come as far as they can: to where they wait for their turn to tell
            raise KeyboardInterrupt
        else:
            others_at_work.set()

    monkeypatch.setattr(digests, "CHUNK", 10)
    monkeypatch.setattr(digests, "read_into", read)
    with pytest.raises(KeyboardInterrupt):
        digest_files(files, threads=4, progress=Progress(interrupt))
    assert after == [], "who was not interrupted ends with its next step, untold"


def test_a_changed_file_is_not_read(tmp_path: Path) -> None:
    file = request_for(tmp_path / "file", DATA, [])
    (tmp_path / "file").write_bytes(DATA[::-1])
    os.utime(file.path, ns=(0, 0))
    reported: list[int] = []
    with pytest.raises(ChangedDuringRead):
        digest_files([file], progress=Progress(reported.append))
    assert reported == []
