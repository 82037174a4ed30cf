"""Audits as JSON documents that name their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.audit.summary import Group, RelationGroup, RuleGroup

if TYPE_CHECKING:
    from ckpt_tools.audit.compare import AuditComparison
    from ckpt_tools.audit.graph import RelationGraph
    from ckpt_tools.audit.summary import AuditSummary, Overview, TableRow
    from ckpt_tools.report.json.document import JsonDict

AUDIT_SCHEMA = "ckpt-tools/audit.schema.json"
DIFF_SCHEMA = "ckpt-tools/audit-diff.schema.json"
GRAPH_SCHEMA = "ckpt-tools/audit-graph.schema.json"


def document(summary: AuditSummary) -> JsonDict:
    """Return the document of `ckpt audit show`."""
    return {
        "$schema": AUDIT_SCHEMA,
        **_overview(summary.overview),
        "selection": {name: list(values) for name, values in summary.selection._asdict().items()},
        "tables": [
            {"by": table.by.value, "total": table.total, "rows": [_row(row) for row in table.rows]}
            for table in summary.tables
        ],
        "could_not_be_looked_at": [
            {"location": row.location, "reason": row.reason} for row in summary.failed
        ],
        "findings_total": summary.found_total,
        "findings": [one._asdict() for one in summary.found],
    }


def diff_document(comparison: AuditComparison) -> JsonDict:
    """Return the document of `ckpt audit diff`."""
    return {
        "$schema": DIFF_SCHEMA,
        "old": comparison.old,
        "new": comparison.new,
        "same": comparison.same,
        "common": comparison.common,
        "added": [one._asdict() for one in comparison.added],
        "gone": [one._asdict() for one in comparison.gone],
        "changed": list(comparison.changed),
        "rejudged": [one._asdict() for one in comparison.rejudged],
        "came": [one._asdict() for one in comparison.came],
        "went": [one._asdict() for one in comparison.went],
    }


def graph_document(graph: RelationGraph) -> JsonDict:
    """Return the document of `ckpt audit graph`."""
    return {
        "$schema": GRAPH_SCHEMA,
        "nodes": [_bytes(node._asdict()) for node in graph.nodes],
        "edges": [_bytes(edge._asdict()) for edge in graph.edges],
    }


def _overview(overview: Overview) -> JsonDict:
    return {
        "path": overview.path,
        "tool": overview.tool,
        "started": overview.started,
        "finished": overview.finished or None,
        "sources": list(overview.sources),
        "runs": overview.runs,
        "checkpoints": {
            "known": overview.known,
            "vanished": overview.vanished,
            "selected": overview.selected,
            "checked": overview.checked,
            "failed": overview.failed,
            "errors": overview.with_errors,
            "warnings": overview.with_warnings,
            "notes": overview.with_notes,
            "clean": overview.clean,
            "values_read": overview.with_values,
        },
        "counts": dict(zip(("error", "warning", "note"), overview.findings, strict=True)),
        "bytes": overview.nbytes,
        "copies": {
            "checkpoints": overview.copies,
            "bytes": overview.copied_bytes,
            "of_bytes": overview.weight_bytes,
        },
        "coverage": [one._asdict() for one in overview.coverage],
    }


def _row(row: TableRow) -> JsonDict:
    if isinstance(row, RuleGroup):
        return row._asdict()
    if isinstance(row, RelationGroup):
        return _bytes({"relation": row.kind, "to": row.name, **row._asdict()}, "kind", "name")
    if isinstance(row, Group):
        names = {"errors": row.with_errors, "warnings": row.with_warnings}
        return _bytes(row._asdict() | names, "with_errors", "with_warnings")
    return _bytes(row._asdict() | {"codes": list(row.codes)})


def _bytes(entry: JsonDict, *without: str) -> JsonDict:
    """Return an entry whose `nbytes` is called `bytes`, and that lacks some members."""
    renamed = {"bytes" if name == "nbytes" else name: value for name, value in entry.items()}
    return {name: value for name, value in renamed.items() if name not in without}
