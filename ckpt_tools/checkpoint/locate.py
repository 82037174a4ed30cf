"""From what a person names (WHERE) to the folder and the weight files meant.

Looks at names only and opens nothing but folders.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX, shard_family
from ckpt_tools.errors import NotACheckpoint, NotAFile, PathNotFound, Unreadable, WriteInterrupted
from ckpt_tools.storage.files import kind_of, path_not_found
from ckpt_tools.storage.session import is_remote, remote_storage
from ckpt_tools.storage.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.errors import RemoteNotSupported
    from ckpt_tools.storage.storage import Storage

SINGLE_FILE = "model.safetensors"
"""What LeRobot and transformers look for first."""

WORK = ".ckpt-work"
"""The folder in which a write in place is prepared.

While it is there, the folder it lies in may hold files of two checkpoints.
"""

_COMMIT_LIMIT = 1024
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_PROCESSOR_STATE = r"policy_(pre|post)processor.*\.safetensors"


class Location(NamedTuple):
    """A folder and what to read in it.

    Weight files relative to `root`, or an index that names them. `whole_folder` is false for a
    single file.
    """

    where: str
    root: str
    names: tuple[str, ...]
    weights: tuple[str, ...]
    index_file: str | None
    whole_folder: bool = True
    place: Storage = LOCAL


def locate(where: str) -> Location:
    """Return where the checkpoint that `where` names lies.

    `where` is a .safetensors file, an index, a folder with either, a LeRobot run folder or step
    folder, or a Hugging Face cache folder; on this machine or, named `hf://owner/name`, on the Hub.
    Raises PathNotFound, NotAFile, NotACheckpoint or Unreadable, and for the Hub what
    `store.hub.repository` does.
    """
    if is_remote(where):
        return _on_hub(where)
    try:
        mode = os.stat(where).st_mode
    except OSError as error:
        raise _not_reached(where, error) from None
    except ValueError:
        raise PathNotFound("holds a NUL character, which no path can", path=where) from None
    if stat.S_ISDIR(mode):
        return _in_folder(where, where, LOCAL)
    if not stat.S_ISREG(mode):
        raise NotAFile(f"is {kind_of(mode)}, not a checkpoint", path=where)
    return _single_file(where, where, LOCAL)


def _on_hub(where: str) -> Location:
    place = remote_storage(where)
    return (
        _single_file(where, place.root, place)
        if place.is_file(place.root)
        else _in_folder(where, place.root, place)
    )


def _not_reached(where: str, error: OSError) -> PathNotFound | RemoteNotSupported | Unreadable:
    if isinstance(error, PermissionError):
        return Unreadable(
            "permission denied",
            path=where,
            hint="ask for read access, or run as the user who owns it",
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return path_not_found(where)
    return PathNotFound((error.strerror or str(error)).lower(), path=where)


def _single_file(where: str, path: str, place: Storage) -> Location:
    root, name = os.path.split(path)
    _refuse_unfinished(root or ".", (f"{WORK}/",) * place.is_folder(os.path.join(root, WORK)))
    if name.endswith(INDEX_SUFFIX):
        return Location(
            where=where,
            root=root or ".",
            names=(),
            weights=(),
            index_file=name,
            whole_folder=False,
            place=place,
        )
    if name.endswith(".safetensors"):
        return Location(
            where=where,
            root=root or ".",
            names=(),
            weights=(name,),
            index_file=None,
            whole_folder=False,
            place=place,
        )
    if name.endswith(_PICKLES):
        raise NotACheckpoint(
            "looks like a pickle by its name, and a pickle is never opened: it can run code",
            path=where,
            hint="save it as safetensors first",
        )
    if name.endswith(".json"):
        raise NotACheckpoint(
            "is a configuration file, not a checkpoint",
            path=where,
            hint=f"name its folder: {root or '.'}",
        )
    raise NotACheckpoint("is not a .safetensors file", path=where)


def _in_folder(where: str, path: str, place: Storage) -> Location:
    for root in candidates(path, place):
        names = place.names(root)
        _refuse_unfinished(root, names)
        location = _weights_in(where, root, names)
        if location is not None:
            return location._replace(place=place)
    raise _no_weights(where, place.names(path))


def _refuse_unfinished(root: str, names: tuple[str, ...]) -> None:
    """Refuse a folder in which files of two checkpoints may lie."""
    if f"{WORK}/" in names:
        raise WriteInterrupted("a write to this folder is going on, or was interrupted", path=root)


def candidates(where: str, place: Storage = LOCAL) -> Iterator[str]:
    """Yield the folders to look into, best first.

    The folder itself, a LeRobot step, a LeRobot run, a Hugging Face cache.
    """
    yield where
    checkpoints = os.path.join(where, "checkpoints")
    steps = [step for step in _subfolders(checkpoints, place) if step.isdecimal()]
    for step in (
        where,
        *(
            os.path.join(checkpoints, step)
            for step in ("last", *sorted(steps, key=int, reverse=True))
        ),
    ):
        folder = os.path.join(step, "pretrained_model")
        if place.is_folder(folder):
            yield folder
    yield from _cached_snapshots(where, place)


def _cached_snapshots(where: str, place: Storage) -> Iterator[str]:
    """Yield the snapshot that `refs/main` names, or the only one, of a Hugging Face cache folder (models--owner--name)."""
    snapshots = os.path.join(where, "snapshots")
    names = _subfolders(snapshots, place)
    main = os.path.join(where, "refs", "main")
    if place.is_file(main):
        commit = place.whole(main, _COMMIT_LIMIT).decode("ascii", "replace").strip()
        names = (commit,) if commit in names else ()
    if len(names) == 1:
        yield os.path.join(snapshots, names[0])


def _subfolders(path: str, place: Storage) -> tuple[str, ...]:
    return (
        tuple(name.removesuffix("/") for name in place.names(path) if name.endswith("/"))
        if place.is_folder(path)
        else ()
    )


def _weights_in(where: str, root: str, names: tuple[str, ...]) -> Location | None:
    """Return what to read in the folder `root`, None where it holds no weights."""
    if f"{SINGLE_FILE}/" in names:
        raise NotAFile("is a folder, not a file", path=os.path.join(root, SINGLE_FILE))
    if SINGLE_FILE in names:
        return Location(
            where=where, root=root, names=names, weights=(SINGLE_FILE,), index_file=None
        )
    indexes = [name for name in names if name.endswith(INDEX_SUFFIX)]
    if len(indexes) > 1:
        raise NotACheckpoint(
            f"holds {len(indexes)} shard indexes: {', '.join(indexes)}",
            path=root,
            hint="name the index file that you mean",
        )
    if indexes:
        return Location(where=where, root=root, names=names, weights=(), index_file=indexes[0])
    files = tuple(
        name
        for name in names
        if name.endswith(".safetensors") and not re.fullmatch(_PROCESSOR_STATE, name)
    )
    if not files:
        return None
    if len(files) > 1 and not _one_family(files):
        msg = f"holds {len(files)} .safetensors files, and none is called {SINGLE_FILE}: {', '.join(files[:3])}{', …' * (len(files) > 3)}"  # noqa: PLR2004 - three names fit a line
        raise NotACheckpoint(msg, path=root, hint="name the file that you mean")
    return Location(where=where, root=root, names=names, weights=files, index_file=None)


def _one_family(files: tuple[str, ...]) -> bool:
    families = {shard_family(name) for name in files}
    return len(families) == 1 and None not in families


def _no_weights(where: str, names: tuple[str, ...]) -> NotACheckpoint:
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return NotACheckpoint(
            f"holds no .safetensors file, only pickles such as {pickles[0]}, which are never opened",
            path=where,
            hint="save the model as safetensors first",
        )
    return NotACheckpoint("holds no .safetensors file", path=where)
