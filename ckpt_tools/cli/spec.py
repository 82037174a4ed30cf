"""`ckpt spec`: write lockfiles, which `ckpt verify --spec` checks."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.checkpoint.spec import spec_of, text, write_spec
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, complain, write
from ckpt_tools.text import count


@click.group(
    short_help="Write a lockfile of names, dtypes and shapes.",
    subcommand_metavar="COMMAND [ARGS]...",
)
def spec() -> None:
    """Write a lockfile of the tensors of a checkpoint, for `ckpt verify --spec` to check.

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
    help="Write to FILE, a new file or an older lockfile, instead of standard output.",
)
def write_(where: str, *, output: str | None) -> int:
    """Write the names, dtypes and shapes of the tensors at WHERE as JSON, one tensor per line.

    Exit status: 0, or 2 if it could not run.
    """
    found = spec_of(api.read(where))
    if output is None:
        write(text(found))
    else:
        write_spec(found, output)
        complain(f"{output}: written ({count(len(found.tensors), 'tensor')})")
    return CLEAN
