"""`ckpt restore`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write
from ckpt_tools.text import count, printable


@click.command(short_help="Undo an in-place change from its backup.")
@options.where("where")
@click.option(
    "--backup",
    type=options.WholeNumber(min=1),
    metavar="N",
    help="Put back WHERE.backup (1) or WHERE.backup-N instead of the latest one.",
)
def restore(where: str, backup: int | None) -> int:
    """Undo the latest in-place change to WHERE: put back the files in its backup folder.

    Files that the change replaced or removed come back, those that it added are removed, and all
    other files stay. The backup folder is removed. Refused if a file that would be lost has changed
    since. Exit status: 0, or 2 if it could not run.
    """
    done = api.restore(where, backup=backup)
    write(
        f"{printable(done.path)}: undid the change: {count(len(done.put_back), 'file')} put back"
        f" from {printable(done.backup)}, {count(len(done.removed), 'file')} removed\n"
    )
    return CLEAN
