"""`ckpt spec`: write lockfiles, which `ckpt verify --spec` checks."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.checkpoint.spec import text, write_spec
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, complain, progress_bar, write
from ckpt_tools.text import count


class _OrWhere(click.Group):
    """A group whose arguments without a command are those of `write`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `write` before anything but a command or the option for help."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["write", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_OrWhere,
    short_help="Write a lockfile of names, dtypes and shapes.",
    subcommand_metavar="[write] WHERE [ARGS]...",
)
def spec() -> None:
    """Write a lockfile of the tensors of a checkpoint, for `ckpt verify --spec` to check.

    With --live it is of the tensors that the installed library would write for a config.

    \b
    ckpt spec write outputs/train/run -o smolvla.spec.json
    ckpt spec outputs/train/run --live -o act.spec.json
    ckpt verify student/ --spec smolvla.spec.json
    """


@spec.command("write", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option(
    "-o",
    "--output",
    "--out",
    type=options.PATH,
    metavar="FILE",
    help="Write to FILE, a new file or an older lockfile, instead of standard output.",
)
@click.option(
    "--live",
    is_flag=True,
    help=(
        "Ask the installed library what it would write for the config at WHERE, which needs no"
        " weights; see docs/families.md."
    ),
)
@options.base
def write_(where: str, *, output: str | None, live: bool, bases: tuple[str, ...]) -> int:
    """Write the names, dtypes and shapes of the tensors at WHERE as JSON, one tensor per line.

    Exit status: 0, or 2 if it could not run.
    """
    options.refuse((bases and not live, "--base has no effect without --live", "add --live"))
    with progress_bar("asking the library", wanted=live):
        found = api.spec(where, live=live, base=bases)
    if output is None:
        write(text(found))
    else:
        write_spec(found, output)
        complain(f"{output}: written ({count(len(found.tensors), 'tensor')})")
    return CLEAN
