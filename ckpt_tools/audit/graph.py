"""The checkpoints of an audit that are related, as a graph, and as the trees that descent makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.model import RelationKind
from ckpt_tools.audit.summary import judged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

_DESCENT = (
    RelationKind.ADAPTER_OF,
    RelationKind.FROZEN_PART,
    RelationKind.DECLARED_BASE,
    RelationKind.SAME_PAYLOAD,
    RelationKind.SHARES_TENSORS,
)
"""The kinds that say something of descent: a checkpoint with several hangs below the first."""
_OUTSIDE = "not in this audit"


class Node(NamedTuple):
    """A checkpoint with its number in the file; a base that the file lacks has a negative one.

    `judged` is what the audit says of it, "not in this audit" for such a base.
    """

    number: int
    location: str
    family: str
    owner: str
    nbytes: int
    judged: str


class Edge(NamedTuple):
    """A relation between two nodes by their numbers, as in `model.Relation`."""

    of: int
    to: int
    kind: str
    share: float
    nbytes: int
    detail: str


class RelationGraph(NamedTuple):
    """Every checkpoint that is related to another, by location, and how."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


class Branch(NamedTuple):
    """A node in a tree of descent, the relation to its parent, and those that descend from it.

    `size` is the number of its descendants, itself included.
    """

    node: Node
    edge: Edge | None
    branches: tuple[Branch, ...]
    size: int


def graph(connection: sqlite3.Connection, kinds: Collection[str] = ()) -> RelationGraph:
    """Return the graph of the relations of these kinds, of all without any."""
    outside: dict[str, int] = {}
    edges: list[Edge] = []
    rows = connection.execute(
        'SELECT of, "to", name, kind, share, bytes, detail FROM relations ORDER BY of, kind, "to"'
    )
    for of, to, name, kind, *rest in rows:
        if not kinds or kind in kinds:
            target = outside.setdefault(name, -1 - len(outside)) if to is None else to
            edges.append(Edge(of, target, kind, *rest))
    wanted = {number for edge in edges for number in (edge.of, edge.to)}
    nodes = [Node(number, name, "", "", 0, _OUTSIDE) for name, number in outside.items()]
    rows = connection.execute(
        "SELECT id, location, family, owner, bytes, status, errors, warnings, notes"
        " FROM checkpoints ORDER BY location"
    )
    for number, location, family, owner, nbytes, *verdict in rows:
        if number in wanted:
            nodes.append(Node(number, location, family, owner, nbytes, judged(*verdict)))
    return RelationGraph(tuple(nodes), tuple(edges))


def forest(graph: RelationGraph) -> tuple[Branch, ...]:
    """Return the trees of descent, the largest first.

    Each node hangs below one other: the one that says most of its descent. A circle, which files
    that declare each other as base make, is opened. What has the same structure as another need not
    descend from it, and a node without any descent is in no tree.
    """
    parents = _parents(graph)
    children: dict[int, list[Edge]] = {}
    for edge in parents.values():
        children.setdefault(edge.to, []).append(edge)
    nodes = {node.number: node for node in graph.nodes}
    done: dict[int, Branch] = {}
    for number in _from_the_leaves(nodes, children, parents):
        branches = sorted(
            (done[edge.of]._replace(edge=edge) for edge in children.get(number, ())),
            key=lambda branch: (-branch.size, branch.node.location),
        )
        size = 1 + sum(branch.size for branch in branches)
        done[number] = Branch(nodes[number], None, tuple(branches), size)
    roots = (branch for number, branch in done.items() if number not in parents and branch.branches)
    return tuple(sorted(roots, key=lambda branch: (-branch.size, branch.node.location)))


def _parents(graph: RelationGraph) -> dict[int, Edge]:
    """Return the relation by which each node hangs below another, without circles."""
    order = {str(kind): place for place, kind in enumerate(_DESCENT)}
    best: dict[int, Edge] = {}
    for edge in graph.edges:
        if edge.kind not in order or edge.of == edge.to:
            continue
        other = best.get(edge.of)
        if other is None or _rank(edge, order) < _rank(other, order):
            best[edge.of] = edge
    settled: set[int] = set()
    for start in list(best):
        seen: set[int] = set()
        number = start
        while number in best and number not in settled:
            seen.add(number)
            if best[number].to in seen:
                del best[number]
                break
            number = best[number].to
        settled |= seen
    return best


def _rank(edge: Edge, order: dict[str, int]) -> tuple[int, float, int]:
    return order[edge.kind], -edge.share, edge.to


def _from_the_leaves(
    nodes: Iterable[int], children: dict[int, list[Edge]], parents: dict[int, Edge]
) -> list[int]:
    """Return every node after those below it. Without recursion: a chain can be long."""
    order = [number for number in nodes if number not in parents]
    for number in order:  # which grows meanwhile
        order.extend(edge.of for edge in children.get(number, ()))
    return order[::-1]
