"""`ckpt audit run`."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import (
    CLEAN,
    FINDINGS,
    NOTHING_CHECKED,
    TROUBLE,
    complain,
    write,
    write_error,
)
from ckpt_tools.rules.remedy import as_path
from ckpt_tools.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.audit.model import Tally

_SECONDS = 0.2
"""Between two updates of the progress line."""


@click.command("run", short_help="Check what changed since the last run, and write it to a file.")
@options.wheres
@click.option(
    "--out", metavar="FILE", required=True, help="The SQLite file to write, or to bring up to date."
)
@click.option("--values", is_flag=True, help="Also read every tensor, and compare their contents.")
@click.option("--jobs", metavar="N", type=click.IntRange(min=1), help="Number of workers.")
@click.option(
    "--engine",
    type=click.Choice(("local", "slurm", "ray")),
    default="local",
    show_default=True,
    help="Where the workers run: on this machine or on a cluster.",
)
@click.option(
    "--work",
    metavar="DIR",
    default="",
    help="A folder or bucket that the cluster's machines share.",
)
@click.option(
    "--only", metavar="GLOB", multiple=True, help="Only locations that match. Repeatable."
)
@options.settings
@click.option(
    "--fail-on",
    type=click.Choice(("error", "warning", "note")),
    default="warning",
    show_default=True,
    help="The least severe finding that makes the exit status 1.",
)
def command(  # noqa: PLR0913 - one parameter an option
    wheres: tuple[str, ...],
    *,
    out: str,
    values: bool,
    jobs: int | None,
    engine: str,
    work: str,
    only: tuple[str, ...],
    settings: str | None,
    fail_on: str,
) -> int:
    """Check every checkpoint at and below WHERE, and write what is found to FILE.

    WHERE is a folder, a checkpoint, hf://owner, a collection, a bucket, or - for addresses on
    standard input, one a line. Run the same command again to look only at what changed, or to go on
    after an interruption.

    \b
    ckpt audit run outputs/ --out audit.db
    ckpt audit run hf://lerobot s3://lab/checkpoints --out audit.db
    """
    options.refuse(
        (work and engine == "local", "--work is for --engine slurm and ray", "omit it"),
    )
    chosen = None if engine == "local" else api.audit_engine(engine, work, jobs or 0)
    with _progress_line() as progress:
        tally = api.audit(
            _named(wheres),
            out=out,
            values=values,
            jobs=jobs or 0,
            engine=chosen,
            only=only,
            settings=settings,
            progress=progress,
            notify=complain,
        )
    write(f"{_summary(tally)}\n")
    if tally.errors or tally.warnings or tally.failed:
        write(f"report: {printable(shlex.join(('ckpt', 'audit', 'show', as_path(out))))}\n")
    return _status(tally, fail_on)


def _named(wheres: tuple[str, ...]) -> list[str]:
    """Return what is named, with the lines of standard input for `-`."""
    named: list[str] = []
    for where in wheres:
        lines = sys.stdin.read().splitlines() if where == "-" else (where,)
        named += (line.strip() for line in lines if line.strip())
    return list(dict.fromkeys(named))


def _summary(tally: Tally) -> str:
    parts = (
        (tally.unchanged, "unchanged"),
        (tally.judged_again, "judged again by newer rules without reading"),
        (tally.failed, "could not be looked at"),
        (tally.vanished, "vanished"),
        (tally.errors, "with errors"),
        (tally.warnings, "with warnings only"),
    )
    done = ", ".join(f"{number:,} {what}" for number, what in parts if number)
    return f"{count(tally.found, 'checkpoint')}{': ' * bool(done)}{done}"


def _status(tally: Tally, fail_on: str) -> int:
    if not tally.found:
        return NOTHING_CHECKED
    if tally.failed:
        return TROUBLE
    by_severity = {"error": tally.errors, "warning": tally.warnings, "note": tally.notes}
    counted = list(by_severity)[: list(by_severity).index(fail_on) + 1]
    return FINDINGS if any(by_severity[one] for one in counted) else CLEAN


@contextmanager
def _progress_line() -> Iterator[Callable[[Tally], None]]:
    """Yield what writes one line about a run, on a terminal and from time to time."""
    shown = time.monotonic()

    def show(tally: Tally) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _SECONDS:
            shown = now
            write_error(f"\r\x1b[K{_summary(tally)}")

    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield show
    finally:
        write_error("\r\x1b[K")
