"""The verbs that change: plan, sanitize, write, recover.

Planning reads; only `write` and `recover` write.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from ckpt_tools import __version__
from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.read import read
from ckpt_tools.checkpoint.shard_index import shard_family
from ckpt_tools.edit import apply, recipe
from ckpt_tools.edit import journal as recovery
from ckpt_tools.edit import plan as planning
from ckpt_tools.edit import sanitize as sanitizing
from ckpt_tools.edit.lookup import LocalLookup
from ckpt_tools.edit.model import Receipt, Written
from ckpt_tools.edit.operations import CopyFile, SetMetadata, Take
from ckpt_tools.errors import (
    EditRefused,
    JsonInvalid,
    OutputExists,
    PathNotFound,
    PlanStale,
    RecipeInvalid,
    Unwritable,
)
from ckpt_tools.families.registry import family_of
from ckpt_tools.report.json import diff as diff_json
from ckpt_tools.report.json import plan as plan_json
from ckpt_tools.storage import durable
from ckpt_tools.storage.digests import sums_of_file
from ckpt_tools.storage.files import open_regular, read_whole
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.edit.model import Plan
    from ckpt_tools.edit.operations import Operation

PLAN_LIMIT = 256 << 20
RECORD_KEY = "ckpt_tools"


def plan(where: AnyPath, operations: Iterable[Operation], *, record: bool = False) -> Plan:
    """Return what `operations` make of the checkpoint at `where`.

    With `record` they are written into its metadata. Nothing is written.
    """
    lookup = LocalLookup()
    return planning.plan(
        lookup.read(as_text(where)),
        _recorded([_placed(operation) for operation in operations], record=record),
        lookup,
    )


def _placed(operation: Operation) -> Operation:
    """Return an operation whose source, a path, is absolute.

    A plan may be applied from another folder.
    """
    if isinstance(operation, Take | CopyFile) and "://" not in operation.source:
        return operation._replace(source=os.path.abspath(operation.source))
    return operation


def sanitize(
    where: AnyPath,
    *,
    target: str = sanitizing.LEROBOT,
    reference: AnyPath | None = None,
    allow_lossy: bool = False,
    record: bool = False,
) -> Plan:
    """Return the plan that makes the checkpoint at `where` clean, and in its `remains` what no operation repairs. Nothing is written.

    `target` is lerobot, an older release of it (lerobot==0.4, lerobot==0.5) or fork. `reference`
    names a normal checkpoint whose dtypes are restored.
    """
    lookup = LocalLookup()
    checkpoint = lookup.read(as_text(where))
    normal = read(as_text(reference)) if reference else None
    family = family_of(checkpoint)
    if normal and family_of(normal) is not family:
        raise RecipeInvalid(
            f"the reference is {family_of(normal).name}, and the checkpoint is {family.name}",
            path=normal.where,
            hint="name a normal checkpoint of the same kind of model",
        )
    operations = sanitizing.operations(
        checkpoint, family, target=target, reference=normal, lossy=allow_lossy
    )
    made = planning.plan(checkpoint, _recorded(operations, record=record), lookup)
    return made._replace(
        remains=sanitizing.remaining(made.after, family, target=target, reference=normal)
    )


def _recorded(operations: list[Operation], *, record: bool) -> list[Operation]:
    if not record or not operations:
        return operations
    said = {"version": __version__, **recipe.document(operations)}
    return [
        *operations,
        SetMetadata(RECORD_KEY, json.dumps(said, separators=(",", ":"), ensure_ascii=False)),
    ]


def load_plan(path: AnyPath) -> Plan:
    """Return the plan that the file at `path` holds, made again from the checkpoint it names.

    Raises PlanStale when a file it reads is not what it was, and RecipeInvalid for a file that is
    no plan.
    """
    path = as_text(path)
    try:
        document = parse_object(decode_utf8(read_whole(path, PLAN_LIMIT)))
        where, source, result = (
            str(document["checkpoint"]),
            _part(document, "source"),
            _part(document, "result"),
        )
        operations = recipe.operations({"operations": document["operations"]})
        remains = tuple(map(str, _list(document["remains"])))
        promised = (source["digest"], result["digest"])
        for file in _list(source["files"]):
            _refuse_changed(file)
    except PathNotFound as error:
        raise PathNotFound(error.what, path=path, hint=_MAKE_ONE) from None
    except (JsonInvalid, KeyError, TypeError) as error:
        raise RecipeInvalid(
            f"is no plan: {error.what if isinstance(error, JsonInvalid) else f'{error} is missing, or not what it is in a plan'}",
            path=path,
            hint=_MAKE_ONE,
        ) from None
    made = plan(where, operations)
    if (made.source_digest, made.result_digest) != promised:
        raise PlanStale(
            "the plan was edited, or made by another version of this tool: what it would make now is not what it says",
            path=path,
        )
    return made._replace(remains=remains)


_MAKE_ONE = "make one with `ckpt plan WHERE RECIPE --output FILE`"


def _part(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    part = document[key]
    if not isinstance(part, dict):
        raise TypeError(key)
    return part


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _refuse_changed(file: object) -> None:
    """Raise PlanStale unless a file of a plan is as it was."""
    if not isinstance(file, dict):
        raise TypeError(file)
    path = str(file["path"])
    try:
        found = os.stat(path)
        same = (found.st_size, found.st_mtime_ns) == (file["size"], file["mtime_ns"])
    except OSError:
        same = False
    if not same:
        raise PlanStale("has changed since the plan was made", path=path)


def save_plan(made: Plan, path: AnyPath) -> None:
    """Write a plan to the new file `path`, for `load_plan`.

    Raises OutputExists where there is one.
    """
    _write_new(as_text(path), plan_json.document(made))


def _refuse_taken(path: str) -> None:
    if os.path.lexists(path):
        raise OutputExists(
            "is there already", path=path, hint="name another file, or move the old one away"
        )


def _refuse_unwritable(path: str) -> None:
    """Raise before anything is changed what writing the new file `path` would raise after."""
    _refuse_taken(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise Unwritable(
            "cannot be written: its folder is not there, or does not let you",
            path=path,
            hint="name another file",
        )


def _is_one_shard(made: Plan) -> bool:
    return (
        not os.path.isdir(made.before.where)
        and made.before.shard_index is None
        and shard_family(made.before.weights[0].path) is not None
    )


def _write_new(path: str, document: diff_json.JsonDict) -> None:
    _refuse_taken(path)
    durable.write_file(path, diff_json.dump(document).encode())


def write(  # noqa: PLR0913 - options by keyword
    made: Plan,
    output: AnyPath | None = None,
    *,
    in_place: bool = False,
    backup: bool = True,
    receipt: AnyPath | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Apply a plan.

    To the new folder (or file) `output`, or `in_place`, with a backup beside the checkpoint.
    Exactly one of the two is required.

    `receipt` is a new file for the SHA-256 of every file before and after, which costs one more
    reading of all. `progress` is called with bytes written. Raises a CkptError, and then nothing
    has changed.
    """
    output, receipt = as_text(output), as_text(receipt)
    if in_place or output is None:
        _refuse_in_place(made, output, in_place=in_place)
    if receipt:
        _refuse_unwritable(receipt)
    before = _digests(made.before.root, made.before.paths) if receipt else ()
    detached: tuple[str, ...] = ()
    kept = None
    if output is None:
        detached = apply.hard_linked(made)
        kept = apply.write_in_place(made, backup=backup, progress=progress)
    else:
        apply.write_new(made, output, progress=progress)
    written = Written(
        path=made.before.root if output is None else output, backup=kept, detached=detached
    )
    if receipt:
        _write_new(
            receipt,
            plan_json.receipt_document(
                made, written, Receipt(before, _digests(written.path, made.after.paths))
            ),
        )
    return written


def _refuse_in_place(made: Plan, output: str | None, *, in_place: bool) -> None:
    """Raise EditRefused unless in-place writing is possible and the only destination."""
    if not in_place:
        raise EditRefused(
            "no destination given for the changed checkpoint",
            path=made.before.where,
            hint="pass output= (a new folder or file) or in_place=True",
        )
    if output is not None:
        raise EditRefused(
            f"two destinations given for the changed checkpoint: {output} and in place",
            path=made.before.where,
            hint="pass either output= or in_place=True, not both",
        )
    if _is_one_shard(made):
        raise EditRefused(
            "is one shard of a checkpoint, and the index and the other shards would not agree with it any more",
            path=made.before.where,
            hint="name the folder, or write elsewhere with --output",
        )


def _digests(root: str, paths: Iterable[str]) -> tuple[tuple[str, int, str], ...]:
    files = {
        path: os.path.join(root, path) if os.path.isdir(root) else root
        for path in paths
        if not path.endswith("/")
    }
    return tuple(
        (path, os.stat(file).st_size, _sha256(file)) for path, file in sorted(files.items())
    )


def _sha256(path: str) -> str:
    with open_regular(path) as (descriptor, size):
        return sums_of_file(descriptor, size, path, git=False).sha256


def recover(where: AnyPath) -> str:
    """Finish or undo an interrupted write to the folder `where`.

    Return 'finished', 'undone' or 'nothing'.
    """
    return recovery.recover(as_text(where))
