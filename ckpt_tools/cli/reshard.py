"""`ckpt reshard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record
from ckpt_tools.edit.operations import Reshard
from ckpt_tools.edit.recipe import size
from ckpt_tools.errors import UnknownSelection

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


@click.command(short_help="Split the weights into files of a size.", epilog=options.WHERE_HELP)
@options.where("where")
@click.option(
    "--max-size",
    default="5GB",
    show_default=True,
    metavar="SIZE",
    help="Payload of one file at most: 5GB, 200MB, 1GiB or bytes.",
)
@record
@changing
def reshard(where: str, *, max_size: str, record: bool, wishes: WriteOptions) -> int:
    """Split the weights into files of at most SIZE, with an index, named as the Hub names them.

    LeRobot reads a single model.safetensors only: `ckpt merge` makes one again.

    \b
    ckpt reshard model/ --max-size 2GB -o sharded/
    """
    nbytes = size(max_size)
    if not nbytes:
        raise UnknownSelection(
            f"--max-size {max_size!r} is no size",
            hint="write 5GB, 200MB, 1GiB or a number of bytes",
        )
    return carry_out(api.plan(where, [Reshard(nbytes)], record=record), wishes, suffix="sharded")
