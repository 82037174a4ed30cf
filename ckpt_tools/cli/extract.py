"""`ckpt extract`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record
from ckpt_tools.edit.operations import Keep, Rename

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions
    from ckpt_tools.edit.operations import Operation


@click.command(short_help="Keep only some tensors.", epilog=options.WHERE_HELP)
@options.where("where")
@click.argument("globs", metavar="GLOB...", nargs=-1, required=True)
@click.option("--strip-prefix", metavar="PREFIX", help="Take PREFIX off the names of what is kept.")
@record
@changing
def extract(
    where: str,
    *,
    globs: tuple[str, ...],
    strip_prefix: str | None,
    record: bool,
    wishes: WriteOptions,
) -> int:
    """Keep only the tensors that a GLOB names.

    In a GLOB, * stands for a part of one dotted segment and ** for any number of segments.

    \b
    ckpt extract policy/ 'model.vlm_with_expert.vlm.**' --strip-prefix model.vlm_with_expert.vlm. -o
    vlm/
    """
    operations: list[Operation] = [Keep(globs)]
    if strip_prefix:
        operations.append(Rename(f"{strip_prefix}**", "**"))
    return carry_out(api.plan(where, operations, record=record), wishes, suffix="extract")
