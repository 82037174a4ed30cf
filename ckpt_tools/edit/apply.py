"""Applying a plan: to a new folder or file, or in place.

Either the complete, verified result is written, or nothing changes.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from ckpt_tools import shell
from ckpt_tools.edit import backup as backups
from ckpt_tools.edit import journal
from ckpt_tools.edit.model import Copy, Output, Plan, SourceFile, Weights
from ckpt_tools.edit.read_back import verify
from ckpt_tools.edit.workspace import Workspace, partial, refuse_unfinished, replaced
from ckpt_tools.edit.write import Target, ordered, write_output
from ckpt_tools.errors import (
    ChangedDuringRead,
    OutputExists,
    OutputInside,
    PathEscapes,
    PlanStale,
    Unwritable,
    WriteFailed,
)
from ckpt_tools.progress import ignore
from ckpt_tools.storage.digests import sha256_at
from ckpt_tools.storage.durable import (
    ensure_space,
    make_folder,
    refused,
    remove,
    sync_folder,
    sync_tree,
    there,
    uninterrupted,
    writing,
)
from ckpt_tools.storage.files import list_folder
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_EXISTS = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def write_new(plan: Plan, destination: str, progress: Callable[[int], None] | None = None) -> None:
    """Write the result of `plan` to `destination`, which does not exist or is an empty folder.

    A file if the result is a single file and `destination` ends in .safetensors.

    `progress` is called with the bytes written since the last call. Raises OutputExists,
    OutputInside, PlanStale, ChangedDuringRead, a WriteFailed, or what reading raises; nothing has
    been written then.
    """
    target = _free_target(plan, destination)
    _check_paths(plan)
    check_sources(plan.sources, PlanStale)
    folder = os.path.dirname(target)
    ensure_space(folder, (output.size for output in plan.outputs))
    with replaced(partial(target)) as space:
        into = Target(space.new, plan.removed, progress or ignore)
        for output in ordered(plan):
            write_output(output, into)
        check_sources(plan.sources, ChangedDuringRead)
        verify(plan, space.new)
        sync_tree(space.new)
        with uninterrupted():
            _publish(
                os.path.join(space.new, plan.outputs[0].path)
                if _is_file(plan, target)
                else space.new,
                target,
            )


def write_in_place(
    plan: Plan, *, backup: bool = True, progress: Callable[[int], None] | None = None
) -> str | None:
    """Change the checkpoint of `plan` to the result.

    Return the folder with the replaced and removed files, None if there is none.

    `progress` is called with the bytes written since the last call. Raises PlanStale,
    ChangedDuringRead, LockedByOther and other WriteFailed, or what reading raises; nothing has
    changed then. After WriteInterrupted the change is committed, and `recover` completes it.
    """
    root = os.path.realpath(plan.before.root)
    _check_paths(plan)
    check_sources(plan.sources, PlanStale)
    writes = tuple(output for output in ordered(plan) if not _stays(plan, output))
    removed = _removed(plan)
    paths = tuple(output.path.rstrip("/") for output in writes)
    if not paths and not removed:
        return None
    journal.check_inside(root, (*paths, *removed))
    refuse_unfinished(root)
    ensure_space(root, (output.size for output in writes))
    # Also for a change that only adds: its record says what to remove again.
    kept = os.path.basename(backups.free(root)) if backup else None
    entry = journal.Journal(paths, removed, kept)
    journal.carry_out(
        plan.before.root, entry, lambda space: _stage(plan, writes, space, progress or ignore)
    )
    return None if entry.backup is None else backups.beside(plan.before.root, entry.backup)


def hard_linked(plan: Plan) -> tuple[str, ...]:
    """Return the files that a write in place replaces and that have other hard links.

    The other names keep the old bytes.
    """
    found = []
    for output in plan.outputs:
        path = os.path.join(plan.before.root, output.path)
        if not output.path.endswith("/") and there(path) and not _stays(plan, output):
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                found.append(output.path)
    return tuple(sorted(found))


def check_sources(
    sources: Iterable[SourceFile], error: type[PlanStale | ChangedDuringRead]
) -> None:
    """Raise `error` for a file that has changed since the plan was made."""
    for path, size, mtime_ns, sha256 in sources:
        try:
            found = os.stat(path)
        except OSError:
            raise error("no longer exists", path=path) from None
        if (found.st_size, found.st_mtime_ns) == (size, mtime_ns):
            continue
        if not sha256 or found.st_size != size or sha256_at(path) != sha256:
            raise error("has changed since the plan was made", path=path)


def _stage(
    plan: Plan, writes: Iterable[Output], space: Workspace, progress: Callable[[int], None]
) -> None:
    """Write the new files beside the old ones, and verify that together they are the result."""
    root = plan.before.root
    make_folder(space.new)
    into = Target(space.new, plan.removed, progress)
    for output in writes:
        write_output(output, into, _status(os.path.join(root, output.path)))
    make_folder(space.view)
    for output in plan.outputs:
        _show(plan, output, space)
    verify(plan, space.view)
    sync_tree(space.new)
    sync_folder(os.path.dirname(space.path))
    check_sources(plan.sources, ChangedDuringRead)


def _status(path: str) -> os.stat_result | None:
    """Return the status of the file that a new one replaces, links followed; None without one."""
    with writing(path):
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None


def _show(plan: Plan, output: Output, space: Workspace) -> None:
    """Link from the view to an output where it is now.

    The contents of a folder are not shown, except for outputs of their own.
    """
    path = os.path.join(space.view, output.path)
    if output.path.endswith("/"):
        make_folder(path)
        return
    make_folder(os.path.dirname(path))
    folder = os.path.realpath(plan.before.root) if _stays(plan, output) else space.new
    with writing(path):
        os.symlink(os.path.join(folder, output.path), path)


def _publish(new: str, target: str) -> None:
    """Give the finished file or folder its name, unless that was taken meanwhile."""
    empty = os.path.isdir(target)
    try:
        if empty:
            os.chmod(new, stat.S_IMODE(os.stat(target).st_mode))
        _name(new, target)
    except OSError as error:
        if error.errno in _EXISTS:
            raise OutputExists("already exists", path=target) from None
        raise refused(target, error) from None
    try:
        sync_folder(os.path.dirname(target))
    except WriteFailed:
        with suppress(WriteFailed):
            remove(target)
            if empty:
                make_folder(target)
        raise


def _name(new: str, target: str) -> None:
    """Rename, but never over anything except an empty folder."""
    if os.path.isdir(new):
        os.rename(new, target)
        return
    try:
        os.link(new, target)
    except FileExistsError:
        raise
    except OSError:
        # Without hard links there is a moment between the check and the rename.
        if there(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(new, target)


def _free_target(plan: Plan, destination: str) -> str:
    """Return the real path of the destination.

    Raises OutputExists, OutputInside, or Unwritable if its folder does not exist.
    """
    if "\0" in destination or not destination:
        raise Unwritable(f"invalid path {destination!r}", hint="give another path with --output")
    target, root = os.path.realpath(destination), os.path.realpath(plan.before.root)
    if _within(root, target) or (os.path.isdir(plan.before.where) and _within(target, root)):
        raise OutputInside(
            f"overlaps with the checkpoint that is read, {plan.before.root}", path=destination
        )
    is_folder = os.path.isdir(target)
    is_empty = is_folder and not list_folder(target) and not _is_file(plan, target)
    if (os.path.islink(destination) and not is_folder) or (there(target) and not is_empty):
        raise OutputExists("already exists", path=destination)
    folder = os.path.dirname(target)
    if there(folder) and not os.path.isdir(folder):
        raise Unwritable(
            f"{folder} is not a folder", path=destination, hint="give another path with --output"
        )
    if not there(folder):
        raise Unwritable(
            "its folder does not exist",
            path=destination,
            hint=f"create it first: mkdir -p {shell.quote(folder)}",
        )
    return target


def _within(path: str, folder: str) -> bool:
    return os.path.join(path, "").startswith(os.path.join(folder, ""))


def _is_file(plan: Plan, target: str) -> bool:
    """Whether the result is written as a single file instead of a folder."""
    return (
        len(plan.outputs) == 1
        and isinstance(plan.outputs[0], Weights | Copy)
        and target.endswith(".safetensors")
    )


def _check_paths(plan: Plan) -> None:
    for output in plan.outputs:
        if leaves_folder(output.path):
            raise PathEscapes(
                f"would be written to {output.path!r}, outside the folder", path=plan.before.root
            )


def _stays(plan: Plan, output: Output) -> bool:
    """Whether a write in place leaves a file or folder unchanged: it is a copy of itself."""
    path = os.path.join(plan.before.root, output.path.rstrip("/"))
    if not isinstance(output, Copy) or not there(path):
        return False
    source = output.source.rstrip("/")
    return os.path.abspath(source) == os.path.abspath(path) or (
        os.path.exists(source) and os.path.exists(path) and os.path.samefile(source, path)
    )


def _removed(plan: Plan) -> tuple[str, ...]:
    """Return the paths that a write in place removes.

    None inside another one, and no folder into which it writes.
    """
    paths = [path.rstrip("/") for path in plan.removed]
    kept = {output.path.rstrip("/") for output in plan.outputs}
    return tuple(
        path
        for path in paths
        if not any(path.startswith(f"{other}/") for other in paths)
        and not any(output.startswith(f"{path}/") for output in kept)
        and path not in kept
    )
