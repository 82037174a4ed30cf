"""Groups of commands: imported when they run, listed by section, with the options that all share.

What a command does is in the module of its name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from ckpt_tools.cli.output import COLOR, NO_PAGER, QUIET, write_always
from ckpt_tools.strict_json.pointer import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class LazyGroup(click.Group):
    """A group that imports a command's module when the command runs, to start up fast.

    `sections` are the names of commands by title, in the order of the help; each is in the module
    of its name in `package`, as `command` or under its name. Those in `unlisted` work too. `meant`
    are commands that there are, by names that there are not.
    """

    def __init__(
        self,
        *,
        package: str,
        sections: Mapping[str, tuple[str, ...]],
        unlisted: tuple[str, ...] = (),
        meant: Mapping[str, str] | None = None,
        **settings: Any,  # noqa: ANN401 - click's
    ) -> None:
        super().__init__(**settings)
        self.params = [*self.params, *SHARED]
        self._package, self._sections, self._unlisted = package, sections, unlisted
        self._meant = meant or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands."""
        return [name for names in self._sections.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, None if there is none."""
        if cmd_name not in (*self.list_commands(ctx), *self._unlisted):
            return None
        module = importlib.import_module(f"{self._package}.{cmd_name}")
        command: click.Command = getattr(module, "command", None) or getattr(module, cmd_name)
        _add_shared_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with. Raises UsageError with the most similar."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            like = self._meant.get(name) or nearest(name, self.list_commands(ctx))
            guess = f" (did you mean {like}?)" if like else ""
            ctx.fail(f"no such command: {name}{guess}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section."""
        width = max(map(len, self.list_commands(ctx)))
        for title, names in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(_described(ctx, self, names, width))


def _described(
    ctx: click.Context, group: LazyGroup, names: Iterable[str], width: int
) -> list[tuple[str, str]]:
    found = ((name, group.get_command(ctx, name)) for name in names)
    return [
        (name.ljust(width), command.get_short_help_str(_LONG)) for name, command in found if command
    ]


_LONG = 100


def _remember(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep an option's value for `output`, wherever on the command line it stands."""
    if value:
        ctx.meta[f"ckpt.{parameter.name}"] = value


def _trace(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    """Print what is read, from now to the end, if the option is given, once."""
    root = ctx.find_root()
    if value and parameter.name not in root.meta:
        from ckpt_tools.cli.verbose import Trace  # noqa: PLC0415 - logging is of no use without it

        root.meta[str(parameter.name)] = True
        root.call_on_close(Trace().end)


def _show_help(ctx: click.Context, _parameter: click.Parameter, given: bool) -> None:
    """Print the help as click does, but with errors that name standard output."""
    if given and not ctx.resilient_parsing:
        write_always(f"{ctx.get_help()}\n")
        ctx.exit()


_HELP = click.Option(
    ["-h", "--help"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_help,
    help="Show this message and exit.",
)

SHARED = (
    click.Option(
        ["-q", "--quiet", QUIET],
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Print nothing; the exit status tells. Errors are printed.",
    ),
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_trace,
        help="Print to standard error which files are read, and when.",
    ),
    click.Option(
        ["--color", COLOR],
        type=click.Choice(("auto", "always", "never")),
        expose_value=False,
        callback=_remember,
        help="Color and width of a terminal (default: auto, on a terminal unless NO_COLOR is set).",
    ),
    click.Option(
        ["--no-pager", NO_PAGER],
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Print what is longer than the terminal without $CKPT_PAGER (default: $PAGER).",
    ),
    _HELP,
)
"""Options of every command."""


def _add_shared_options(command: click.Command) -> None:
    if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
        if _HELP not in command.params:
            command.params = [*command.params, _HELP]
        for inner in command.commands.values():
            _add_shared_options(inner)
    elif SHARED[0] not in command.params:
        command.params = [*command.params, *SHARED]
