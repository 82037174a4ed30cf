"""The verbs that change checkpoints: plan, sanitize, write, recover, restore.

Planning reads; only `write`, `save_plan`, `recover` and `restore` write.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from ckpt_tools import __version__, shell
from ckpt_tools.api._paths import AnyPath, as_text
from ckpt_tools.checkpoint.names import literal
from ckpt_tools.checkpoint.read import read
from ckpt_tools.checkpoint.shard_index import shard_family
from ckpt_tools.diff.rename_patterns import in_free_order, patterns
from ckpt_tools.edit import apply, journal, plan_file, recipe
from ckpt_tools.edit import plan as planning
from ckpt_tools.edit import restore as restoring
from ckpt_tools.edit import sanitize as sanitizing
from ckpt_tools.edit.lookup import Lookup
from ckpt_tools.edit.model import Plan, Receipt, Written
from ckpt_tools.edit.operations import Operation, RenameTensors, SetMetadata, with_local_source
from ckpt_tools.errors import EditRefused, RecipeInvalid
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.releases import target_of
from ckpt_tools.families.spellings import conversion
from ckpt_tools.report.json import plan as plan_json
from ckpt_tools.report.json.document import dump
from ckpt_tools.storage.digests import sha256_at
from ckpt_tools.storage.durable import ensure_writable
from ckpt_tools.storage.session import hub_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.restore import Restored
    from ckpt_tools.families.family import Family
    from ckpt_tools.families.releases import Target

RECORD_KEY = "ckpt_tools"


def plan(
    where: AnyPath,
    operations: Iterable[Operation | Mapping[str, object]],
    *,
    record: bool = False,
    digest: bool = False,
) -> Plan:
    """Plan `operations` on the checkpoint at `where`; nothing is written.

    They are records of `ckpt_tools.api.types`, such as `Drop(("teacher.**",))`, or objects as in a
    recipe, such as `{"drop": ["teacher.**"]}`. `record` adds them to its metadata. `digest` reads
    all files and binds the plan to their SHA-256 instead of their times. Raises RecipeInvalid for
    what is no operation.
    """
    lookup = Lookup()
    # Absolute sources: a plan may be applied from another folder.
    listed = [with_local_source(one, os.path.abspath) for one in recipe.read_all(operations)]
    made = planning.plan(lookup.read(as_text(where)), _recorded(listed, record=record), lookup)
    if not digest:
        return made
    return planning.bound_to(made, {file.path: sha256_at(file.path) for file in made.sources})


def convert_names(where: AnyPath, target: str, *, record: bool = False) -> Plan:
    """Plan new names for the tensors at `where`: those that the release `target` reads.

    `target` is such as transformers==5.24 or transformers<4.52. Nothing is written. `record` adds
    the operations to the checkpoint's metadata. The plan is empty where the target reads the names
    as they are. Raises RecipeInvalid for a target that is none, and EditRefused where names cannot
    be converted, with the reason.
    """
    lookup = Lookup()
    checkpoint = lookup.read(as_text(where))
    operations = _conversion(checkpoint, _release(target), as_text(where))
    return planning.plan(checkpoint, _recorded(operations, record=record), lookup)


def _release(target: str) -> Target:
    found = target_of(target)
    if found is None:
        raise RecipeInvalid(
            f"{target!r} names no release",
            hint="write a library, a comparison and a version: transformers==5.24, lerobot==0.6,"
            " transformers<4.52",
        )
    return found


def _conversion(checkpoint: Checkpoint, target: Target, where: str) -> list[Operation]:
    """Return the operations that give tensors the names that a release reads."""
    wanted = conversion(checkpoint, target)
    if isinstance(wanted, Unknown):
        raise EditRefused(
            f"the names cannot be converted for {target}: {wanted.reason}",
            path=where,
            hint="`ckpt show WHERE --readable-by` says which releases read them",
        )
    names = [tensor.name for tensor in checkpoint.tensors]
    pairs = patterns(names, wanted) or [
        (literal(old), literal(new)) for old, new in in_free_order(names, wanted)
    ]
    return [RenameTensors(old, new) for old, new in pairs] if wanted else []


@hub_session()
def sanitize(
    where: AnyPath,
    *,
    target: str = sanitizing.LEROBOT,
    reference: AnyPath | None = None,
    allow_lossy: bool = False,
    record: bool = False,
) -> Plan:
    """Plan the conversion of the checkpoint at `where` to a standard one; nothing is written.

    `target` is lerobot, an older release of it (lerobot==0.4, lerobot==0.5), fork, or a release
    whose names the tensors get (see `convert_names`). The dtypes and the metadata of the reference
    checkpoint `reference`, which may be on the Hub, are restored, the dtypes if the casts are
    lossless or with `allow_lossy`. `record` adds the operations to the metadata. `remains` of the
    plan describes problems that no operation repairs; WHERE in a command stands for the result.
    """
    lookup = Lookup()
    checkpoint = lookup.read(as_text(where))
    normal = read(as_text(reference)) if reference else None
    family = family_of(checkpoint)
    if normal and family_of(normal) is not family:
        raise RecipeInvalid(
            f"the reference is a {family_of(normal).name} model,"
            f" but the checkpoint is a {family.name} model",
            path=normal.where,
            hint="give a reference checkpoint of the same model family",
        )
    release = None if target in sanitizing.targets(family) else target_of(target)
    target = sanitizing.LEROBOT if release else target
    operations = sanitizing.operations(
        checkpoint, family, target=target, reference=normal, lossy=allow_lossy
    )
    if release and not _is_standard(release, family):
        plain = planning.plan(checkpoint, operations, lookup).after
        operations += _conversion(plain, release, checkpoint.where)
    made = planning.plan(checkpoint, _recorded(operations, record=record), lookup)
    return made._replace(
        remains=sanitizing.remaining(made.after, family, target=target, reference=normal)
    )


def _is_standard(release: Target, family: Family) -> bool:
    """Whether a release is the one that a clean checkpoint of the family is for."""
    return family.cleaning is not None and str(release) in sanitizing.STANDARD


def _recorded(operations: list[Operation], *, record: bool) -> list[Operation]:
    if not record or not operations:
        return operations
    recorded = {"version": __version__, **recipe.document(operations)}
    text = json.dumps(recorded, separators=(",", ":"), ensure_ascii=False)
    return [*operations, SetMetadata(RECORD_KEY, text)]


def load_plan(path: AnyPath) -> Plan:
    """Load the plan file at `path`, and plan its operations again.

    Raises PlanStale if a file that the plan reads has changed, and RecipeInvalid for a file that is
    not a plan.
    """
    return plan_file.load(as_text(path))


def save_plan(made: Plan, path: AnyPath) -> None:
    """Write the plan `made` to the new file `path`, for `load_plan`. Raises OutputExists."""
    plan_file.write_new(as_text(path), dump(plan_json.document(made)))


def write(  # noqa: PLR0913 - options by keyword
    made: Plan,
    output: AnyPath | None = None,
    *,
    in_place: bool = False,
    backup: bool = True,
    receipt: AnyPath | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Apply the plan `made`: write the new folder (or file) `output`, or change it `in_place`.

    Exactly one of the two is required. In place, the files that change are kept in a `backup`
    beside the checkpoint, which `restore` puts back.

    `receipt` is a new file for the SHA-256 of every file before and after; all files are read once
    more for it. `progress` is called with the bytes written since the last call. Raises a
    CkptError; nothing has changed then.
    """
    output, receipt = as_text(output), as_text(receipt)
    if in_place or output is None:
        _refuse_in_place(made, output, in_place=in_place)
    if receipt:
        # Before anything changes.
        plan_file.refuse_existing(receipt)
        ensure_writable(receipt)
    before = _digests(made.before.root, made.before.paths) if receipt else ()
    if output is None:
        detached = apply.hard_linked(made)
        kept = apply.write_in_place(made, backup=backup, progress=progress)
        undo = f"ckpt restore {shell.quote(made.before.where)}" if kept else ""
        written = Written(made.before.root, kept, detached, undo)
    else:
        apply.write_new(made, output, progress=progress)
        written = Written(output)
    if receipt:
        digests = Receipt(before, _digests(written.path, made.after.paths))
        plan_file.write_new(receipt, dump(plan_json.receipt_document(made, written, digests)))
    return written


def _refuse_in_place(made: Plan, output: str | None, *, in_place: bool) -> None:
    """Raise EditRefused unless writing in place is possible and the only destination."""
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
    before = made.before
    is_file = not os.path.isdir(before.where) and before.shard_index is None
    if is_file and shard_family(before.weights[0].path) is not None:
        raise EditRefused(
            "is one shard of a checkpoint; its index and other shards would no longer match",
            path=before.where,
            hint="give the folder instead, or write elsewhere with --output",
        )


def _digests(root: str, paths: Iterable[str]) -> tuple[tuple[str, int, str], ...]:
    files = {
        path: os.path.join(root, path) if os.path.isdir(root) else root
        for path in paths
        if not path.endswith("/")
    }
    return tuple(
        (path, os.stat(file).st_size, sha256_at(file)) for path, file in sorted(files.items())
    )


def recover(where: AnyPath) -> str:
    """Complete or roll back an interrupted write to the folder `where`.

    Return 'finished', 'undone', or 'nothing' if none was interrupted.
    """
    return journal.recover(as_text(where))


def restore(where: AnyPath, *, backup: int | None = None) -> Restored:
    """Undo the latest change in place of the checkpoint at `where`: put its backup back.

    `backup` is the number of another backup: 1 for `<root>.backup`, 2 for `<root>.backup-2`. Files
    that the change added are removed. Raises EditRefused without a backup, and if a file that
    would be lost has changed since; nothing has changed then.
    """
    return restoring.restore(as_text(where), backup)


def undo_command(where: AnyPath) -> str:
    """Return the command that undoes the latest change in place, empty without a backup."""
    found = restoring.latest(as_text(where))
    return f"ckpt restore {shell.quote(as_text(where))}" if found else ""
