"""`ckpt completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ckpt_tools.cli.output import CLEAN, write


@click.command("completion", short_help="Print a script that completes commands in your shell.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> int:
    """Print the script that lets SHELL complete commands, options, files and rule codes.

    \b
    ckpt completion bash > ~/.local/share/bash-completion/completions/ckpt
    ckpt completion zsh > ~/.zfunc/_ckpt      (fpath+=~/.zfunc before compinit)
    ckpt completion fish > ~/.config/fish/completions/ckpt.fish
    """
    root = ctx.find_root()
    script = get_completion_class(shell)
    if script is not None:
        write(script(root.command, {}, "ckpt", "_CKPT_COMPLETE").source() + "\n")
    return CLEAN
