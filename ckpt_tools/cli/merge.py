"""`ckpt merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record
from ckpt_tools.edit.operations import Merge

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


@click.command(short_help="Put shards into one model.safetensors.", epilog=options.WHERE_HELP)
@options.where("where")
@record
@changing
def merge(where: str, *, record: bool, wishes: WriteOptions) -> int:
    """Put the weights of a sharded checkpoint into one model.safetensors, without an index.

    \b
    ckpt merge sharded/ -o one/
    """
    return carry_out(api.plan(where, [Merge()], record=record), wishes, suffix="merged")
