"""`ckpt diff`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, progress_of, write, write_report
from ckpt_tools.diff.model import Aspect
from ckpt_tools.report.json.diff import document
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.diff_short import changed_names, stat_page
from ckpt_tools.text import printable


@click.command(
    short_help="Compare two checkpoints.",
    epilog=options.ANYWHERE_HELP.replace("WHERE is", "A and B are each"),
)
@options.where("a")
@options.where("b")
@click.option(
    "--only",
    type=options.AspectList(),
    default=frozenset(Aspect),
    show_default="everything",
    metavar="ASPECT,…",
    help=f"Compare only these aspects: {', '.join(Aspect)}.",
)
@click.option(
    "--select",
    multiple=True,
    metavar="GLOB",
    help="Compare only what matches GLOB, such as 'model.**.weight' or 'config.*'. Repeatable.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="GLOB",
    help="Ignore what matches GLOB, such as 'train_config.**'. Repeatable.",
)
@click.option(
    "--values",
    is_flag=True,
    help="Compare tensor values too, by component and layer.",
)
@click.option(
    "--tolerance",
    type=options.Number(min=0),
    metavar="REL",
    help="With --values: largest relative L2 change that counts as equal (default 0: exact).",
)
@click.option("--no-cache", is_flag=True, help="With --values: do not use or write the cache.")
@click.option("--stat", is_flag=True, help="Print only how much differs in which way, as a table.")
@click.option("--name-only", is_flag=True, help="Print only the names of what differs, one a line.")
@click.option("--full", is_flag=True, help="List every name and value instead of a selection.")
@options.output_format("text", "json", "markdown", "html")
@options.lenient
def diff(  # noqa: PLR0913 - one parameter an option
    a: str,
    b: str,
    *,
    only: frozenset[Aspect],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    values: bool,
    tolerance: float | None,
    no_cache: bool,
    stat: bool,
    name_only: bool,
    full: bool,
    output_format: str,
    lenient: bool,
) -> int:
    """Compare checkpoints A and B: names, dtypes, shapes, configs, processors, metadata, files.

    Differences are grouped by cause, with their effect in stock LeRobot. Reads headers and configs
    only, unless --values is given. In a GLOB, * matches within one dotted segment and ** matches
    any number of segments. Exit status: 0 same, 1 different, 2 could not run.

    \b
    ckpt diff normal/ reflow/
    ckpt diff old/ new/ --only keys,dtype --select '**.lm_expert.**'
    ckpt diff pretrained/ finetuned/ --values
    """
    options.refuse(
        (no_cache and not values, "--no-cache needs --values", "add --values"),
        (tolerance is not None and not values, "--tolerance needs --values", "add --values"),
        (
            stat + name_only + full > 1,
            "--stat, --name-only and --full exclude each other",
            "leave all but one out",
        ),
        (
            name_only and output_format != "text",
            f"--name-only does not go with --format {output_format}",
            "leave one of them out",
        ),
    )
    with progress_of("comparing", None, wanted=values) as progress:
        comparison = api.diff(
            a,
            b,
            aspects=only,
            select=select,
            ignore=ignore,
            lenient=lenient,
            values=values,
            tolerance=tolerance or 0.0,
            cached=not no_cache,
            progress=progress.advance,
            expect=progress.expect,
        )
    if name_only:
        write("".join(f"{printable(name)}\n" for name in changed_names(comparison)))
        return CLEAN if comparison.same else FINDINGS
    write_report(
        comparison,
        lambda: (
            stat_page(comparison)
            if stat
            else diff_page(comparison, full=full or output_format == "html")
        ),
        output_format,
        document,
    )
    return CLEAN if comparison.same else FINDINGS
