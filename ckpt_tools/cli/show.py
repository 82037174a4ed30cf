"""`ckpt show`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, progress_of, write, write_report
from ckpt_tools.report.json.diff import document
from ckpt_tools.report.json.document import coverage_entry
from ckpt_tools.report.json.readable import readable_entry
from ckpt_tools.report.pages.show import list_lines, show_page


@click.command(short_help="Summarize a checkpoint.", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option(
    "--tree",
    is_flag=True,
    help="Print the tree of tensor names, with numbered layers folded, instead of tables.",
)
@click.option(
    "--list", "listed", is_flag=True, help="Print only dtype, shape and name of every tensor."
)
@click.option(
    "--values",
    is_flag=True,
    help="Read every tensor value: range, norm, zeros, NaN by component and layer.",
)
@click.option("--no-cache", is_flag=True, help="With --values: do not use or write the cache.")
@click.option(
    "--readable-by",
    is_flag=True,
    help="Say which releases of its library read the file, judged by the tensors' names.",
)
@options.output_format("text", "json", "markdown", "html")
@options.lenient
def show(  # noqa: PLR0913 - one parameter an option
    where: str,
    *,
    tree: bool,
    listed: bool,
    values: bool,
    no_cache: bool,
    readable_by: bool,
    output_format: str,
    lenient: bool,
) -> int:
    """Summarize the checkpoint at WHERE.

    Prints its family, its tensors, parameters and bytes by component and dtype, important config
    values, and processors with their normalization. Reads headers and configs only, unless
    --values is given.

    \b
    ckpt show outputs/train/run
    ckpt show outputs/train/run --values
    ckpt show model.safetensors --tree
    ckpt show model.safetensors --list | grep bias
    """
    options.refuse(
        (
            tree and output_format == "json",
            "--tree does not go with --format json",
            "leave --tree out: the JSON lists every tensor",
        ),
        (
            tree + listed + values > 1,
            "--tree, --list and --values exclude each other",
            "leave all but one out",
        ),
        (
            (tree or listed) and readable_by,
            "--readable-by does not go with --tree or --list",
            "leave one of them out",
        ),
        (
            listed and output_format != "text",
            f"--list does not go with --format {output_format}",
            "leave --list out: the JSON lists every tensor",
        ),
        (no_cache and not values, "--no-cache needs --values", "add --values"),
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
    if listed:
        write("".join(f"{line}\n" for line in list_lines(summary.checkpoint.tensors)))
        return CLEAN
    coverage = () if tree else api.coverage(summary.checkpoint)
    readable = api.readable_by(summary.checkpoint) if readable_by else None
    write_report(
        summary,
        lambda: show_page(
            summary,
            tree=tree,
            full=output_format == "html",
            coverage=coverage,
            readable=readable,
        ),
        output_format,
        lambda _: document(summary) | readable_entry(readable) | coverage_entry(coverage),
    )
    return CLEAN
