"""`ckpt merge`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import Merge


@click.command(short_help="Merge shards into one model.safetensors.", epilog=options.WHERE_HELP)
@options.where("where")
@record
@with_write_options
def merge(where: str, *, record: bool, write_options: WriteOptions) -> int:
    """Merge the weights of a sharded checkpoint into one model.safetensors, without an index.

    \b
    ckpt merge sharded/ -o one/
    """
    return apply_plan(api.plan(where, [Merge()], record=record), write_options, suffix="merged")
