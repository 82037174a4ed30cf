"""Finding checkpoints in a tree of folders: which are entered, and whose a file is. No I/O.

A `Tree` lists folders; nothing here opens a file. What the names in one folder are is in `units`;
what a source is, and how it is listed, in `sources`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ckpt_tools.audit.naming import sentence
from ckpt_tools.audit.units import Listed, Unit, unit_of
from ckpt_tools.checkpoint.documents import WORK as CKPT_WORK
from ckpt_tools.checkpoint.locate import is_orbax
from ckpt_tools.errors import CkptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.audit.model import FileState

SKIPPED = frozenset(
    {
        *(".git", ".hg", ".svn", "__pycache__", "node_modules", "site-packages", "dist-packages"),
        *(CKPT_WORK, "training_state", ".locks", ".no_exist"),
    }
)
"""Folders that are not entered: none of them has a checkpoint that somebody keeps there.

A LeRobot run's training state is the optimizer's.
"""

_CACHED_REPOSITORY = re.compile(r"models--.+")
_LEFT_OUT = re.compile(
    r"(?:datasets|spaces|kernels)--.+"  # in the Hugging Face cache
    r"|\..+\.ckpt-partial|\.?ckpt-upload-.+"  # copies and uploads that this tool prepares
)
_DOWNLOADS = "/.cache/huggingface/download/"
_STEP = re.compile(r"checkpoint-\d+")
"""A step of transformers' or diffusers' training, inside the folder that it will save to."""

_MOST_FILES = 10_000
"""Files of one checkpoint, after which those in more of its subfolders are not its own.

Only in a folder that is a checkpoint and the top of much else.
"""

_OPENPI = ("params", "train_state")


class Tree(Protocol):
    """Folders by their paths below a root, which is ""."""

    def listed(self, path: str) -> Listed:
        """Return what is in a folder. Raises a CkptError."""


class Found(NamedTuple):
    """A checkpoint by its path below the root, with its files; or why it cannot be judged.

    `listed` is false for a folder that could not be listed: what is below it is not known.
    """

    path: str
    files: tuple[FileState, ...] = ()
    trouble: str = ""
    listed: bool = True


class FlatTree:
    """The folders of files that are all known by their paths, such as those of a repository."""

    def __init__(self, files: tuple[FileState, ...]) -> None:
        self._files: dict[str, dict[str, FileState]] = {"": {}}
        self._folders: dict[str, set[str]] = {}
        for file in files:
            folder, _, name = file.path.rpartition("/")
            if folder not in self._files:
                self._enter(folder)
            self._files[folder][name] = file._replace(path=name)

    def _enter(self, folder: str) -> None:
        while folder not in self._files:
            self._files[folder] = {}
            above, _, name = folder.rpartition("/")
            self._folders.setdefault(above, set()).add(name)
            folder = above

    def listed(self, path: str) -> Listed:
        """Return what is in a folder."""
        files = self._files[path]
        folders = tuple(sorted(self._folders.get(path, ())))
        return Listed(tuple(sorted(files)), folders, files.__getitem__)


class _Folder:
    """A folder that is being walked. `above` is the one whose checkpoint it may be a part of."""

    def __init__(self, path: str, unit: Unit, waiting: list[str], above: _Folder | None) -> None:
        self.path = path
        self.unit = unit
        self.waiting = waiting
        self._above = above
        self.files: list[FileState] = []

    @property
    def keeps(self) -> _Folder | None:
        """The folder whose checkpoint has the files in this one."""
        return self if self.unit.whole else self._above  # kept, it would be a cycle

    def take(self, path: str, states: Iterable[FileState]) -> None:
        """Keep the states of files in the folder `path`, which is this one or below it."""
        if path == self.path:
            self.files += states
        elif len(self.files) < _MOST_FILES:
            below = path[len(self.path) :].lstrip("/")
            self.files += (one._replace(path=f"{below}/{one.path}") for one in states)

    def is_checkpoint(self) -> bool:
        """Whether the folder as a whole is a checkpoint: a list of components is not enough."""
        return self.unit.whole and (
            not self.unit.composed or any(file.path.endswith(".safetensors") for file in self.files)
        )


def no_link(_: str) -> None:
    """Do nothing with a link to a folder."""


def walk(tree: Tree, linked: Callable[[str], None] = no_link) -> Iterator[Found]:
    """Yield the checkpoints in a tree, those inside a folder before the folder's own.

    A folder that cannot be listed is one with that trouble. `linked` is called with the path of
    each link to a folder; links are not followed.
    """
    stack: list[_Folder] = []
    yield from _entered(tree, "", stack, linked)
    while stack:
        folder = stack[-1]
        if folder.waiting:
            name = folder.waiting.pop()
            yield from _entered(tree, f"{folder.path}/{name}".lstrip("/"), stack, linked)
        else:
            stack.pop()
            if folder.is_checkpoint():
                yield Found(folder.path, tuple(folder.files))


def _entered(
    tree: Tree, path: str, stack: list[_Folder], linked: Callable[[str], None]
) -> Iterator[Found]:
    """Put a folder on the stack, and yield what is not the folder as a whole."""
    above = stack[-1] if stack else None
    keeps = above.keeps if above else None
    if keeps and keeps.unit.composed and _STEP.fullmatch(path.rpartition("/")[2]):
        keeps = None
    try:
        listed = tree.listed(path)
    except CkptError as error:
        if keeps is None:  # the check of that checkpoint says so, too
            yield Found(path, trouble=sentence(error), listed=False)
        return
    inside = keeps is not None and keeps.unit.composed
    unit = Unit() if inside else unit_of(path, listed)
    if unit.trouble and keeps is None:
        openpi = path.rpartition("/")[2] == _OPENPI[0] and is_orbax(listed.files)
        yield Found(path.rpartition("/")[0] if openpi else path, trouble=unit.trouble)
    for link in listed.links:
        linked(f"{path}/{link}".lstrip("/"))
    orbax = bool(unit.trouble) and is_orbax(listed.files)
    waiting = [] if orbax else sorted(entered_folders(path, listed), reverse=True)
    folder = _Folder(path, unit, waiting, keeps)
    if folder.keeps:
        of_parts = {name for _, names in unit.parts for name in names}
        rest = (name for name in listed.files if name not in of_parts)
        folder.keeps.take(path, map(listed.state, rest))
    for name, names in unit.parts:
        full = f"{path}/{name}".lstrip("/")
        yield Found(full, tuple(listed.state(one) for one in names))
    stack.append(folder)


def entered_folders(path: str, listed: Listed) -> Iterator[str]:
    """Yield the folders that may have checkpoints, or files of one."""
    if "snapshots" in listed.folders and _CACHED_REPOSITORY.fullmatch(path.rpartition("/")[2]):
        yield "snapshots"
        return
    for name in listed.folders:
        is_left_out = (
            name in SKIPPED
            or _LEFT_OUT.fullmatch(name)
            or f"/{path}/{name}/".endswith(_DOWNLOADS)
            or (name == _OPENPI[1] and _OPENPI[0] in listed.folders)
        )
        if not is_left_out:
            yield name
