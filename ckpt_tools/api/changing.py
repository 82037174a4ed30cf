"""The verbs that change: plan, sanitize, write, recover. Planning reads; only `write` and `recover` write."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from ckpt_tools import __version__
from ckpt_tools.errors import OutputExists, PlanStale, RecipeInvalid
from ckpt_tools.families.registry import family_of
from ckpt_tools.format.json_text import decode_utf8, parse_object
from ckpt_tools.records.operation import SetMetadata
from ckpt_tools.records.plan import Receipt, Written
from ckpt_tools.report import as_json, plan_json
from ckpt_tools.store import apply, durable
from ckpt_tools.store import recover as recovery
from ckpt_tools.store.files import open_regular, read_at, read_whole
from ckpt_tools.store.lookup import LocalLookup
from ckpt_tools.surgery import plan as planning
from ckpt_tools.surgery import recipe
from ckpt_tools.surgery import sanitize as sanitizing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.records.operation import Operation
    from ckpt_tools.records.plan import Plan

PLAN_LIMIT = 256 << 20
RECORD_KEY = "ckpt_tools"
_CHUNK = 1 << 22


def plan(where: str, operations: Iterable[Operation], *, record: bool = False) -> Plan:
    """Return what `operations` make of the checkpoint at `where`; with `record` they are written into its metadata. Nothing is written."""
    lookup = LocalLookup()
    return planning.plan(lookup.read(where), _recorded(list(operations), record=record), lookup)


def sanitize(where: str, *, target: str = sanitizing.LEROBOT, reference: str | None = None, allow_lossy: bool = False, record: bool = False) -> Plan:
    """Return the plan that makes the checkpoint at `where` clean, and in its `remains` what no operation repairs. Nothing is written.

    `target` is lerobot, an older release of it (lerobot==0.4, lerobot==0.5) or fork. `reference` names a normal checkpoint whose dtypes are restored.
    """
    lookup = LocalLookup()
    checkpoint = lookup.read(where)
    normal = lookup.read(reference) if reference else None
    family = family_of(checkpoint)
    if normal and family_of(normal) is not family:
        msg = f"the reference is {family_of(normal).name}, and the checkpoint is {family.name}"
        raise RecipeInvalid(msg, path=normal.where, hint="name a normal checkpoint of the same kind of model")
    operations = sanitizing.operations(checkpoint, family, target=target, reference=normal, lossy=allow_lossy)
    made = planning.plan(checkpoint, _recorded(operations, record=record), lookup)
    return made._replace(remains=sanitizing.remaining(made.after, family, target=target, reference=normal))


def _recorded(operations: list[Operation], *, record: bool) -> list[Operation]:
    if not record or not operations:
        return operations
    said = {"version": __version__, **recipe.document(operations)}
    return [*operations, SetMetadata(RECORD_KEY, json.dumps(said, separators=(",", ":"), ensure_ascii=False))]


def load_plan(path: str) -> Plan:
    """Return the plan that the file at `path` holds, made again from the checkpoint it names. Raises PlanStale when that is not what it was."""
    document = parse_object(decode_utf8(read_whole(path, PLAN_LIMIT)))
    try:
        root, promised, result = str(document["root"]), _digest(document["source"]), _digest(document["result"])
        operations = recipe.operations({"operations": document["operations"]})
    except (KeyError, TypeError) as error:
        msg = f"is no plan: {error} is missing"
        raise RecipeInvalid(msg, path=path, hint="make one with `ckpt plan WHERE RECIPE --output FILE`") from None
    made = plan(root, operations)
    if made.source_digest != promised:
        msg = "the checkpoint has changed since the plan was made"
        raise PlanStale(msg, path=root)
    if made.result_digest != result:
        msg = "another version of this tool, or of a checkpoint it takes tensors from, would make something else of it"
        raise PlanStale(msg, path=root)
    return made


def _digest(part: object) -> str:
    return str(part["digest"]) if isinstance(part, dict) else str(part[0])  # type: ignore[index]  # anything else raises TypeError, as it should


def save_plan(made: Plan, path: str) -> None:
    """Write a plan to the new file `path`, for `load_plan`. Raises OutputExists where there is one."""
    _write_new(path, plan_json.document(made))


def _refuse_taken(path: str) -> None:
    if os.path.lexists(path):
        msg = "is there already"
        raise OutputExists(msg, path=path, hint="name another file, or move the old one away")


def _write_new(path: str, document: as_json.JsonDict) -> None:
    _refuse_taken(path)
    durable.write_file(path, as_json.dump(document).encode())


def write(made: Plan, output: str | None = None, *, backup: bool = True, receipt: str | None = None, progress: Callable[[int], None] | None = None) -> Written:
    """Do what a plan says: into the new folder (or file) `output`, or in place where that is None, and then with a backup beside it.

    `receipt` is a new file for the SHA-256 of every file before and after, which costs one more reading of all. `progress` is called with bytes written.
    Raises a CkptError, and then nothing has changed.
    """
    if receipt:
        _refuse_taken(receipt)
    before = _digests(made.before.root, made.before.paths) if receipt else ()
    detached: tuple[str, ...] = ()
    kept = None
    if output is None:
        detached = apply.hard_linked(made)
        kept = apply.write_in_place(made, backup=backup, progress=progress)
    else:
        apply.write_new(made, output, progress=progress)
    written = Written(path=made.before.root if output is None else output, backup=kept, detached=detached)
    if receipt:
        _write_new(receipt, plan_json.receipt_document(made, written, Receipt(before, _digests(written.path, made.after.paths))))
    return written


def _digests(root: str, paths: Iterable[str]) -> tuple[tuple[str, int, str], ...]:
    files = {path: os.path.join(root, path) if os.path.isdir(root) else root for path in paths if not path.endswith("/")}
    return tuple((path, os.stat(file).st_size, _sha256(file)) for path, file in sorted(files.items()))


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as (descriptor, size):
        for start in range(0, size, _CHUNK):
            digest.update(read_at(descriptor, min(_CHUNK, size - start), start, path))
    return digest.hexdigest()


def recover(where: str) -> str:
    """Finish or undo an interrupted write to the folder `where`; return 'finished', 'undone' or 'nothing'."""
    return recovery.recover(where)
