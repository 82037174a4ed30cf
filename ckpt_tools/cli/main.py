"""The `ckpt` command group. Errors become one line on standard error and an exit code."""

from __future__ import annotations

import sys

import click

from ckpt_tools import __version__
from ckpt_tools.cli.group import LazyGroup
from ckpt_tools.cli.output import (
    INTERRUPTED,
    TROUBLE,
    complain,
    open_what_is_closed,
    sentence_of,
    silence,
    write,
    write_error,
)
from ckpt_tools.errors import CkptError, naming_options

SECTIONS = {
    "Look": ("show", "diff", "hash", "doctor"),
    "Judge": ("verify", "gate", "audit", "rules", "explain", "spec"),
    "Change": (
        *("sanitize", "config", "strip", "rename", "cast", "extract", "reshard", "merge"),
        *("plan", "apply", "recover", "restore"),
    ),
    "Publish": ("upload",),
    "About the command line": ("help", "completion"),
}
"""Commands by what they are for, in the order of `ckpt --help`."""

MEANT = {
    **dict.fromkeys(("check", "validate", "lint", "test"), "verify"),
    **dict.fromkeys(("compare", "cmp"), "diff"),
    **dict.fromkeys(("info", "ls", "list", "inspect", "view"), "show"),
    **dict.fromkeys(("repair", "fix", "clean", "convert"), "sanitize"),
    **dict.fromkeys(("undo", "revert", "rollback"), "restore"),
    **dict.fromkeys(("push", "publish"), "upload"),
}
"""Verbs that other tools have, and the command that does the same here."""

COMMANDS = tuple(name for names in SECTIONS.values() for name in names)


@click.group(
    cls=LazyGroup,
    package="ckpt_tools.cli",
    sections=SECTIONS,
    meant=MEANT,
    context_settings={"max_content_width": 100},
    no_args_is_help=True,
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, given: _print_version(ctx) if given else None,
    help="Show the version and exit.",
)
def cli() -> None:
    """Diff, repair, verify and gate safetensors checkpoints before they are uploaded.

    Exit status: 0 clean or same, 1 findings or differences, 2 could not run, 3 nothing was checked.
    """


def _print_version(ctx: click.Context) -> None:
    """Print the version of this tool and of the format, and whether the kernel is missing."""
    from ckpt_tools.values import kernels  # noqa: PLC0415 - ctypes would slow every other start

    slow = "; without the compiled kernel: tensor values are read more slowly"
    write(f"ckpt {__version__} (safetensors format 0.8{slow * (not kernels.reads())})\n")
    ctx.exit()


def _one_clause(message: str) -> str:
    """Return click's message without the end of its last sentence: a guess becomes a bracket."""
    message = message.partition(". Choose from:")[0]  # the argument's name has the choices
    what, guess, name = message.rstrip(".?").partition(" Did you mean ")
    return f"{what.rstrip('.')} (did you mean {name}?)" if guess else what


def _complain(error: click.ClickException) -> None:
    """Write click's complaint in one line; `ckpt` alone writes its help."""
    ctx: click.Context | None = getattr(error, "ctx", None)
    is_help = isinstance(error, click.exceptions.NoArgsIsHelpError)
    if is_help and (ctx is None or ctx.parent is None):
        write_error(f"{error.format_message()}\n")
        return
    message = "Missing command." if is_help else error.format_message()
    what = _one_clause(message)
    if message == "Missing command." and ctx and isinstance(ctx.command, click.Group):
        what += f", one of {', '.join(ctx.command.list_commands(ctx))}"
    complain(f"{what}; see `{ctx.command_path if ctx else 'ckpt'} --help`")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    open_what_is_closed()
    with naming_options():
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    """Run the command line; complain of what it raises."""
    try:
        return int(cli.main(args=arguments, prog_name="ckpt", standalone_mode=False) or 0)
    except CkptError as error:
        complain(str(error))
    except click.ClickException as error:
        _complain(error)
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted; no partial output was left behind")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone, as with `head`. Python would complain again when it
        # closes standard output.
        silence(sys.stdout)
    except OSError as error:
        complain(sentence_of(error))
    except MemoryError:
        complain("not enough memory; close other programs or raise the limit (`ulimit -v`)")
    return TROUBLE
