"""`ckpt recover`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.api import _edit
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write

_OUTCOMES = {
    "finished": "completed the interrupted change; the checkpoint is the new one",
    "undone": "rolled back the interrupted change; the checkpoint is the old one",
    "nothing": "no interrupted change found",
}


@click.command(short_help="Complete or roll back an interrupted change.")
@options.where("where")
def recover(where: str) -> int:
    """Complete or roll back a change to WHERE that was interrupted by a crash or a power cut.

    A committed change is completed; an uncommitted one is rolled back. Safe to interrupt and run
    again. Exit status: 0, or 2 if it could not run.
    """
    outcome = api.recover(where)
    undo = _edit.undo_command(where) if outcome == "nothing" else ""
    write(f"{where}: {_OUTCOMES[outcome]}" + f"; undo the last change: {undo}" * bool(undo) + "\n")
    return CLEAN
