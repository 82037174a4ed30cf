"""`ckpt diff`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, progress_of, write_report
from ckpt_tools.diff.model import Aspect
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.report.json.diff import document
from ckpt_tools.report.pages.diff import diff_page


@click.command(
    short_help="Say what differs between two checkpoints.",
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
    help=f"Compare these aspects only: {', '.join(Aspect)}.",
)
@click.option(
    "--select",
    multiple=True,
    metavar="GLOB",
    help="Compare only what GLOB names, such as 'model.**.weight' or 'config.*'. Repeatable.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="GLOB",
    help="Leave out what GLOB names, such as 'train_config.**'. Repeatable.",
)
@click.option(
    "--values",
    is_flag=True,
    help="Compare the tensors' values too: what changed, by component and layer.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="REL",
    help="With --values: a tensor whose change has at most this L2 norm, relative to its own in A, counts as equal. 0 unless given: exactly equal.",
)
@click.option(
    "--no-cache", is_flag=True, help="With --values: read every value, and remember nothing."
)
@click.option(
    "--full", is_flag=True, help="List every name and value instead of folding and cutting."
)
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
    full: bool,
    output_format: str,
    lenient: bool,
) -> int:
    """Compare checkpoints A and B: names, dtypes, shapes, configs, processors, metadata, files.

    Differences are told in groups, with what they come from and what stock LeRobot makes of them.
    Headers and configs are read, tensor values only with --values. In a GLOB, * stands for a part
    of one dotted segment and ** for any number of segments. Exit status: 0 same, 1 different, 2
    trouble.

    \b
    ckpt diff normal/ reflow/
    ckpt diff old/ new/ --only keys,dtype --select 'model.vlm_with_expert.lm_expert.**'
    ckpt diff pretrained/ finetuned/ --values
    """
    if not values and (tolerance is not None or no_cache):
        raise UnknownSelection(
            f"{'--no-cache' if no_cache else '--tolerance'} is about values, which are not compared",
            hint="add --values",
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
    write_report(
        comparison,
        lambda: diff_page(comparison, full=full or output_format == "html"),
        output_format,
        document,
    )
    return CLEAN if comparison.same else FINDINGS
