"""`ckpt audit work`: what a worker of an audit runs. Not for people."""

from __future__ import annotations

import gc
import os
import signal
import sys

import click

from ckpt_tools import api
from ckpt_tools.audit.batches import wait_text
from ckpt_tools.cli.output import CLEAN


@click.command("work", hidden=True)
@click.argument("folder")
@click.argument("task", default="")
def command(folder: str, task: str) -> int:
    """Check the batches of a task in a work folder; with -, those on standard input, one a line.

    Then the results go to standard output.
    """
    gc.enable()  # a worker can run for hours
    gc.freeze()
    if folder != "-":
        api.work_on_task(folder, task)
        return CLEAN
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as results:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plugin prints is no result

        def answer(line: str) -> None:
            results.write(f"{line}\n".encode())
            results.flush()

        for line in sys.stdin.buffer:
            answer(api.examine_batch(line.decode(), lambda seconds: answer(wait_text(seconds))))
    return CLEAN
