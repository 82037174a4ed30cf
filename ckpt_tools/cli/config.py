"""`ckpt config`: a group of its own, since what follows WHERE says what is done there."""

from __future__ import annotations

import json
import re

import click

from ckpt_tools.api import _config
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, complain, write, write_report
from ckpt_tools.report.formats import text
from ckpt_tools.report.json import diff as diff_json
from ckpt_tools.report.pages import config as config_page

_POINTERS = "A POINTER is a JSON pointer (/policy/device), or keys and indexes with dots between them (policy.device); - stands for the end of a list."

file_option = click.option(
    "--file",
    metavar="NAME",
    help="Another JSON file of the folder instead of config.json, such as train_config.json.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the difference as a patch, and write nothing."
)


class NegativeNumbers(click.Command):
    """A command among whose arguments -1 is a number and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move negative numbers to the end, behind the mark for the end of options.

        VALUE is the last argument anyway.
        """
        if "--" not in args:
            numbers = [
                argument for argument in args if re.fullmatch(r"-[0-9][0-9.eE+-]*", argument)
            ]
            args = (
                [argument for argument in args if argument not in numbers]
                + ["--"] * bool(numbers)
                + numbers
            )
        return super().parse_args(ctx, args)


@click.group(
    short_help="Read, edit, compare and validate its JSON configs.",
    epilog=f"WHERE is a checkpoint's folder, or a JSON file. {_POINTERS}",
    subcommand_metavar="COMMAND [ARGS]...",
)
@options.where("where")
@click.pass_context
def config(ctx: click.Context, where: str) -> int:
    """Read, change, compare and validate the config.json of the checkpoint at WHERE.

    A change touches the characters that it must and no others: key order, the spelling of numbers,
    indentation and line ends stay.

    \b
    ckpt config reflow/ get load_vlm_weights
    ckpt config reflow/ set load_vlm_weights true
    ckpt config reflow/ unset use_reflow teacher_model_path
    """
    ctx.obj = where
    return CLEAN


@config.command(epilog=_POINTERS)
@click.argument("pointer", default="")
@file_option
@click.pass_obj
def get(where: str, *, pointer: str, file: str | None) -> int:
    """Print the value at POINTER, or the whole file, as JSON.

    Exit status: 0, or 2 where there is none.
    """
    found = _config.get(where, pointer, file=file)
    write(json.dumps(found, indent=2).replace("\x7f", "\\u007f") + "\n")
    return CLEAN


@config.command("set", cls=NegativeNumbers, epilog=_POINTERS)
@click.argument("pointer")
@click.argument("value")
@file_option
@dry_run_option
@click.pass_obj
def set_(where: str, *, pointer: str, value: str, file: str | None, dry_run: bool) -> int:
    """Set the value at POINTER to VALUE, in place; a new key is added at the end of its object.

    VALUE is JSON (true, 1e-4, null, '"text"', '[1, 2]'), and what is no JSON is a string; the
    answer says which it was taken for. Exit status: 0 set or set already, 2 trouble.
    """
    meant, is_json = _config.value_of(value)
    edit = _config.set_value(where, pointer, meant, file=file, dry_run=dry_run)
    _tell(
        edit, dry_run=dry_run, note=f"taken as {'JSON' if is_json else 'a string: it is no JSON'}"
    )
    return CLEAN


@config.command(epilog=_POINTERS)
@click.argument("pointers", metavar="POINTER...", nargs=-1, required=True)
@file_option
@dry_run_option
@click.pass_obj
def unset(where: str, *, pointers: tuple[str, ...], file: str | None, dry_run: bool) -> int:
    """Remove the values at each POINTER, in place, their keys with them.

    Exit status: 0 removed or not there, 2 trouble.
    """
    _tell(_config.unset_values(where, pointers, file=file, dry_run=dry_run), dry_run=dry_run)
    return CLEAN


@config.command()
@click.argument("other")
@file_option
@click.option("--full", is_flag=True, help="List every value instead of cutting.")
@options.output_format("text", "json", "markdown")
@click.pass_obj
def diff(where: str, *, other: str, file: str | None, full: bool, output_format: str) -> int:
    """Compare the config of WHERE with that of OTHER, a folder or a JSON file.

    Exit status: 0 same, 1 different, 2 trouble.
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
    """Say what in the config its family's schema does not allow.

    Exit status: 0 valid, 1 not valid, 2 trouble, 3 no schema is known for it.
    """
    verdict = _config.validate(where, file=file)
    if output_format == "json":
        write(diff_json.dump(config_page.verdict_document(*verdict)))
    elif verdict.schema:
        write(text.render(config_page.verdict_page(verdict.path, verdict.problems)))
    if not verdict.schema:
        complain(
            f"{verdict.path}: no schema is known for it, so nothing was checked; there is one for the config.json of a SmolVLA"
        )
        return NOTHING_CHECKED
    return FINDINGS if verdict.problems else CLEAN


def _tell(edit: _config.Edit, *, dry_run: bool, note: str = "") -> None:
    """Say what was done.

    The patch on standard output and the rest beside it for a dry run, else a line a value on
    standard output.
    """
    lines = [config_page.change_line(*change, note=note) for change in edit.changes]
    if dry_run:
        write(config_page.difference(edit.before, edit.after, edit.path))
    for line in lines:
        if dry_run:
            complain(line)
        else:
            write(f"{line}\n")
