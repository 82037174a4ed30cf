"""`ckpt show`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.exit_codes import CLEAN
from ckpt_tools.cli.output import write_report
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.report.show_page import show_page


@click.command(short_help="Say what a checkpoint is.", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option("--tree", is_flag=True, help="Print the tree of tensor names, numbered layers folded, instead of the tables.")
@options.output_format("text", "json", "markdown")
@options.lenient
def show(where: str, *, tree: bool, output_format: str, lenient: bool) -> int:
    """Say what the checkpoint at WHERE is.

    Family, parameters, tensors and bytes by component and by dtype, the config values that matter, processors and how they normalise. Reads headers and
    configs only.

    \b
    ckpt show outputs/train/run
    ckpt show model.safetensors --tree
    """
    if tree and output_format == "json":
        msg = "--tree is for reading: it goes with text and markdown"
        raise UnknownSelection(msg, hint="the JSON lists every tensor anyway: leave --tree out")
    summary = api.show(where, lenient=lenient)
    write_report(summary, lambda: show_page(summary, tree=tree), output_format)
    return CLEAN
