"""The verbs that read an audit: summarize it, compare two, its graph, its export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.api._paths import as_text, words
from ckpt_tools.api._rules import explain
from ckpt_tools.audit import compare, graph, parquet, queries
from ckpt_tools.audit.model import Status
from ckpt_tools.audit.reader import reading
from ckpt_tools.audit.selection import choose
from ckpt_tools.audit.summary import AuditSummary, By, Selection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.audit.compare import AuditComparison
    from ckpt_tools.audit.graph import RelationGraph

FAILED = 10
"""Checkpoints that could not be looked at which a summary names."""

_EVERYTHING = Selection()


def read_audit(
    path: AnyPath,
    *,
    by: Iterable[By | str] = (By.RULE, By.FAMILY),
    selection: Selection = _EVERYTHING,
    limit: int = 0,
    examples: int = 0,
) -> AuditSummary:
    """Return an overview of an audit, and the first `limit` rows of each table.

    `path` is the file that `audit` wrote, `selection` says which of its checkpoints count, and `by`
    what the rows of each table stand for. A `limit` of 0 is none. Codes of the selection may be
    names of rules; where it has some, their findings are returned too. `examples` is about how many
    findings are returned otherwise, some of each code. Raises PathNotFound, AuditInvalid,
    LockedByOther, Unwritable, and UnknownSelection for a rule, status or severity that does not
    exist.
    """
    name = as_text(path)
    wanted = Selection(*map(words, selection))
    with reading(name) as connection:
        wanted = wanted._replace(codes=tuple(_code(connection, code) for code in wanted.codes))
        chosen = choose(connection, wanted)
        overview = queries.overview(chosen, name)
        tables = tuple(queries.table(chosen, By(one), limit) for one in words(by))
        failed = choose(connection, wanted._replace(statuses=(Status.FAILED,)))
        summary = AuditSummary(overview, wanted, tables)
        if overview.failed:
            summary = summary._replace(failed=tuple(queries.checkpoint_rows(failed, FAILED)))
        if wanted.codes:
            found, total = queries.findings(chosen, limit)
            return summary._replace(found=found, found_total=total)
        if examples:
            return summary._replace(
                found=queries.examples(chosen, examples), found_total=sum(overview.findings)
            )
        return summary


def compare_audits(old: AnyPath, new: AnyPath) -> AuditComparison:
    """Return how the audit `new` differs from `old`. Raises what `read_audit` raises."""
    names = (as_text(old), as_text(new))
    with reading(names[0]) as before, reading(names[1]) as after:
        return compare.compare(before, after, names)


def audit_graph(path: AnyPath, *, kinds: Collection[str] = ()) -> RelationGraph:
    """Return how the checkpoints in the audit at `path` are related.

    `kinds` are the relations to return, with the checkpoints that have them; by default all. Raises
    what `read_audit` raises.
    """
    with reading(as_text(path)) as connection:
        return graph.graph(connection, words(kinds))


def export_audit(path: AnyPath, folder: AnyPath) -> dict[str, int]:
    """Write the tables of the audit at `path` to Parquet files in a new `folder`.

    Return their numbers of rows by name.

    Raises ParquetMissing, OutputExists, NoSpace, Unwritable, and what `read_audit` raises.
    """
    with reading(as_text(path)) as connection:
        return parquet.export(connection, as_text(folder))


def _code(connection: sqlite3.Connection, named: str) -> str:
    """Return the code of a rule, also of one that only the file knows. Raises UnknownSelection."""
    if connection.execute("SELECT 1 FROM findings WHERE code = ?", [named]).fetchone():
        return named
    return explain(named).code
