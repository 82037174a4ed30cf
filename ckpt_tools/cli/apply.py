"""`ckpt apply`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, with_write_options


@click.command(short_help="Apply a saved plan.")
@options.where("plan")
@with_write_options
def apply(plan: str, *, write_options: WriteOptions) -> int:
    """Apply the plan in the file PLAN, written by `ckpt plan` or by --dry-run --format json.

    Fails if the checkpoint has changed since. Without -o and --in-place, the result is a new folder
    beside the checkpoint, WHERE-changed. Exit status: 0 applied, 1 some problems remain, 2 could
    not run.

    \b
    ckpt apply plan.json -o out/
    """
    return apply_plan(api.load_plan(plan), write_options, suffix="changed")
