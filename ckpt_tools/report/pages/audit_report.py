"""An audit as one web page: overview, every checkpoint, descent, each rule with its findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.audit.graph import forest
from ckpt_tools.audit.summary import By, Judged, Row, RuleGroup, judged
from ckpt_tools.report.blocks import Column, Entry, Heading, Item, Records, Status, Tree
from ckpt_tools.report.pages.audit import (
    conclusion,
    failed_blocks,
    overview_blocks,
    relation_name,
    table_blocks,
    title_of,
    topics,
)
from ckpt_tools.text import count, escaped, percent, placed, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ckpt_tools.audit.graph import Branch, RelationGraph
    from ckpt_tools.audit.summary import AuditSummary, Found
    from ckpt_tools.report.blocks import Block, Page
    from ckpt_tools.rules.rule import Rule

TABLES = (By.RULE, By.FAMILY, By.OWNER, By.AGE, By.SIZE, By.RELATION, By.CHECKPOINT)
"""The tables that the page needs, all of their rows."""
EXAMPLES = 1_000
"""Findings on the page: a browser takes seconds for ten thousand."""
_COLUMNS = (
    Column("checkpoint", "text"),
    Column("verdict", "choice"),
    Column("family", "choice"),
    Column("owner", "choice"),
    Column("codes", "tags"),
    Column("errors", "count"),
    Column("warnings", "count"),
    Column("size", "size"),
    Column("modified", "text"),
)
_IN_TREE, _BELOW, _DEEP = 500, 25, 30
"""Items of a tree in all, below one item, and levels."""
_MARKS = {Judged.ERRORS: Status.BAD, Judged.FAILED: Status.BAD, Judged.WARNINGS: Status.CHANGE}


def audit_report(summary: AuditSummary, graph: RelationGraph, rules: Iterable[Rule]) -> Page:
    """Return the page of an audit whose TABLES and examples of findings were read."""
    known = {rule.code: rule for rule in rules}
    groups = [row for row in summary.table(By.RULE).rows if isinstance(row, RuleGroup)]
    return (
        title_of(summary.overview),
        *overview_blocks(summary.overview),
        *_tables(summary, known, By.RULE),
        *_records(summary),
        *_tables(summary, known, By.FAMILY, By.OWNER, By.AGE, By.SIZE),
        *_descent(_below(graph, summary)),
        *_tables(summary, known, By.RELATION),
        *failed_blocks(summary),
        *((Heading(text="Findings"),) if groups else ()),
        *topics(summary.found, groups, known),
        *conclusion(summary.overview),
    )


def _tables(summary: AuditSummary, known: Mapping[str, Rule], *wanted: By) -> Iterator[Block]:
    for table in map(summary.table, wanted):
        if table.rows:
            yield from table_blocks(table, known)


def _records(summary: AuditSummary) -> Iterator[Block]:
    rows = [row for row in summary.table(By.CHECKPOINT).rows if isinstance(row, Row)]
    found: dict[str, list[Found]] = {}
    for one in summary.found:
        found.setdefault(one.location, []).append(one)
    yield Heading(text="All checkpoints")
    yield Records(
        "checkpoints", _COLUMNS, tuple(_entry(row, found.get(row.location, ())) for row in rows)
    )


def _entry(row: Row, found: Sequence[Found]) -> Entry:
    cells = (
        printable(row.location),
        judged(row.status, row.errors, row.warnings, row.notes).value,
        printable(row.family),
        printable(row.owner),
        tuple(map(printable, row.codes)),
        row.errors,
        row.warnings,
        row.nbytes,
        printable(row.modified[:10]),
    )
    return Entry(cells, tuple(_details(row, found)))


def _details(row: Row, found: Sequence[Found]) -> Iterator[str]:
    if row.reason:
        yield escaped(row.reason)
    if row.base_model:
        yield f"base: {', '.join(map(printable, row.base_model.splitlines()))}"
    for one in found:
        text = placed(one.path, one.subject, one.what)
        yield f"{printable(one.code)} {printable(one.severity)}: {text}"
    more = row.errors + row.warnings + row.notes - len(found)
    if found and more > 0:
        yield f"and {more:,} more: `ckpt verify` lists them"


def _below(graph: RelationGraph, summary: AuditSummary) -> RelationGraph:
    """Return the graph with the relations of the selected checkpoints only."""
    rows = summary.table(By.CHECKPOINT).rows
    selected = {row.location for row in rows if isinstance(row, Row)}
    numbers = {node.number for node in graph.nodes if node.location in selected}
    return graph._replace(edges=tuple(edge for edge in graph.edges if edge.of in numbers))


def _descent(graph: RelationGraph) -> Iterator[Block]:
    trees = forest(graph)
    if not trees:
        return
    yield Heading(text="Descent")
    left, items = _IN_TREE, list[Item]()
    for tree in trees:
        if left <= 0:
            break
        item, left = _item(tree, left, _DEEP)
        items.append(item)
    note = (
        f"{sum(tree.size for tree in trees):,} checkpoints and bases in"
        f" {count(len(trees), 'tree')}, each below the"
        " one that it descends from by its strongest relation; ckpt audit graph prints all of them."
    )
    yield Tree(note, tuple(items), len(trees) - len(items))


def _item(branch: Branch, left: int, levels: int) -> tuple[Item, int]:
    """Return a tree of at most `left` items and so many levels, and how many items are left."""
    left -= 1
    items: list[Item] = []
    for below in branch.branches[: _BELOW if levels else 0]:
        if left <= 0:
            break
        item, left = _item(below, left, levels - 1)
        items.append(item)
    node = branch.node
    known = node.judged in list(Judged)
    mark = _MARKS.get(Judged(node.judged), Status.GOOD) if known else Status.NONE
    item = Item(
        printable(node.location),
        _note(branch),
        mark,
        tuple(items),
        len(branch.branches) - len(items),
    )
    return item, left


def _note(branch: Branch) -> str:
    edge = branch.edge
    if edge is None:
        return branch.node.judged if branch.node.number < 0 else ""
    share = percent(edge.share) if edge.share else ""
    parts = (relation_name(edge.kind), share, size(edge.nbytes) if edge.nbytes else "", edge.detail)
    return ", ".join(printable(part) for part in parts if part)
