"""`ckpt strip`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record
from ckpt_tools.edit.operations import Drop
from ckpt_tools.families.family import TEACHER_PREFIXES

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


@click.command(
    short_help="Leave tensors out; without a GLOB, a teacher's.", epilog=options.WHERE_HELP
)
@options.where("where")
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@record
@changing
def strip(where: str, *, globs: tuple[str, ...], record: bool, wishes: WriteOptions) -> int:
    """Leave out the tensors that a GLOB names.

    Without one, those under a teacher's prefix (teacher., model._teacher_model., …).

    In a GLOB, * stands for a part of one dotted segment and ** for any number of segments. `ckpt
    sanitize` does more, and looks before it drops.

    \b
    ckpt strip reflow/ -o student/
    ckpt strip model.safetensors 'optimizer.**' -o small.safetensors
    """
    select = globs or tuple(f"{prefix}**" for prefix in TEACHER_PREFIXES)
    return carry_out(api.plan(where, [Drop(select)], record=record), wishes, suffix="stripped")
