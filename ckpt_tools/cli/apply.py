"""`ckpt apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


@click.command(short_help="Do what a plan says.")
@options.where("plan")
@changing
def apply(plan: str, *, wishes: WriteOptions) -> int:
    """Do what the file PLAN says, which `ckpt plan` or --dry-run --format json wrote.

    A plan whose checkpoint has changed since is refused. Without -o and --in-place the result is a
    new folder beside the checkpoint, WHERE-changed. Exit status: 0 done, 2 trouble.

    \b
    ckpt apply plan.json -o out/
    """
    return carry_out(api.load_plan(plan), wishes, suffix="changed")
