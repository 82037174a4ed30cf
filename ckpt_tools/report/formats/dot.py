"""The graph of an audit in DOT, the language of Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.text import percent, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.audit.graph import Edge, Node, RelationGraph

_COLORS = {"failed": "red", "errors": "red", "warnings": "orange"}
_STYLES = {"same-structure": "dotted", "declared-base": "dashed"}


def render(graph: RelationGraph) -> str:
    """Return the graph: a node for each checkpoint, an edge to what it is related to."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: RelationGraph) -> Iterator[str]:
    yield "digraph audit {"
    yield "  rankdir=RL;"
    yield "  node [shape=box];"
    yield from (_node(node) for node in graph.nodes)
    yield from (_edge(edge) for edge in graph.edges)
    yield "}"


def _node(node: Node) -> str:
    outside = node.number < 0
    family = f"\n{node.family}" if node.family else ""
    style = ", style=dashed" if outside else ""
    color = f", color={_COLORS[node.judged]}" if node.judged in _COLORS else ""
    return f"  {_id(node.number)} [label={_quoted(node.location + family)}{style}{color}];"


def _edge(edge: Edge) -> str:
    share = f"{percent(edge.share)}" if edge.share else ""
    label = "\n".join(part for part in (edge.kind.replace("-", " "), share, edge.detail) if part)
    style = f", style={_STYLES[edge.kind]}" if edge.kind in _STYLES else ""
    return f"  {_id(edge.of)} -> {_id(edge.to)} [label={_quoted(label)}{style}];"


def _id(number: int) -> str:
    return f"outside{-number}" if number < 0 else f"c{number}"


def _quoted(text: str) -> str:
    """Return lines of text as a string of DOT, where a backslash and a quote mean something."""
    lines = (printable(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n"))
    return f'"{"\\n".join(lines)}"'
