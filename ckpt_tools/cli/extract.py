"""`ckpt extract`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import Keep, Operation, RenameTensors


@click.command(short_help="Keep only some tensors.", epilog=options.WHERE_HELP)
@options.where("where")
@click.argument("globs", metavar="GLOB...", nargs=-1, required=True)
@click.option(
    "--strip-prefix", metavar="PREFIX", help="Remove PREFIX from the names of the kept tensors."
)
@record
@with_write_options
def extract(
    where: str,
    *,
    globs: tuple[str, ...],
    strip_prefix: str | None,
    record: bool,
    write_options: WriteOptions,
) -> int:
    """Keep only the tensors that match a GLOB.

    In a GLOB, * matches a part of one dotted segment and ** any number of segments.

    \b
    ckpt extract policy/ 'model.vlm_with_expert.vlm.**' -o vlm/ \\
        --strip-prefix model.vlm_with_expert.vlm.
    """
    operations: list[Operation] = [Keep(globs)]
    if strip_prefix:
        operations.append(RenameTensors(f"{strip_prefix}**", "**"))
    return apply_plan(api.plan(where, operations, record=record), write_options, suffix="extract")
