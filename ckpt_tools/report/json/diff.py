"""Diffs and summaries as JSON documents that name their schema. Keys never change."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import differences
from ckpt_tools.diff.groups import whole_prefixes
from ckpt_tools.diff.model import Summary
from ckpt_tools.diff.steps import step_changes
from ckpt_tools.report.json.document import transfer
from ckpt_tools.report.json.values import changes_entry, folded_entry, measured_entry
from ckpt_tools.report.pages.diff import rename_command
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.diff.change_kind import Change
    from ckpt_tools.diff.model import (
        Comparison,
        Diff,
        DifferenceGroup,
        FileChange,
        Group,
        Processor,
        Rename,
        Setting,
        ValueChange,
        WatchedLine,
    )
    from ckpt_tools.diff.steps import StepChange
    from ckpt_tools.report.json.document import JsonDict

DIFF_SCHEMA = "ckpt-tools/diff.schema.json"
SHOW_SCHEMA = "ckpt-tools/show.schema.json"


def document(record: Comparison | Summary) -> JsonDict:
    """Return the document of a comparison or a summary."""
    return show_document(record) if isinstance(record, Summary) else diff_document(record)


def diff_document(comparison: Comparison) -> JsonDict:
    """Return a comparison by `schemas/diff.schema.json`."""
    diff = comparison.diff
    return {
        "$schema": DIFF_SCHEMA,
        "same": comparison.same,
        **transfer(comparison.transferred),
        "compared": {
            "aspects": list(comparison.aspects),
            "select": list(comparison.select),
            "ignore": list(comparison.ignore),
        },
        "a": _side(comparison.a),
        "b": _side(comparison.b),
        "stories": [_story(story) for story in comparison.stories],
        "watched": [_watched(line) for line in comparison.watched],
        "tensors": _tensors(diff),
        **({"change": _change(comparison.change)} if comparison.change else {}),
        **({"tensor_values": changes_entry(comparison.changes)} if comparison.changes else {}),
        "values": [_value_change(change) for change in diff.values],
        "metadata": [_value_change(change) for change in diff.metadata],
        **({"rename_command": rename_command(comparison)} if comparison.renaming else {}),
        "files": [_file_change(change) for change in diff.files],
        **({"files_not_compared": list(diff.unread)} if diff.unread else {}),
    }


def show_document(summary: Summary) -> JsonDict:
    """Return a summary by `schemas/show.schema.json`."""
    checkpoint = summary.checkpoint
    return {
        "$schema": SHOW_SCHEMA,
        **_side(summary),
        **transfer(summary.transferred),
        "trainable": summary.trainable,
        "components": [_group(group) for group in summary.components],
        **({"sums": [_group(group) for group in summary.sums]} if summary.sums else {}),
        "dtypes": [_group(group) for group in summary.dtypes],
        "settings": [_setting(setting) for setting in summary.settings],
        "processors": [_processor(processor) for processor in summary.processors],
        "metadata": {
            key: value for file in checkpoint.weights for key, value in file.metadata or ()
        },
        "aliases": {alias: kept for file in checkpoint.weights for alias, kept in file.aliases},
        "tensors": [
            tensor_entry(tensor) | extra
            for tensor, extra in zip(checkpoint.tensors, _measured(summary), strict=True)
        ],
        **_folded(summary),
        "other_files": [{"path": file.path, "size": file.size} for file in checkpoint.others],
    }


def _measured(summary: Summary) -> list[JsonDict]:
    """Return what the entry of each tensor holds of its values."""
    if summary.values is None:
        return [{}] * len(summary.checkpoint.tensors)
    return [{"values": measured_entry(measured)} for measured in summary.values.tensors]


def _folded(summary: Summary) -> JsonDict:
    if summary.values is None:
        return {}
    layers, components = summary.values.layers, summary.values.components
    return {
        "values": {
            "components": [folded_entry(row) for row in components],
            "layers": [folded_entry(row) for row in layers],
        }
    }


def _side(summary: Summary) -> JsonDict:
    return {
        "where": summary.checkpoint.where,
        "root": summary.checkpoint.root,
        "family": summary.family,
        "profile": summary.profile,
        "remarks": list(summary.remarks),
        "tensor_count": summary.tensors,
        "parameters": summary.parameters,
        "size": summary.checkpoint.size,
        "weight_files": [file.path for file in summary.checkpoint.weights],
    }


def _tensors(diff: Diff) -> JsonDict:
    return {
        "only_a": [tensor_entry(tensor) for tensor in diff.only_a],
        "only_b": [tensor_entry(tensor) for tensor in diff.only_b],
        "renamed": [
            {
                "kind": rename.kind,
                "old": rename.old,
                "new": rename.new,
                **_prefixes(rename),
                "names": [[a.name, b.name] for a, b in rename.pairs],
            }
            for rename in diff.renamed
        ],
        "dtype": [
            {"name_a": a.name, "name_b": b.name, "a": a.dtype.label, "b": b.dtype.label}
            for a, b in diff.retyped
        ],
        "shape": [
            {"name_a": a.name, "name_b": b.name, "a": list(a.shape), "b": list(b.shape)}
            for a, b in diff.reshaped
        ],
    }


def _change(change: Change) -> JsonDict:
    entry: JsonDict = {"kind": change.kind, "text": change.text}
    if not change.compared:
        return entry
    return entry | {
        "compared": change.compared,
        "changed": change.changed,
        "broken": change.broken,
        "share": change.share,
        "rel_l2": change.rel_l2 if isfinite(change.rel_l2) else None,
        "cosine": change.cosine,
        "ranks": [rank._asdict() for rank in change.ranks],
        "parts": [part._asdict() for part in change.parts],
    }


def _prefixes(rename: Rename) -> JsonDict:
    prefixes = whole_prefixes(rename)
    return {"prefix_a": prefixes[0], "prefix_b": prefixes[1]} if prefixes else {}


def tensor_entry(tensor: Tensor) -> JsonDict:
    """Return a tensor's entry as every schema has it."""
    return {
        "name": tensor.name,
        "dtype": tensor.dtype.label,
        "shape": list(tensor.shape),
        "nbytes": tensor.nbytes,
        "shard": tensor.shard,
    }


def _story(story: DifferenceGroup) -> JsonDict:
    return {
        "kind": story.kind,
        "text": story.text,
        "remark": story.remark,
        "harmful": story.harmful,
        "tensors": story.tensors,
        "nbytes": story.nbytes,
        "names": list(story.names),
    }


def _watched(line: WatchedLine) -> JsonDict:
    sides = {
        side: {**_optional(value), "fine": fine, "remark": remark}
        for side, value, fine, remark in (
            ("a", line.a, line.fine_a, line.remark_a),
            ("b", line.b, line.fine_b, line.remark_b),
        )
    }
    return {"key": line.key, "verdict": line.verdict, **sides}


def _value_change(change: ValueChange) -> JsonDict:
    return {
        "path": change.path,
        "pointer": change.pointer,
        "a": _optional(change.a),
        "b": _optional(change.b),
        "same_because": change.same_because,
        **_steps(change),
    }


def _steps(change: ValueChange) -> JsonDict:
    found = step_changes(change, differences)
    return {} if found is None else {"steps": [_step(one) for one in found]}


def _step(found: StepChange) -> JsonDict:
    entry: JsonDict = {"step": found.step, "index_a": found.at_a, "index_b": found.at_b}
    if not found.pointer:
        return entry
    return entry | {"pointer": found.pointer, "a": _optional(found.a), "b": _optional(found.b)}


def _optional(value: object) -> JsonDict:
    """Return a value so that absent and null stay apart: no "value" where there is none."""
    return {} if value is ABSENT else {"value": _strict(value)}


def _strict(value: object) -> object:
    """Return `value` without NaN and infinities, which JSON cannot say.

    They become the words NaN, Infinity, -Infinity.
    """
    if isinstance(value, float) and not isfinite(value):
        return json.dumps(value)
    return [_strict(item) for item in value] if isinstance(value, list) else value


def _file_change(change: FileChange) -> JsonDict:
    return {"path": change.path, "size_a": change.a, "size_b": change.b}


def _group(group: Group) -> JsonDict:
    return {
        "key": group.key,
        "title": group.title,
        "tensors": group.tensors,
        "parameters": group.parameters,
        "nbytes": group.nbytes,
        "dtypes": dict(group.dtypes),
        "trains": group.trains,
    }


def _setting(setting: Setting) -> JsonDict:
    return {
        "key": setting.key,
        **_optional(setting.value),
        "fine": setting.fine,
        "remark": setting.remark,
    }


def _processor(processor: Processor) -> JsonDict:
    return {
        "path": processor.path,
        "steps": list(processor.steps),
        "modes": dict(processor.modes),
        "states": [{"path": path, "present": present} for path, present in processor.states],
    }
