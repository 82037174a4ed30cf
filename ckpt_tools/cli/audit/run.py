"""`ckpt audit run`."""

from __future__ import annotations

import gc
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ckpt_tools import api, shell
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
from ckpt_tools.text import count, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.audit.model import Tally

_SECONDS = 0.2
"""Between two updates of the progress line."""

_CLEAR = "\r\x1b[K"
_COLUMNS = 80


@click.command("run", short_help="Check what changed since the last run, and write it to a file.")
@options.wheres
@click.option(
    "--out", metavar="FILE", required=True, help="The SQLite file to write, or to bring up to date."
)
@click.option("--values", is_flag=True, help="Also read every tensor, and compare their contents.")
@click.option("--jobs", metavar="N", type=options.WholeNumber(min=1), help="Number of workers.")
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
    gc.enable()  # a run can take hours, and libraries of buckets leave cycles
    chosen = None if engine == "local" else api.audit_engine(engine, work, jobs or 0)
    with _progress_line() as line:
        tally = api.audit(
            _named(wheres),
            out=out,
            values=values,
            jobs=jobs or 0,
            engine=chosen,
            only=only,
            settings=settings,
            progress=line.show,
            notify=line.say,
        )
    write(f"{_summary(tally)}\n")
    if tally.errors or tally.warnings or tally.failed:
        write(f"report: {escaped(shell.join(('ckpt', 'audit', 'show', as_path(out))))}\n")
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


class _ProgressLine:
    """One line about a run, on a terminal and from time to time; sentences go above it."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._next = time.monotonic() + _SECONDS

    def show(self, tally: Tally) -> None:
        """Write how far the run is."""
        now = time.monotonic()
        if self._is_shown and now >= self._next:
            self._next = now + _SECONDS
            write_error(f"{_CLEAR}{_summary(tally)[: _columns() - 1]}")

    def say(self, sentence: str) -> None:
        """Write a sentence, which stays."""
        self.clear()
        complain(sentence)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            write_error(_CLEAR)


@contextmanager
def _progress_line() -> Iterator[_ProgressLine]:
    """Yield the progress line, which is gone after the block."""
    line = _ProgressLine()
    try:
        yield line
    finally:
        line.clear()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
