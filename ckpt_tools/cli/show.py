"""`ckpt show`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, progress_of, write_report
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.report.json.diff import document
from ckpt_tools.report.pages.show import show_page


@click.command(short_help="Say what a checkpoint is.", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option(
    "--tree",
    is_flag=True,
    help="Print the tree of tensor names, numbered layers folded, instead of the tables.",
)
@click.option(
    "--values",
    is_flag=True,
    help="Read every tensor: range, norm, zeros, NaN by component and layer; digests with --format json.",
)
@click.option(
    "--no-cache", is_flag=True, help="With --values: read every value, and remember nothing."
)
@options.output_format("text", "json", "markdown", "html")
@options.lenient
def show(  # noqa: PLR0913 - one parameter an option
    where: str, *, tree: bool, values: bool, no_cache: bool, output_format: str, lenient: bool
) -> int:
    """Say what the checkpoint at WHERE is.

    Family, parameters, tensors and bytes by component and by dtype, the config values that matter,
    processors and how they normalise. Reads headers and configs only, unless --values are wanted.

    \b
    ckpt show outputs/train/run
    ckpt show outputs/train/run --values
    ckpt show model.safetensors --tree
    """
    if tree and output_format == "json":
        raise UnknownSelection(
            "--tree is for reading: it goes with text, markdown and html",
            hint="the JSON lists every tensor anyway: leave --tree out",
        )
    if values and tree:
        raise UnknownSelection("--tree prints names, and no --values", hint="leave one of them out")
    if no_cache and not values:
        raise UnknownSelection(
            "--no-cache is about values, which are not read", hint="add --values"
        )
    with progress_of("reading", None, wanted=values) as progress:
        summary = api.show(
            where,
            lenient=lenient,
            values=values,
            cached=not no_cache,
            progress=progress.advance,
            expect=progress.expect,
        )
    write_report(
        summary,
        lambda: show_page(summary, tree=tree, full=output_format == "html"),
        output_format,
        document,
    )
    return CLEAN
