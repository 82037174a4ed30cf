"""`ckpt sanitize`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options


@click.command(
    short_help="Convert a checkpoint to a standard one.",
    epilog=options.WHERE_HELP,
)
@options.where("where")
@click.option(
    "--target",
    default="lerobot",
    show_default=True,
    metavar="TARGET",
    help="Target format: lerobot, lerobot==0.4 or lerobot==0.5 (without keys that these reject), "
    "fork (keys with neutral values), or a release whose tensor names to use, such as "
    "transformers==5.24.",
)
@click.option(
    "--reference",
    metavar="NORMAL",
    help="Reference checkpoint: restore its dtypes and report differences from it.",
)
@click.option(
    "--allow-lossy",
    is_flag=True,
    help="With --reference, round where a cast loses bits instead of keeping the dtype.",
)
@record
@with_write_options
def sanitize(  # noqa: PLR0913 - one parameter an option
    where: str,
    *,
    target: str,
    reference: str | None,
    allow_lossy: bool,
    record: bool,
    write_options: WriteOptions,
) -> int:
    """Convert WHERE into a standard SmolVLA checkpoint, in a new folder WHERE-clean.

    Removes teacher weights and wrapper names, restores a VLM that is only stored under the
    teacher's names, and sets the configs to what stock LeRobot expects. Unknown tensors are kept
    and reported, as are problems that cannot be repaired. Exit status: 0 clean, 1 some problems
    remain, 2 could not run.

    \b
    ckpt sanitize outputs/train/reflow --dry-run
    ckpt sanitize reflow/ --reference normal/ -o upload/
    """
    plan = api.sanitize(
        where, target=target, reference=reference, allow_lossy=allow_lossy, record=record
    )
    return apply_plan(plan, write_options, suffix="clean")
