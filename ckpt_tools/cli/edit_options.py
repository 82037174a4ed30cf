"""What the commands that change a checkpoint share.

Their options, and carrying a plan out or showing it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import click

from ckpt_tools import api
from ckpt_tools.cli.options import output_format
from ckpt_tools.cli.output import CLEAN, FINDINGS, progress_of, write_report
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.report.json.plan import document
from ckpt_tools.report.pages.plan import plan_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.cli.options import Decorator
    from ckpt_tools.edit.model import Plan

_LONG = 256 << 20
"""Writing less than this takes no longer than reading about it."""


class WriteOptions(NamedTuple):
    """How a plan is to be carried out: the options that `changing` adds to a command."""

    output: str | None
    in_place: bool
    backup: bool
    dry_run: bool
    receipt: str | None
    full: bool
    output_format: str


_OPTIONS = (
    click.option(
        "-o",
        "--output",
        metavar="OUT",
        help="Write the result to this new folder (or .safetensors file, for a single file).",
    ),
    click.option(
        "--in-place",
        is_flag=True,
        help="Change the checkpoint itself; what is replaced is kept in a folder beside it.",
    ),
    click.option(
        "--no-backup",
        "backup",
        is_flag=True,
        flag_value=False,
        default=True,
        help="With --in-place: keep nothing of what is replaced.",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Print the plan and write nothing. Exit status 1 if there is something to do.",
    ),
    click.option(
        "--receipt",
        metavar="FILE",
        help="Write the SHA-256 of every file before and after to FILE, as JSON.",
    ),
    click.option("--full", is_flag=True, help="List every detail of a step."),
    output_format("text", "json", "markdown"),
)


def changing(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of `Wishes` to a command; it gets them as one argument, `wishes`."""

    def with_wishes(**arguments: object) -> int:
        wishes = WriteOptions(**{name: arguments.pop(name) for name in WriteOptions._fields})  # type: ignore[arg-type]  # click has checked them against the options
        return command(wishes=wishes, **arguments)

    with_wishes.__doc__, with_wishes.__name__ = command.__doc__, command.__name__
    with_wishes.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # where click keeps what its decorators add
    decorated: Callable[..., int] = with_wishes
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


record: Decorator = click.option(
    "--record",
    is_flag=True,
    help="Record the operations in the weight files' metadata; without it the result is byte for byte normal.",
)


def carry_out(plan: Plan, wishes: WriteOptions, *, suffix: str) -> int:
    """Write what `plan` says where `wishes` say, by default a new folder beside the old with `suffix`; print the page; return the exit code."""
    _refuse_contradictions(plan, wishes)
    idle = not plan.steps and wishes.output is None
    written = None
    if not (wishes.dry_run or idle):
        total = sum(output.size for output in plan.outputs)
        with progress_of("writing", total, wanted=total >= _LONG) as progress:
            output = (
                None
                if wishes.in_place
                else _beside(plan, suffix)
                if wishes.output is None
                else wishes.output
            )
            written = api.write(
                plan,
                output,
                in_place=wishes.in_place,
                backup=wishes.backup,
                receipt=wishes.receipt,
                progress=progress.advance,
            )
    write_report(
        plan,
        lambda: plan_page(plan, written, full=wishes.full),
        wishes.output_format,
        document,
    )
    return FINDINGS if plan.remains or (wishes.dry_run and plan.steps) else CLEAN


def _refuse_contradictions(plan: Plan, wishes: WriteOptions) -> None:
    """Raise for options that say two things, or nothing."""
    cached = (
        plan.steps
        and not wishes.dry_run
        and wishes.output is None
        and _in_hub_cache(plan.before.root)
    )
    contradictions = (
        (
            wishes.output is not None and wishes.in_place,
            "--output and --in-place are two ways to say where",
            "leave one of the two out",
        ),
        (
            not (wishes.backup or wishes.in_place),
            "--no-backup says nothing without --in-place",
            "a new folder replaces nothing: leave it out",
        ),
        (
            wishes.receipt is not None and wishes.dry_run,
            "--receipt says nothing with --dry-run",
            "nothing is written: leave one of the two out",
        ),
        (
            (wishes.output or "").endswith(".safetensors") and len(plan.outputs) > 1,
            "--output names a file, and the result is a folder",
            "name a folder",
        ),
        (
            cached and (wishes.backup or not wishes.in_place),
            f"{plan.before.where} lies in the Hugging Face cache, where nothing else belongs",
            "say where with --output, or --in-place --no-backup",
        ),
    )
    for wrong, msg, hint in contradictions:
        if wrong:
            raise UnknownSelection(msg, hint=hint)


def _in_hub_cache(root: str) -> bool:
    parts = root.split("/")
    return "snapshots" in parts[1:] and parts[parts.index("snapshots") - 1].startswith(
        ("models--", "datasets--", "spaces--")
    )


def _beside(plan: Plan, suffix: str) -> str:
    """Return the path of a new folder, or file, beside the checkpoint.

    Not through a link such as a run's `last`, which moves on.
    """
    root = os.path.realpath(plan.before.root)
    if plan.before.where.endswith(".safetensors"):
        stem = plan.before.weights[0].path.removesuffix(".safetensors")
        return f"{root}/{stem}-{suffix}.safetensors"
    return f"{root}-{suffix}"
