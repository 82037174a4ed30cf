"""`ckpt help`."""

from __future__ import annotations

import click

from ckpt_tools.cli.output import CLEAN, write


@click.command("help", short_help="Show the help of a command.")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def command(ctx: click.Context, *, names: tuple[str, ...]) -> int:
    """Show the help of COMMAND, as `ckpt COMMAND --help` does, or the list of commands.

    \b
    ckpt help diff
    ckpt help config set
    """
    at = ctx.find_root()
    found: click.Command = at.command
    for name in names:
        if not isinstance(found, click.Group):
            at.fail(f"{at.command_path} has no commands, so no {name}")
        _, inner, _ = found.resolve_command(at, [name])
        if inner is not None:
            found = inner
            at = click.Context(found, info_name=name, parent=at)
    write(f"{found.get_help(at)}\n")
    return CLEAN
