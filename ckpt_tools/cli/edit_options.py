"""The options of all commands that change a checkpoint, and applying or printing their plan."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, NamedTuple

import click

from ckpt_tools import api
from ckpt_tools.cli.options import output_format, refuse
from ckpt_tools.cli.output import CLEAN, FINDINGS, progress_of, write_report
from ckpt_tools.edit import sanitize
from ckpt_tools.report.json.plan import document
from ckpt_tools.report.pages.plan import plan_page
from ckpt_tools.rules.remedy import as_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.cli.options import Decorator
    from ckpt_tools.edit.model import Plan

_LONG = 256 << 20
"""Bytes from which on writing takes long enough to show progress."""


class WriteOptions(NamedTuple):
    """How to apply a plan: the options that `with_write_options` adds to a command."""

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
        help="Change the checkpoint itself; replaced files are kept in a backup folder beside it.",
    ),
    click.option(
        "--no-backup",
        "backup",
        is_flag=True,
        flag_value=False,
        default=True,
        help="With --in-place, keep no backup.",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Print the plan and write nothing. Exit status 1 if there are changes.",
    ),
    click.option(
        "--receipt",
        metavar="FILE",
        help="Write the SHA-256 of every file before and after to FILE, as JSON.",
    ),
    click.option("--full", is_flag=True, help="Show all details."),
    output_format("text", "json", "markdown"),
)


def with_write_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of WriteOptions to a command, which gets them as one argument."""

    @functools.wraps(command)
    def with_options(**arguments: object) -> int:
        options = {name: arguments.pop(name) for name in WriteOptions._fields}
        write_options = WriteOptions(**options)  # type: ignore[arg-type]  # click has checked them
        return command(write_options=write_options, **arguments)

    decorated: Callable[..., int] = with_options
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


record: Decorator = click.option(
    "--record",
    is_flag=True,
    help="Record the operations in the metadata of the weight files.",
)


def apply_plan(plan: Plan, write_options: WriteOptions, *, suffix: str) -> int:
    """Apply `plan`, by default to a new folder with `suffix` beside the checkpoint.

    Prints the page and returns the exit code.
    """
    output, in_place, backup, dry_run, receipt, full, output_format = write_options
    refuse_contradictions(plan, write_options)
    written = None
    if not dry_run and (plan.steps or output is not None):
        total = sum(output.size for output in plan.outputs)
        if output is None and not in_place:
            output = _beside(plan, suffix)
        with progress_of("writing", total, wanted=total >= _LONG) as progress:
            written = api.write(
                plan,
                output,
                in_place=in_place,
                backup=backup,
                receipt=receipt,
                progress=progress.advance,
            )
    plan = located(plan, written.path if written else plan.before.where)
    page = functools.partial(plan_page, plan, written, full=full, backup=in_place and backup)
    write_report(plan, page, output_format, document)
    return FINDINGS if plan.remains or (dry_run and plan.steps) else CLEAN


def located(plan: Plan, where: str) -> Plan:
    """Return a plan whose problems that remain name `where`, the folder they are in."""
    return plan._replace(remains=sanitize.located(plan.remains, as_path(where)))


def refuse_contradictions(plan: Plan, options: WriteOptions) -> None:
    """Raise UnknownSelection for options that exclude each other, or do not fit the plan."""
    output, in_place, backup, dry_run = options[:4]
    cached = plan.steps and not dry_run and output is None and _in_hub_cache(plan.before.root)
    refuse(
        (
            output is not None and in_place,
            "--output and --in-place exclude each other",
            "omit one of them",
        ),
        (
            not (backup or in_place),
            "--no-backup has no effect without --in-place",
            "omit it: a new folder replaces nothing",
        ),
        (
            options.receipt is not None and dry_run,
            "--receipt has no effect with --dry-run",
            "omit one of them",
        ),
        (
            (output or "").endswith(".safetensors") and len(plan.outputs) > 1,
            "--output is a file name, but the result is a folder",
            "give the name of a folder",
        ),
        (
            cached and (backup or not in_place),
            f"{plan.before.where} is in the Hugging Face cache, to which nothing should be added",
            "write elsewhere with --output, or use --in-place --no-backup",
        ),
    )


def _in_hub_cache(root: str) -> bool:
    parts = root.split("/")
    return "snapshots" in parts[1:] and parts[parts.index("snapshots") - 1].startswith(
        ("models--", "datasets--", "spaces--")
    )


def _beside(plan: Plan, suffix: str) -> str:
    """Return the path of a new folder or file beside the checkpoint.

    Links such as a run's `last`, which change, are resolved.
    """
    root = os.path.realpath(plan.before.root)
    if plan.before.where.endswith(".safetensors"):
        stem = plan.before.weights[0].path.removesuffix(".safetensors")
        return f"{root}/{stem}-{suffix}.safetensors"
    return f"{root}-{suffix}"
