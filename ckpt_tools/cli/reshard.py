"""`ckpt reshard`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import Reshard
from ckpt_tools.edit.recipe import size
from ckpt_tools.errors import UnknownSelection


@click.command(short_help="Split the weights into shards.", epilog=options.WHERE_HELP)
@options.where("where")
@click.option(
    "--max-size",
    default="5GB",
    show_default=True,
    metavar="SIZE",
    help="Maximum payload of one file: 5GB, 200MB, 1GiB or bytes.",
)
@record
@with_write_options
def reshard(where: str, *, max_size: str, record: bool, write_options: WriteOptions) -> int:
    """Split the weights into shards of at most SIZE with an index, named as on the Hub.

    LeRobot reads only a single model.safetensors; `ckpt merge` restores it.

    \b
    ckpt reshard model/ --max-size 2GB -o sharded/
    """
    nbytes = size(max_size)
    if not nbytes:
        raise UnknownSelection(
            f"invalid --max-size {max_size!r}",
            hint="write 5GB, 200MB, 1GiB or a number of bytes",
        )
    return apply_plan(
        api.plan(where, [Reshard(nbytes)], record=record), write_options, suffix="sharded"
    )
