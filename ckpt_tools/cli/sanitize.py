"""`ckpt sanitize`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


@click.command(
    short_help="Make a checkpoint clean, and say what cannot be repaired.",
    epilog=options.WHERE_HELP,
)
@options.where("where")
@click.option(
    "--target",
    default="lerobot",
    show_default=True,
    metavar="TARGET",
    help="Whose checkpoint it is to be: lerobot, lerobot==0.4, lerobot==0.5 (keys they do not know are left out), fork (keys with neutral values).",
)
@click.option(
    "--reference",
    metavar="NORMAL",
    help="A normal checkpoint: its dtypes are restored, and what differs from it is reported.",
)
@click.option(
    "--allow-lossy",
    is_flag=True,
    help="With --reference: round where a cast loses bits, instead of leaving the dtype.",
)
@record
@changing
def sanitize(  # noqa: PLR0913 - one parameter an option
    where: str,
    *,
    target: str,
    reference: str | None,
    allow_lossy: bool,
    record: bool,
    wishes: WriteOptions,
) -> int:
    """Make the checkpoint at WHERE one that nobody can tell from a normal one, in a new folder WHERE-clean.

    Teacher weights and wrapper names go, a VLM that survives only under the teacher's names is
    brought back, the configs say what stock LeRobot expects. A tensor that nobody knows is kept and
    reported, and so is what cannot be repaired. Exit status: 0 clean, 1 something remains, 2
    trouble.

    \b
    ckpt sanitize outputs/train/reflow --dry-run
    ckpt sanitize reflow/ --reference normal/ -o upload/
    """
    plan = api.sanitize(
        where, target=target, reference=reference, allow_lossy=allow_lossy, record=record
    )
    return carry_out(plan, wishes, suffix="clean")
