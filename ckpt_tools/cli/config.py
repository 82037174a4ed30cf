"""`ckpt config WHERE COMMAND`: read, edit, compare and validate JSON configs."""

from __future__ import annotations

import json
import os
import re

import click

from ckpt_tools import shell
from ckpt_tools.api import config as _config
from ckpt_tools.cli import options
from ckpt_tools.cli.group import SHARED
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, complain, write, write_report
from ckpt_tools.errors import PathNotFound, UnknownSelection
from ckpt_tools.report.json import diff as diff_json
from ckpt_tools.report.pages import config as config_page
from ckpt_tools.rules.remedy import as_path
from ckpt_tools.storage.session import is_remote
from ckpt_tools.strict_json.parse import value_of
from ckpt_tools.text import escaped

_POINTERS = """A POINTER is a JSON pointer (/policy/device), or keys and indexes joined with dots
(policy.device); - is the end of a list."""

file_option = click.option(
    "--file",
    metavar="NAME",
    help="Use this JSON file of the folder instead of config.json, such as train_config.json.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the difference as a patch and write nothing."
)


class NegativeNumbers(click.Command):
    """A command with arguments such as -1, which is a number and not an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move negative numbers behind `--`; VALUE is the last argument anyway."""
        if "--" not in args:
            numbers = [argument for argument in args if _is_number(argument)]
            args = (
                [argument for argument in args if argument not in numbers]
                + ["--"] * bool(numbers)
                + numbers
            )
        return super().parse_args(ctx, args)


class EitherOrder(click.Group):
    """A group whose argument WHERE stands before the command or after it, first or last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move WHERE to the front where `args` begin with a command."""
        if args and args[0] in self.commands:
            args = self._with_where_first(args)
        return super().parse_args(ctx, args)

    def _with_where_first(self, args: list[str]) -> list[str]:
        """Return the arguments of `VERB … WHERE` or `VERB WHERE …` as those of `WHERE VERB …`."""
        verb, rest = args[0], args[1:]
        places = self._places(verb, rest)
        if not places:
            wants_help = {"-h", "--help"} & set(rest)
            if wants_help:
                return ["WHERE", verb, "--help"]
            raise click.UsageError(f"ckpt config {verb} needs WHERE, a folder or a JSON file")
        where = rest.pop(places[0] if verb == "diff" else self._place_of_where(args, places))
        return [where, verb, *rest]

    def _places(self, verb: str, rest: list[str]) -> list[int]:
        """Return where in `rest` arguments stand, rather than options and their values."""
        takes_value = {
            name
            for parameter in (*self.commands[verb].params, *SHARED)
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for name in parameter.opts
        }
        return [
            place
            for place, argument in enumerate(rest)
            if argument != "--"
            and (not argument.startswith("-") or _is_number(argument))
            and not (place and rest[place - 1] in takes_value)
        ]

    def _place_of_where(self, args: list[str], places: list[int]) -> int:
        """Return which of the `places` after the verb is WHERE: the last, or else the first.

        Raises UnknownSelection where both may be, PathNotFound where neither is there.
        """
        verb, *rest = args
        first, last = places[0], places[-1]
        found = [place for place in sorted({first, last}) if _is_where(rest[place])]
        is_same = rest[first] == rest[last]
        if len(found) > 1 and not (is_same and places == found):
            either = (_command_with_first(verb, rest, place) for place in found)
            raise UnknownSelection(
                f"{rest[first]} may be WHERE in two places"
                if is_same
                else f"both {rest[first]} and {rest[last]} may be WHERE",
                hint=f"write it before the command: {' or '.join(either)}",
            )
        found += [place for place in (last, first) if is_remote(rest[place])]
        if found or os.path.lexists(rest[last]) or verb == "validate":
            return found[0] if found else last
        names = (one for one in self.commands[verb].params if isinstance(one, click.Argument))
        usage = " ".join((verb, *(one.human_readable_name for one in names)))
        raise PathNotFound(
            "no such file or directory",
            path=rest[last],
            hint=f"write `ckpt config {usage} WHERE`, WHERE being a folder or a JSON file",
        )


def _is_where(argument: str) -> bool:
    """Whether an argument is plainly no pointer and no value, but a folder, a file or an address.

    One such as owner/name may be a mistaken pointer.
    """
    is_file = argument.endswith(".json") and os.path.lexists(argument)
    return is_file or os.path.isdir(argument) or "://" in argument


def _command_with_first(verb: str, rest: list[str], place: int) -> str:
    words = ["ckpt", "config", as_path(rest[place]), verb, *rest[:place], *rest[place + 1 :]]
    return f"`{shell.join(words)}`"


def _is_number(argument: str) -> bool:
    return re.fullmatch(r"-[0-9][0-9.eE+-]*", argument) is not None


@click.group(
    cls=EitherOrder,
    short_help="Read, edit, compare and validate JSON configs.",
    epilog=(
        "WHERE is a checkpoint folder or a JSON file; write ./set for a folder called set."
        f" {_POINTERS}"
    ),
    subcommand_metavar="COMMAND [ARGS]...",
)
@options.where("where")
@click.pass_context
def config(ctx: click.Context, where: str) -> int:
    """Read, change, compare and validate the config.json of the checkpoint at WHERE.

    WHERE may also stand at the end: `ckpt config get POINTER WHERE`. An edit changes only the value
    itself: key order, the spelling of numbers, indentation and line ends stay. No backup is kept:
    the command that undoes an edit is printed after it.

    \b
    ckpt config reflow/ get load_vlm_weights
    ckpt config reflow/ set load_vlm_weights true
    ckpt config unset use_reflow teacher_model_path reflow/
    """
    ctx.obj = where
    return CLEAN


@config.command(epilog=_POINTERS)
@click.argument("pointer", default="")
@file_option
@click.pass_obj
def get(where: str, *, pointer: str, file: str | None) -> int:
    """Print the value at POINTER, or the whole file, as JSON.

    Exit status: 0, or 2 if there is none.
    """
    found = _config.get(where, pointer, file=file)
    write(json.dumps(found, indent=2).replace("\x7f", "\\u007f") + "\n")
    return CLEAN


@config.command("set", cls=NegativeNumbers, epilog=_POINTERS)
@click.argument("pointer")
@click.argument("value")
@file_option
@dry_run_option
@click.option(
    "--change-type",
    is_flag=True,
    help="Replace a value by one of another type, such as a boolean by text.",
)
@click.pass_obj
def set_(  # noqa: PLR0913 - one parameter an option
    where: str, *, pointer: str, value: str, file: str | None, dry_run: bool, change_type: bool
) -> int:
    """Set the value at POINTER to VALUE, in place; a new key is added at the end of its object.

    VALUE is JSON (true, 1e-4, null, '"text"', '[1, 2]'); anything that is not valid JSON is treated
    as a string. A value of another type than before is refused, except for null. Exit status: 0 set
    or already set, 2 could not run.
    """
    meant, is_json = value_of(value)
    edit = _config.set_value(
        where, pointer, meant, file=file, dry_run=dry_run, change_type=change_type
    )
    note = "read as JSON" if is_json else "treated as a string: not valid JSON"
    _print(edit, where, file, dry_run=dry_run, note=note)
    return CLEAN


@config.command(epilog=_POINTERS)
@click.argument("pointers", metavar="POINTER...", nargs=-1, required=True)
@file_option
@dry_run_option
@click.pass_obj
def unset(where: str, *, pointers: tuple[str, ...], file: str | None, dry_run: bool) -> int:
    """Remove the value at each POINTER and its key, in place.

    Exit status: 0 removed or not set, 2 could not run.
    """
    edit = _config.unset_values(where, pointers, file=file, dry_run=dry_run)
    _print(edit, where, file, dry_run=dry_run)
    return CLEAN


@config.command()
@click.argument("other")
@file_option
@click.option("--full", is_flag=True, help="Show all values.")
@options.output_format("text", "json", "markdown")
@click.pass_obj
def diff(where: str, *, other: str, file: str | None, full: bool, output_format: str) -> int:
    """Compare the config of WHERE with that of OTHER, a folder or a JSON file.

    Exit status: 0 same, 1 different, 2 could not run.
    """
    comparison = _config.diff(where, other, file=file)
    write_report(
        comparison,
        lambda: config_page.comparison_page(comparison, full=full),
        output_format,
        diff_json.document,
    )
    return CLEAN if comparison.diff.same else FINDINGS


@config.command()
@file_option
@options.output_format("text", "json")
@click.pass_obj
def validate(where: str, *, file: str | None, output_format: str) -> int:
    """Check the config against the schema of its model family.

    Exit status: 0 valid, 1 invalid, 2 could not run, 3 no schema for this file.
    """
    validation = _config.validate(where, file=file)
    if validation.schema or output_format == "json":
        write_report(
            validation,
            lambda: config_page.validation_page(validation.path, validation.problems),
            output_format,
            lambda found: config_page.validation_document(*found),
        )
    if not validation.schema:
        complain(
            f"{validation.path}: no schema for this file, nothing was checked;"
            " `ckpt config` has schemas for the JSON files of SmolVLA checkpoints"
        )
        return NOTHING_CHECKED
    return FINDINGS if validation.problems else CLEAN


def _print(
    edit: _config.Edit, where: str, file: str | None, *, dry_run: bool, note: str = ""
) -> None:
    """Print a line for each value, and what undoes it; in a dry run to standard error."""
    if dry_run:
        write(config_page.difference(edit.before, edit.after, edit.path))
    for change in edit.changes:
        line = config_page.change_line(*change, note=note)
        if dry_run:
            complain(line)
        else:
            write(f"{line}\n")
    for change in edit.changes if not dry_run else ():
        command = config_page.undo_command(where, file, *change[:3])
        if command:
            write(f"undo: {escaped(command)}\n")
