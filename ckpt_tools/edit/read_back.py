"""Reading the written files back, and comparing them with the plan."""

from __future__ import annotations

import os

from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit.model import Plan, Weights
from ckpt_tools.errors import CkptError, WrittenWrong
from ckpt_tools.storage.files import open_regular, read_at


def verify(plan: Plan, folder: str) -> None:
    """Raise WrittenWrong unless `folder` is the result of `plan`, with the same header bytes."""
    for output in plan.outputs:
        if isinstance(output, Weights):
            _verify_header(output, os.path.join(folder, output.path))
    try:
        found = read(os.path.join(folder, _named(plan)), lenient=True)
    except CkptError as error:
        raise WrittenWrong(
            f"what was written cannot be read: {error.what}", path=error.path, subject=error.subject
        ) from None
    expected = plan.after._replace(where=found.where, root=found.root)
    if found != expected:
        part = next(
            name for name in found._fields if getattr(found, name) != getattr(expected, name)
        )
        raise WrittenWrong(
            f"what was written is not what was planned: its {part.replace('_', ' ')} differ",
            path=folder,
        )


def _verify_header(output: Weights, path: str) -> None:
    try:
        with open_regular(path) as (descriptor, size):
            same = (
                size == output.size
                and read_at(descriptor, len(output.header), 0, path) == output.header
            )
    except CkptError as error:
        raise WrittenWrong(f"what was written cannot be read: {error.what}", path=path) from None
    if not same:
        raise WrittenWrong(
            "what was written is not what was planned: its header or its size differs", path=path
        )


def _named(plan: Plan) -> str:
    """Return what to read in the result's folder: "" for all, or a file if one was named."""
    if os.path.isdir(plan.before.where):
        return ""
    if plan.after.shard_index is not None:
        return plan.after.shard_index.path
    return plan.after.weights[0].path if len(plan.after.weights) == 1 else ""
