"""`ckpt rename`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record
from ckpt_tools.edit.operations import Rename

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


@click.command(short_help="Rename tensors.", epilog=options.WHERE_HELP)
@options.where("where")
@options.where("match")
@options.where("to")
@click.option(
    "--regex",
    is_flag=True,
    help="MATCH is a regular expression for the whole name, and TO may say \\1.",
)
@record
@changing
def rename(  # noqa: PLR0913 - one parameter an option
    where: str, match: str, to: str, *, regex: bool, record: bool, wishes: WriteOptions
) -> int:
    """Give the tensors whose names MATCH the names that TO says.

    * stands for a part of one dotted segment and ** for any number of segments; in TO they stand,
      in turn, for what they stood for in MATCH.

    \b
    ckpt rename ckpt/ 'policy.**' '**' -o renamed/
    ckpt rename ckpt/ --regex '(.*)layers(.*)' '\\1blocks\\2' --dry-run
    """
    return carry_out(
        api.plan(where, [Rename(match, to, regex=regex)], record=record), wishes, suffix="renamed"
    )
