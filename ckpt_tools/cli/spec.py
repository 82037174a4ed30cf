"""`ckpt spec`: lockfiles. Checking against one is `ckpt verify --spec`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.checkpoint import spec as checkpoint_spec
from ckpt_tools.checkpoint.spec import write_spec
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, complain, write


@click.group(
    short_help="Write a lockfile of names, dtypes and shapes.",
    subcommand_metavar="COMMAND [ARGS]...",
)
def spec() -> None:
    """Write down which tensors a checkpoint has, so that `ckpt verify --spec` can hold it to that later.

    \b
    ckpt spec write outputs/train/run -o smolvla.spec.json
    ckpt verify student/ --spec smolvla.spec.json
    """


@spec.command("write", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write it to FILE, a new file or an older lockfile, instead of to standard output.",
)
def write_(where: str, *, output: str | None) -> int:
    """Write the names, dtypes and shapes of the tensors at WHERE as JSON, one tensor a line.

    Exit status: 0, or 2 for trouble.
    """
    found = checkpoint_spec.spec_of(api.read(where))
    if output is None:
        write(checkpoint_spec.text(found))
    else:
        write_spec(found, output)
        complain(f"{output}: {len(found.tensors):,} tensors")
    return CLEAN
