"""Checks against a manifest or against the Hub as JSON, each naming its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.manifest.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.manifest.model import Difference, RemoteCheck
    from ckpt_tools.report.json.document import JsonDict

CHECK_SCHEMA = "ckpt-tools/manifest-check.schema.json"
REMOTE_SCHEMA = "ckpt-tools/remote-check.schema.json"


def document(record: Check | RemoteCheck) -> JsonDict:
    """Return a check as `manifest-check.schema.json` or `remote-check.schema.json` has it."""
    return check_document(record) if isinstance(record, Check) else remote_document(record)


def check_document(check: Check) -> JsonDict:
    """Return the differences from a manifest, every tensor by itself."""
    there, here = check.content
    return {
        "$schema": CHECK_SCHEMA,
        "where": check.where,
        "root": check.root,
        "manifest": check.against,
        "same": check.same,
        "content": {"manifest": there, "here": here},
        "tensor_count": check.tensors,
        "file_count": check.files,
        "differences": _differences(check.differences),
        "remarks": _differences(check.remarks),
        "unchecked": list(check.unchecked),
    }


def remote_document(check: RemoteCheck) -> JsonDict:
    """Return the differences from a repository on the Hub."""
    return {
        "$schema": REMOTE_SCHEMA,
        "where": check.where,
        "root": check.root,
        "repository": check.repository,
        "commit": check.commit,
        "same": check.same,
        "same_files": list(check.alike),
        "different": _differences(check.different),
        "only_here": list(check.only_here),
        "only_there": list(check.only_there),
    }


def _differences(differences: Iterable[Difference]) -> list[JsonDict]:
    return [dict(difference._asdict()) for difference in differences]
