"""`ckpt strip`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import Drop
from ckpt_tools.families.family import TEACHER_PREFIXES

_TEACHERS = tuple(f"{prefix}**" for prefix in TEACHER_PREFIXES)


@click.command(short_help="Remove tensors (teacher weights by default).", epilog=options.WHERE_HELP)
@options.where("where")
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@record
@with_write_options
def strip(where: str, *, globs: tuple[str, ...], record: bool, write_options: WriteOptions) -> int:
    """Remove the tensors that match a GLOB.

    By default, those under a teacher's prefix (teacher., model._teacher_model., …).

    In a GLOB, * matches a part of one dotted segment and ** any number of segments. `ckpt sanitize`
    also restores weights that only the teacher's names hold.

    \b
    ckpt strip reflow/ -o student/
    ckpt strip model.safetensors 'optimizer.**' -o small.safetensors
    """
    drop = Drop(globs) if globs else Drop(_TEACHERS, if_any=True)
    return apply_plan(api.plan(where, [drop], record=record), write_options, suffix="stripped")
