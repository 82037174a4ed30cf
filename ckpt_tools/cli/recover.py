"""`ckpt recover`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write

_WORDS = {
    "finished": "finished what was interrupted: the checkpoint is the new one",
    "undone": "undid what was interrupted: the checkpoint is the old one",
    "nothing": "nothing was interrupted here",
}


@click.command(short_help="Finish or undo an interrupted change.")
@options.where("where")
def recover(where: str) -> int:
    """Finish or undo a change to the folder WHERE that was interrupted, by a crash or a power cut.

    Past the point at which a change is decided it is finished, before it is undone. Can itself be
    interrupted, and run again.
    """
    write(f"{where}: {_WORDS[api.recover(where)]}\n")
    return CLEAN
