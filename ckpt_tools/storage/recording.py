"""Recordings of what a check read, so that newer rules check the same again without reading.

While a recording is active, what is read through a `Storage`, and whatever else is wrapped in
`observed`, is kept: small facts as JSON values, and contents as bytes by their digest. A replay
answers the same questions from the recording, errors included, and raises NotRecorded for any other
question. Names are paths below the checkpoint, so that equal checkpoints have equal recordings.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from blake3 import blake3

from ckpt_tools import errors
from ckpt_tools.errors import CkptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ckpt_tools.storage.storage import ReadableFile, Storage

_INLINE = 64
"""Bytes up to which a content is one of the facts."""

_ABSENT = object()


class NotRecorded(Exception):
    """A replay is asked for what was not read before: the rules need more than the old ones."""


class Recording:
    """The facts and the contents that a check of the checkpoint at `address` read, or a replay."""

    def __init__(
        self,
        address: str,
        facts: dict[str, Any] | None = None,
        contents: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Start a recording, or a replay of `facts` with the `contents` they name."""
        self.is_replay = facts is not None
        self.facts = facts or {}
        self.contents = dict(contents or {})
        self.names: dict[bytes, str] = {}
        """What each content is of, for people who look into the file of an audit."""
        self.address = address
        self.root = address
        self._is_inside = False

    def state(self) -> bytes:
        """Return the digest of all that was read so far, which is that of an equal checkpoint."""
        return blake3(self.facts_text().encode()).digest()

    def facts_text(self) -> str:
        """Return the facts as JSON."""
        return json.dumps(self.facts, separators=(",", ":"))

    def name(self, path: str) -> str:
        """Return a path as the facts name it: relative to the checkpoint where it is below it."""
        if path.startswith(self.root) and path[len(self.root) : len(self.root) + 1] in ("", "/"):
            return path[len(self.root) + 1 :]
        return path

    def keep_text(self, name: str, text: str | None) -> str | None:
        """Keep a text, if there is one, as `keep` does."""
        return None if text is None else self.keep(name, text.encode("utf-8", "surrogatepass"))

    def kept_text(self, named: str | None) -> str | None:
        """Return a text by what `keep_text` returned."""
        return None if named is None else self.kept(named).decode("utf-8", "surrogatepass")

    def keep(self, name: str, data: bytes) -> str:
        """Keep a content and return what names it among the facts."""
        if len(data) <= _INLINE:
            return f"={data.hex()}"
        digest = blake3(data).digest()
        self.contents[digest] = data
        self.names.setdefault(digest, name)
        return digest.hex()

    def kept(self, named: str) -> bytes:
        """Return a content by what `keep` returned. Raises NotRecorded."""
        if named.startswith("="):
            return bytes.fromhex(named[1:])
        try:
            return self.contents[bytes.fromhex(named)]
        except KeyError:
            raise NotRecorded from None

    def answer(self, question: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        """Return what `ask` does, a JSON value, or what it did when this was recorded."""
        if self.is_replay:
            return self._replayed(question)
        if self._is_inside:
            return ask()
        self._is_inside = True
        try:
            found = self.facts[question] = ask()
        except CkptError as error:
            fields = (error.what, error.subject, error.path, error.next)
            self.facts[question] = {"error": [type(error).__name__, *fields]}
            raise
        finally:
            self._is_inside = False
        return found

    def _replayed(self, question: str) -> Any:  # noqa: ANN401 - JSON
        found = self.facts.get(question, _ABSENT)
        if found is _ABSENT:
            raise NotRecorded
        if isinstance(found, dict) and "error" in found:
            kind, what, subject, path, hint = found["error"]
            raise cast("type[CkptError]", getattr(errors, kind))(
                what, subject=subject, path=path, hint=hint
            )
        return found


_CURRENT: ContextVar[Recording | None] = ContextVar("_CURRENT", default=None)


@contextmanager
def active(recording: Recording) -> Iterator[None]:
    """Record in the block, or replay."""
    token = _CURRENT.set(recording)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Recording | None:
    """Return the recording that is active, None outside of audits."""
    return _CURRENT.get()


class Codec[T](NamedTuple):
    """How an answer becomes a JSON value of a recording, and an answer again."""

    store: Callable[[T, Recording], Any]
    restore: Callable[[Any, Recording], T]


def observed[T](question: str, path: str, ask: Callable[[], T], codec: Codec[T] | None = None) -> T:
    """Return what `ask` does, which is about `path`, and record it: a JSON value without `codec`.

    In a replay, return what was recorded.
    """
    recording = _CURRENT.get()
    if recording is None:
        return ask()
    name = f"{question} {recording.name(path)}"
    if codec is None:
        return cast("T", recording.answer(name, ask))
    if recording.is_replay:
        return codec.restore(recording.answer(name, ask), recording)
    found: list[T] = []

    def stored() -> Any:  # noqa: ANN401 - JSON
        found.append(ask())
        return codec.store(found[0], recording)

    recording.answer(name, stored)
    return found[0]


def recorded(storage: Storage) -> Storage:
    """Return a storage that is recorded, or replayed, while a recording is active."""
    recording = _CURRENT.get()
    return storage if recording is None else _Recorded(storage, recording)


class _Recorded:
    """A storage whose answers are recorded, or replayed."""

    def __init__(self, storage: Storage, recording: Recording) -> None:
        self._storage = storage
        self._recording = recording

    @property
    def near(self) -> bool:
        return bool(self._recording.answer("near", lambda: self._storage.near))

    def names(self, folder: str) -> tuple[str, ...]:
        return tuple(self._answer("names", folder, lambda: self._storage.names(folder)))

    def is_folder(self, path: str) -> bool:
        return bool(self._answer("folder", path, lambda: self._storage.is_folder(path)))

    def is_file(self, path: str) -> bool:
        return bool(self._answer("file", path, lambda: self._storage.is_file(path)))

    def size(self, path: str) -> int:
        return int(self._answer("size", path, lambda: self._storage.size(path)))

    def known_sums(self, path: str) -> tuple[str, str]:
        sha256, git_id = self._answer("sums", path, lambda: self._storage.known_sums(path))
        return sha256, git_id

    def read(self, path: str, limit: int) -> bytes:
        data = b""

        def ask() -> str:
            nonlocal data
            data = self._storage.read(path, limit)
            return self._recording.keep(self._recording.name(path), data)

        named = self._answer("read", path, ask)
        return self._recording.kept(named) if self._recording.is_replay else data

    @contextmanager
    def open(self, path: str) -> Iterator[ReadableFile]:
        if self._recording.is_replay:
            yield _RecordedFile(self._answer("open", path, int), None, path, self._recording)
            return
        opened = self._storage.open(path)
        file: list[ReadableFile] = []

        def ask() -> int:
            file.append(opened.__enter__())
            return file[0].size

        size = self._answer("open", path, ask)
        try:
            yield _RecordedFile(size, file[0], path, self._recording)
        finally:
            opened.__exit__(None, None, None)

    def prefetch(self, parts: Iterable[tuple[str, int]]) -> None:
        if not self._recording.is_replay:
            self._storage.prefetch(parts)

    def _answer(self, question: str, path: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        return self._recording.answer(f"{question} {self._recording.name(path)}", ask)


class _RecordedFile:
    """An open file whose parts are recorded, or replayed."""

    def __init__(
        self, size: int, file: ReadableFile | None, path: str, recording: Recording
    ) -> None:
        self.size = size
        self._file = file
        self._name = recording.name(path)
        self._recording = recording

    def read(self, length: int, offset: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        data = b""

        def ask() -> str:
            nonlocal data
            assert self._file is not None  # noqa: S101 - a replay does not ask
            data = self._file.read(length, offset)
            return self._recording.keep(self._name, data)

        named = self._recording.answer(f"part {self._name} {offset}+{length}", ask)
        return self._recording.kept(named) if self._recording.is_replay else data
