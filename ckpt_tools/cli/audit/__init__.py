"""`ckpt audit`: many checkpoints at once. Each command is in the module of its name."""

from __future__ import annotations

import click

from ckpt_tools.cli.group import LazyGroup

COMMANDS = ("run", "show", "diff", "graph", "export")
"""Commands in the order of `ckpt audit --help`."""


@click.group(
    cls=LazyGroup,
    package=__name__,
    sections={"Commands": COMMANDS},
    unlisted=("work",),
    no_args_is_help=True,
    short_help="Check many checkpoints, and how they are related.",
)
def audit() -> None:
    """Check every checkpoint in a folder tree, an organization on the Hub or a bucket.

    `run` writes one SQLite file and brings it up to date later; the other commands read it.
    """
