"""What the commands that change a checkpoint share: their options, and carrying a plan out or showing it."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import click

from ckpt_tools import api
from ckpt_tools.cli.exit_codes import CLEAN, FINDINGS
from ckpt_tools.cli.options import output_format
from ckpt_tools.cli.output import write_report
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.report.plan_page import plan_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.cli.options import Decorator
    from ckpt_tools.records.plan import Plan

_LONG = 256 << 20
"""Writing less than this takes no longer than reading about it."""


class Wishes(NamedTuple):
    """How a plan is to be carried out: the options that `changing` adds to a command."""

    output: str | None
    in_place: bool
    backup: bool
    dry_run: bool
    receipt: str | None
    full: bool
    output_format: str


_OPTIONS = (
    click.option("-o", "--output", metavar="OUT", help="Write the result to this new folder (or .safetensors file, for a single file)."),
    click.option("--in-place", is_flag=True, help="Change the checkpoint itself; what is replaced is kept in a folder beside it."),
    click.option("--no-backup", "backup", is_flag=True, flag_value=False, default=True, help="With --in-place: keep nothing of what is replaced."),
    click.option("--dry-run", is_flag=True, help="Print the plan and write nothing. Exit status 1 if there is something to do."),
    click.option("--receipt", metavar="FILE", help="Write the SHA-256 of every file before and after to FILE, as JSON."),
    click.option("--full", is_flag=True, help="List every detail of a step."),
    output_format("text", "json", "markdown"),
)


def changing(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of `Wishes` to a command; it gets them as one argument, `wishes`."""

    def with_wishes(**arguments: object) -> int:
        wishes = Wishes(**{name: arguments.pop(name) for name in Wishes._fields})  # type: ignore[arg-type]  # click has checked them against the options
        return command(wishes=wishes, **arguments)

    with_wishes.__doc__, with_wishes.__name__ = command.__doc__, command.__name__
    with_wishes.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # where click keeps what its decorators add
    decorated: Callable[..., int] = with_wishes
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


record: Decorator = click.option(
    "--record", is_flag=True, help="Record the operations in the weight files' metadata; without it the result is byte for byte normal."
)


def carry_out(plan: Plan, wishes: Wishes, *, suffix: str) -> int:
    """Write what `plan` says where `wishes` say, by default a new folder beside the old with `suffix`; print the page; return the exit code."""
    if wishes.output and wishes.in_place:
        msg = "--output and --in-place are two ways to say where"
        raise UnknownSelection(msg, hint="leave one of the two out")
    idle = not plan.steps and wishes.output is None
    written = None
    if not (wishes.dry_run or idle):
        with _progress(sum(output.size for output in plan.outputs)) as progress:
            output = None if wishes.in_place else wishes.output or _beside(plan, suffix)
            written = api.write(plan, output, backup=wishes.backup, receipt=wishes.receipt, progress=progress)
    write_report(plan, lambda: plan_page(plan, written, full=wishes.full), wishes.output_format, json="plan_json")
    return FINDINGS if plan.remains or (wishes.dry_run and plan.steps) else CLEAN


def _beside(plan: Plan, suffix: str) -> str:
    """Return the path of a new folder, or file, beside the checkpoint."""
    root = plan.before.root
    if plan.before.where.endswith(".safetensors"):
        stem = plan.before.weights[0].path.removesuffix(".safetensors")
        return f"{root}/{stem}-{suffix}.safetensors"
    return f"{root}-{suffix}"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None] | None]:
    """Show how much of `total` bytes is written, on a terminal and when it takes long enough to be wondered about."""
    if total < _LONG or not sys.stderr.isatty():
        yield None
        return
    rich = importlib.import_module("rich.progress")
    console = importlib.import_module("rich.console").Console(stderr=True)
    columns = (rich.TextColumn("writing"), rich.BarColumn(), rich.DownloadColumn(), rich.TransferSpeedColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("writing", total=total)
        yield lambda nbytes: bar.advance(task, nbytes)
