"""`ckpt rename`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import RenameTensors


@click.command(short_help="Rename tensors.", epilog=options.WHERE_HELP)
@options.where("where")
@click.argument("pairs", nargs=-1, metavar="[MATCH TO]...")
@click.option(
    "--target",
    metavar="RELEASE",
    help="Instead of MATCH TO: the names that this release reads, such as transformers==5.24.",
)
@click.option(
    "--regex",
    is_flag=True,
    help="MATCH is a regular expression for the whole name; TO may contain \\1.",
)
@record
@with_write_options
def rename(  # noqa: PLR0913 - one parameter an option
    where: str,
    pairs: tuple[str, ...],
    *,
    target: str | None,
    regex: bool,
    record: bool,
    write_options: WriteOptions,
) -> int:
    """Rename the tensors that match MATCH to TO; of several pairs, one after the other.

    * matches a part of one dotted segment and ** any number of segments; those of TO are filled in
    order with what those of MATCH matched. With --target, names are converted between releases of
    the library that wrote them, exactly both ways.

    \b
    ckpt rename ckpt/ 'policy.**' '**' -o renamed/
    ckpt rename ckpt/ --regex '(.*)layers(.*)' '\\1blocks\\2' --dry-run
    ckpt rename paligemma/ --target 'transformers<5.5' --dry-run
    """
    options.refuse(
        (bool(target) == bool(pairs), "give either MATCH TO or --target", "leave one of them out"),
        (bool(target) and regex, "--regex does not go with --target", "leave it out"),
    )
    if target:
        return apply_plan(
            api.convert_names(where, target, record=record), write_options, suffix="renamed"
        )
    if len(pairs) % 2:
        raise click.UsageError(f"MATCH {pairs[-1]!r} has no TO: give a new name for each pattern")
    operations = [
        RenameTensors(match, to, regex=regex)
        for match, to in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    return apply_plan(
        api.plan(where, operations, record=record),
        write_options,
        suffix="renamed",
    )
