"""Which folder and weight files a path names (WHERE). Lists folders, and opens no other file."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import DIFFUSERS_WEIGHTS, MODEL_INDEX, WEIGHTS, WORK
from ckpt_tools.checkpoint.folders import MOST_FOLDERS, candidates, checkpoints_below
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX, shard_family
from ckpt_tools.errors import NotACheckpoint, NotAFile, PathNotFound, WriteInterrupted
from ckpt_tools.storage.files import kind_of, read_error, similar_path
from ckpt_tools.storage.recording import observed
from ckpt_tools.storage.session import is_remote, storage_of
from ckpt_tools.storage.storage import LOCAL
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from ckpt_tools.storage.storage import Storage

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_PROCESSOR_STATE = r"policy_(pre|post)processor.*\.safetensors"
_ORBAX = frozenset(("_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt"))
_VARIANT = re.compile(
    r"(?:model|diffusion_pytorch_model)"
    r"(?:\.[\w-]+\.safetensors(?:\.index\.json)?|\.safetensors\.index\.[\w-]+\.json)"
)


class Location(NamedTuple):
    """A folder, the names in it and what to read there.

    `weights` are the weight files, `index_file` the index that lists them instead; both relative
    to `root`. `names` is empty if a single file was named, and nothing else is read.
    """

    root: str
    names: tuple[str, ...]
    weights: tuple[str, ...]
    index_file: str | None = None
    storage: Storage = LOCAL

    @property
    def whole_folder(self) -> bool:
        """Whether a folder was named, not a single file."""
        return bool(self.names)


def locate(where: str) -> Location:
    """Return the location of the checkpoint that `where` names.

    `where` is a .safetensors file, an index, a folder with either, a LeRobot run folder or step
    folder, or a Hugging Face cache folder; local, or on the Hub as `hf://owner/name`. Raises
    PathNotFound, NotAFile, NotACheckpoint or Unreadable, and for the Hub what
    `hub_api.repository` raises.
    """
    storage, root = storage_of(where)
    if is_remote(where):
        find = _single_file if storage.is_file(root) else _in_folder
        return find(where, root, storage)
    mode = observed("mode", where, lambda: _mode(where))
    if stat.S_ISDIR(mode):
        return _in_folder(where, where, storage)
    if not stat.S_ISREG(mode):
        raise NotAFile(f"is {kind_of(mode)}, not a checkpoint", path=where)
    return _single_file(where, where, storage)


def _mode(where: str) -> int:
    try:
        return os.stat(where).st_mode
    except OSError as error:
        like = similar_path(where)
        raise read_error(where, error, f"did you mean {printable(like)}?" if like else "") from None
    except ValueError:
        raise PathNotFound("contains a NUL character, which no path can", path=where) from None


def _single_file(where: str, path: str, storage: Storage) -> Location:
    folder, name = os.path.split(path)
    root = folder or "."
    refuse_unfinished(root, (f"{WORK}/",) * storage.is_folder(os.path.join(root, WORK)))
    if name.endswith(INDEX_SUFFIX):
        return Location(root, (), (), name, storage)
    if name.endswith(".safetensors"):
        return Location(root, (), (name,), storage=storage)
    if name.endswith(_PICKLES):
        raise NotACheckpoint(
            "is a pickle by its name; pickles can run code and are never opened",
            path=where,
            hint="save it as safetensors first",
        )
    if name.endswith(".json"):
        raise NotACheckpoint(
            "is a configuration file, not a checkpoint", path=where, hint=f"pass its folder: {root}"
        )
    raise NotACheckpoint("is not a .safetensors file", path=where)


def _in_folder(where: str, path: str, storage: Storage) -> Location:
    for root in candidates(path, storage):
        names = storage.names(root)
        refuse_unfinished(root, names)
        location = weights_in(root, names, storage)
        if location is not None:
            return location
    names = storage.names(path)
    inner = storage.names(os.path.join(path, "params")) if "params/" in names else ()
    if is_orbax((*names, *inner)):
        raise orbax_refused(where)
    below = () if MODEL_INDEX in names else checkpoints_below(path, storage)
    raise _below_only(where, below) if below else no_weights(where, names)


def _below_only(where: str, below: tuple[str, ...]) -> NotACheckpoint:
    """Return the error for a folder above checkpoints."""
    what = "contains no .safetensors file itself"
    if len(below) == 1:
        return NotACheckpoint(what, path=where, hint=f"did you mean {below[0]}?")
    number = f"{len(below)}{' or more' * (len(below) >= MOST_FOLDERS)}"
    error = NotACheckpoint(
        f"{what}, but {number} folders below it do",
        path=where,
        hint=f"name one, such as {below[0]}",
    )
    error.below = below
    return error


def is_orbax(names: tuple[str, ...]) -> bool:
    """Whether a folder with these names is an Orbax checkpoint."""
    return not _ORBAX.isdisjoint(names)


def is_processor_state(name: str) -> bool:
    """Whether a .safetensors file is named as the state of a processor, and so has no weights."""
    return name.startswith("policy_") and re.fullmatch(_PROCESSOR_STATE, name) is not None


def is_variant(name: str) -> bool:
    """Whether weights, or their index, have a variant's name, such as model.fp16.safetensors."""
    return _VARIANT.fullmatch(name) is not None


def orbax_refused(where: str) -> NotACheckpoint:
    """Return the error for an Orbax checkpoint."""
    return NotACheckpoint(
        "is an Orbax checkpoint of JAX, such as OpenPI writes, which is not read",
        path=where,
        hint="convert it first: OpenPI has examples/convert_jax_model_to_pytorch.py",
    )


def refuse_unfinished(root: str, names: tuple[str, ...]) -> None:
    """Raise WriteInterrupted if a write in place of `root`, with these names, is not finished."""
    if f"{WORK}/" in names:
        raise WriteInterrupted("a write to this folder is in progress or interrupted", path=root)


def weights_in(root: str, names: tuple[str, ...], storage: Storage = LOCAL) -> Location | None:
    """Return what to read in the folder `root` with these names, None if it has no weights.

    model.safetensors is read before an index, as transformers does, and an index of
    diffusion_pytorch_model.safetensors before that file, as diffusers does. Raises NotAFile, and
    NotACheckpoint where several weights have equal claims.
    """
    if f"{WEIGHTS}/" in names:
        raise NotAFile("is a folder, not a file", path=os.path.join(root, WEIGHTS))
    if WEIGHTS in names:
        return Location(root, names, (WEIGHTS,), storage=storage)
    indexes = [name for name in names if name.endswith(INDEX_SUFFIX)]
    indexes = [name for name in indexes if not is_variant(name)] or indexes
    if len(indexes) > 1:
        raise NotACheckpoint(
            f"contains {len(indexes)} shard indexes: {', '.join(indexes)}",
            path=root,
            hint="pass the index file to use",
        )
    if indexes:
        return Location(root, names, (), indexes[0], storage)
    if DIFFUSERS_WEIGHTS in names:
        return Location(root, names, (DIFFUSERS_WEIGHTS,), storage=storage)
    files = tuple(
        name for name in names if name.endswith(".safetensors") and not is_processor_state(name)
    )
    families = {shard_family(name) for name in files}
    if len(files) > 1 and (len(families) > 1 or None in families):
        some = ", ".join(files[:3]) + ", …" * (len(files) > 3)  # noqa: PLR2004 - three fit a line
        raise NotACheckpoint(
            f"contains {len(files)} .safetensors files, none of them called {WEIGHTS}: {some}",
            path=root,
            hint="pass the file to use",
        )
    return Location(root, names, files, storage=storage) if files else None


def variants_in(
    root: str, names: tuple[str, ...], storage: Storage = LOCAL
) -> tuple[Location, ...]:
    """Return the weights that are saved under a variant's name, such as model.fp16.safetensors."""
    found = filter(is_variant, names)
    return tuple(
        Location(root, names, (), name, storage)
        if name.endswith(".json")
        else Location(root, names, (name,), storage=storage)
        for name in found
    )


def no_weights(where: str, names: tuple[str, ...]) -> NotACheckpoint:
    """Return the error for a folder with these names, none of which is read as weights."""
    if MODEL_INDEX in names:
        return NotACheckpoint(
            "is a diffusers pipeline of several models; only show, verify and gate take it whole",
            path=where,
            hint="name the folder of one of its components",
        )
    pickle = pickle_in(names)
    if not pickle:
        return NotACheckpoint("contains no .safetensors file", path=where)
    return NotACheckpoint(
        f"contains no .safetensors file, only pickles such as {pickle}, which are never opened",
        path=where,
        hint="save the model as safetensors first",
    )


def pickle_in(names: tuple[str, ...]) -> str:
    """Return the first name of a pickle, "" if there is none."""
    return next((name for name in names if name.endswith(_PICKLES)), "")


def is_resumable(root: str) -> bool:
    """Whether a LeRobot run resumes from the folder `root`: its training state is beside it."""
    return os.path.isdir(os.path.join(os.path.dirname(os.path.realpath(root)), "training_state"))
