"""Man pages in roff, made from the help of the commands: one for `ckpt` and one for each command.

They are in man/, from where the wheel brings them to share/man/man1. `make golden` writes them.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click

from ckpt_tools import __version__
from ckpt_tools.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def pages() -> dict[str, str]:
    """Return every page by its name, such as ckpt-config-set.1."""
    return dict(_pages(click.Context(cli, info_name="ckpt", **cli.context_settings)))


def _pages(ctx: click.Context) -> Iterator[tuple[str, str]]:
    yield f"{_name(ctx)}.1", "\n".join(_lines(ctx)) + "\n"
    for inner in _commands(ctx):
        yield from _pages(inner)


def _commands(ctx: click.Context) -> list[click.Context]:
    group = ctx.command
    if not isinstance(group, click.Group):
        return []
    found = ((name, group.get_command(ctx, name)) for name in group.list_commands(ctx))
    return [
        click.Context(command, info_name=name, parent=ctx) for name, command in found if command
    ]


def _name(ctx: click.Context) -> str:
    return f"{_name(ctx.parent)}-{ctx.info_name}" if ctx.parent else str(ctx.info_name)


def _lines(ctx: click.Context) -> Iterator[str]:
    command, inner, name = ctx.command, _commands(ctx), _name(ctx)
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    yield f'.TH {_text(name.upper())} 1 "" "ckpt {__version__}" "ckpt"\n.nh\n.ad l'
    yield f".SH NAME\n{_text(name)} \\- {_text(_short(command).rstrip('.'))}"
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield f".SH SYNOPSIS\n.B {_text(ctx.command_path)}\n{_text(usage)}"
    yield ".SH DESCRIPTION"
    for paragraph in (*paragraphs, *(command.epilog or "").split("\n\n")):
        yield from _paragraph(paragraph)
    if inner:
        yield ".SH COMMANDS"
        for one in inner:
            yield f".TP\n.B {_text(one.command_path)}\n{_text(_short(one.command))}"
    yield ".SH OPTIONS"
    options = (one for one in command.get_params(ctx) if isinstance(one, click.Option))
    for names, what in filter(None, (option.get_help_record(ctx) for option in options)):
        yield f".TP\n.B {_text(names)}\n{_text(what)}"
    others = (f".BR {_text(_name(one))} (1)" for one in ([ctx.parent] if ctx.parent else inner))
    yield ".SH SEE ALSO\n" + ",\n".join(others)


def _short(command: click.Command) -> str:
    return command.get_short_help_str(1000)


def _paragraph(text: str) -> Iterator[str]:
    """Yield a paragraph of a help text, its lines as they are if it says so as click has it."""
    if text.startswith("\b"):
        yield f".PP\n.nf\n{_text(text.removeprefix('\b').strip('\n'), wraps=False)}\n.fi"
    elif text.strip():
        yield f".PP\n{_text(text)}"


def _text(text: str, *, wraps: bool = True) -> str:
    """Return a text with what roff would take for its own written as characters."""
    text = " ".join(text.split()) if wraps else text
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\`")
    text = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", text)
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)
