"""Plans and receipts as JSON, each naming the schema it follows (`schemas/`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import __version__
from ckpt_tools.edit import recipe
from ckpt_tools.report.json.diff import tensor_entry

if TYPE_CHECKING:
    from ckpt_tools.edit.model import Plan, Receipt, Written
    from ckpt_tools.report.json.diff import JsonDict

PLAN_SCHEMA = "ckpt-tools/plan.schema.json"
RECEIPT_SCHEMA = "ckpt-tools/receipt.schema.json"


def document(plan: Plan) -> JsonDict:
    """Return a plan by `schemas/plan.schema.json`: for people to review, and for `ckpt apply`."""
    return {
        "$schema": PLAN_SCHEMA,
        "where": plan.before.where,
        "checkpoint": _checkpoint(plan),
        "operations": recipe.document(plan.operations)["operations"],
        "steps": [
            {
                "text": step.text,
                "safety": step.safety,
                "tensors": step.tensors,
                "nbytes": step.nbytes,
                "details": list(step.details),
            }
            for step in plan.steps
        ],
        "remains": list(plan.remains),
        "budget": {
            "before": plan.before.size,
            "after": plan.after.size,
            "tensors_before": len(plan.before.tensors),
            "tensors_after": len(plan.after.tensors),
        },
        "source": {
            "digest": plan.source_digest,
            "files": [
                {"path": file.path, "size": file.size, "mtime_ns": file.mtime_ns}
                for file in plan.sources
            ],
        },
        "result": {
            "digest": plan.result_digest,
            "files": [
                {"path": output.path, "size": output.size, "how": type(output).__name__.lower()}
                for output in plan.outputs
            ],
            "removed": list(plan.removed),
            "tensors": [tensor_entry(tensor) for tensor in plan.after.tensors],
        },
    }


def _checkpoint(plan: Plan) -> str:
    """Return what to name to read the same checkpoint again.

    Its folder, or the file that was named.
    """
    _, _, name = plan.before.where.rpartition("/")
    return (
        f"{plan.before.root}/{name}"
        if name.endswith((".safetensors", ".json"))
        else plan.before.root
    )


def receipt_document(plan: Plan, written: Written, receipt: Receipt) -> JsonDict:
    """Return what a write read and wrote, with the SHA-256 of every file, by `schemas/receipt.schema.json`."""
    sides = (("before", plan.before.root, receipt.before), ("after", written.path, receipt.after))
    return {
        "$schema": RECEIPT_SCHEMA,
        "version": __version__,
        "operations": recipe.document(plan.operations)["operations"],
        "plan": {"source": plan.source_digest, "result": plan.result_digest},
        **{
            side: {
                "root": root,
                "files": [
                    {"path": path, "size": nbytes, "sha256": digest}
                    for path, nbytes, digest in files
                ],
            }
            for side, root, files in sides
        },
    }
