"""`ckpt rename`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import RenameTensors


@click.command(short_help="Rename tensors.", epilog=options.WHERE_HELP)
@options.where("where")
@options.where("match")
@options.where("to")
@click.option(
    "--regex",
    is_flag=True,
    help="MATCH is a regular expression for the whole name; TO may contain \\1.",
)
@record
@with_write_options
def rename(  # noqa: PLR0913 - one parameter an option
    where: str, match: str, to: str, *, regex: bool, record: bool, write_options: WriteOptions
) -> int:
    """Rename the tensors that match MATCH to TO.

    * matches a part of one dotted segment and ** any number of segments; those of TO are filled in
    order with what those of MATCH matched.

    \b
    ckpt rename ckpt/ 'policy.**' '**' -o renamed/
    ckpt rename ckpt/ --regex '(.*)layers(.*)' '\\1blocks\\2' --dry-run
    """
    return apply_plan(
        api.plan(where, [RenameTensors(match, to, regex=regex)], record=record),
        write_options,
        suffix="renamed",
    )
