"""`ckpt rename`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import RenameTensors


@click.command(short_help="Rename tensors.", epilog=options.WHERE_HELP)
@options.where("where")
@click.argument("pairs", nargs=-1, required=True, metavar="MATCH TO [MATCH TO]...")
@click.option(
    "--regex",
    is_flag=True,
    help="MATCH is a regular expression for the whole name; TO may contain \\1.",
)
@record
@with_write_options
def rename(
    where: str, pairs: tuple[str, ...], *, regex: bool, record: bool, write_options: WriteOptions
) -> int:
    """Rename the tensors that match MATCH to TO; of several pairs, one after the other.

    * matches a part of one dotted segment and ** any number of segments; those of TO are filled in
    order with what those of MATCH matched.

    \b
    ckpt rename ckpt/ 'policy.**' '**' -o renamed/
    ckpt rename ckpt/ --regex '(.*)layers(.*)' '\\1blocks\\2' --dry-run
    """
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
