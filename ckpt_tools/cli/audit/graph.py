"""`ckpt audit graph`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.audit.model import RelationKind
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write
from ckpt_tools.report.formats import dot
from ckpt_tools.report.json.audit import graph_document
from ckpt_tools.report.json.document import dump


@click.command("graph", short_help="Print how the checkpoints of an audit are related.")
@click.argument("file")
@click.option(
    "--relation",
    multiple=True,
    type=click.Choice([kind.value for kind in RelationKind]),
    help="Only relations of this kind (default: all). Repeatable.",
)
@options.output_format("dot", "json")
def command(file: str, *, relation: tuple[str, ...], output_format: str) -> int:
    """Print the checkpoints of the audit FILE that are related, and how, for Graphviz or as JSON.

    Exit status: 0, or 2 if it could not run.

    \b
    ckpt audit graph audit.db | dot -Tsvg > audit.svg
    ckpt audit graph audit.db --relation adapter-of --format json
    """
    graph = api.audit_graph(file, kinds=relation)
    write(dump(graph_document(graph)) if output_format == "json" else dot.render(graph))
    return CLEAN
