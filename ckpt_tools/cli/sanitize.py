"""`ckpt sanitize`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.checkpoint.locate import is_resumable
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import (
    WriteOptions,
    apply_plan,
    located,
    record,
    refuse_contradictions,
    with_write_options,
)
from ckpt_tools.errors import EditRefused

if TYPE_CHECKING:
    from ckpt_tools.edit.model import Plan


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
    type=options.PATH,
    metavar="NORMAL",
    help="Reference checkpoint: restore its dtypes and report differences from it.",
)
@click.option(
    "--allow-lossy",
    is_flag=True,
    help="With --reference, round where a cast loses bits instead of keeping the dtype.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="With --in-place, repair what can be repaired although problems remain.",
)
@record
@with_write_options
def sanitize(  # noqa: PLR0913 - one parameter an option
    where: str,
    *,
    target: str,
    reference: str | None,
    allow_lossy: bool,
    partial: bool,
    record: bool,
    write_options: WriteOptions,
) -> int:
    """Convert WHERE into a standard SmolVLA checkpoint, in a new folder WHERE-clean.

    Removes teacher weights and wrapper names, restores a VLM that is only stored under the
    teacher's names, and sets the configs to what stock LeRobot expects. Unknown tensors are kept
    and reported, as are problems that cannot be repaired; with --in-place, nothing is written then,
    unless --partial is given. Exit status: 0 clean, 1 some problems remain, 2 could not run.

    \b
    ckpt sanitize outputs/train/reflow --dry-run
    ckpt sanitize reflow/ --reference normal/ -o upload/
    """
    plan = api.sanitize(
        where, target=target, reference=reference, allow_lossy=allow_lossy, record=record
    )
    options.refuse(
        (partial and not write_options.in_place, "--partial needs --in-place", "omit it")
    )
    refuse_contradictions(plan, write_options)
    if plan.steps and write_options.in_place and not write_options.dry_run:
        _refuse_harm(plan, partial=partial)
    return apply_plan(plan, write_options, suffix="clean")


def _refuse_harm(plan: Plan, *, partial: bool) -> None:
    """Raise EditRefused for a change in place that is half a repair, or ends a run."""
    if plan.remains and not partial:
        problem, _, repair = located(plan, plan.before.where).remains[0].partition("; ")
        ways = (repair, "or write a copy with --output", "or pass --partial")
        raise EditRefused(
            f"would be repaired only in part: {problem}",
            path=plan.before.where,
            hint="; ".join(filter(None, ways)),
        )
    if is_resumable(plan.before.root):
        raise EditRefused(
            "belongs to a LeRobot run, which `--resume` continues from this train_config.json",
            path=plan.before.where,
            hint="omit --in-place to write a copy, and publish that",
        )
