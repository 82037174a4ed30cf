"""`ckpt audit`: many checkpoints at once. Each command is in the module of its name."""

from __future__ import annotations

import importlib

import click

COMMANDS = ("run",)
"""Commands in the order of `ckpt audit --help`."""

_HIDDEN = ("work",)


class _Group(click.Group):
    """A group that imports a command's module when the command runs, to start up fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return the command of that name, None if there is none."""
        if cmd_name not in (*COMMANDS, *_HIDDEN):
            return None
        module = importlib.import_module(f"ckpt_tools.cli.audit.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(
    cls=_Group, no_args_is_help=True, short_help="Check many checkpoints, and how they are related."
)
def audit() -> None:
    """Check every checkpoint in a folder tree, an organization on the Hub or a bucket.

    `run` writes one SQLite file and brings it up to date later; the other commands read it.
    """
