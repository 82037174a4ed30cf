"""Plans and receipts as JSON documents, each with the name of its schema (`schemas/`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import __version__
from ckpt_tools.edit import recipe
from ckpt_tools.report.json.diff import tensor_entry

if TYPE_CHECKING:
    from ckpt_tools.edit.model import Plan, Receipt, Written
    from ckpt_tools.report.json.document import JsonDict

PLAN_SCHEMA = "ckpt-tools/plan.schema.json"
RECEIPT_SCHEMA = "ckpt-tools/receipt.schema.json"


def document(plan: Plan) -> JsonDict:
    """Return the document of a plan, for review and for `ckpt apply`."""
    return {
        "$schema": PLAN_SCHEMA,
        "where": plan.before.where,
        "checkpoint": _checkpoint(plan),
        "operations": recipe.document(plan.operations)["operations"],
        "steps": [{**step._asdict(), "details": list(step.details)} for step in plan.steps],
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
                {name: value for name, value in file._asdict().items() if value != ""}
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
    """Return the absolute path of the checkpoint: its folder, or the file that was given."""
    _, _, name = plan.before.where.rpartition("/")
    return (
        f"{plan.before.root}/{name}"
        if name.endswith((".safetensors", ".json"))
        else plan.before.root
    )


def receipt_document(plan: Plan, written: Written, receipt: Receipt) -> JsonDict:
    """Return the document of the files that a write read and wrote, with their SHA-256."""
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
        **({"undo": written.undo} if written.undo else {}),
    }
