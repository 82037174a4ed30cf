"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from ckpt_tools.diff.model import Aspect
from ckpt_tools.errors import UnknownSelection

if TYPE_CHECKING:
    from collections.abc import Callable

type Decorator = Callable[[Callable[..., int]], Callable[..., int]]

WHERE_HELP = (
    "WHERE is a folder with model.safetensors or with shards and their index, a single .safetensors"
    " file, a LeRobot run or step folder, or a snapshot in the Hugging Face cache."
)

ANYWHERE_HELP = (
    f"{WHERE_HELP} Or it is hf://owner/name[@revision][/path], a model repository on the Hub, which"
    " is read without downloading it."
)


class PathText(click.ParamType[str]):
    """A path or an address as it was typed, for which a shell offers files."""

    name = "path"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return that the shell is to offer files."""
        return [CompletionItem(incomplete, type="file")]


PATH = PathText()


def where(name: str) -> Decorator:
    """Return the argument for a checkpoint; reading it reports whether it exists."""
    return click.argument(name, metavar=name.upper(), type=PATH)


def _refuse_codes(
    ctx: click.Context, _param: click.Parameter, wheres: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse a rule's code where a checkpoint is expected: `--suppress CK301 CK302`."""
    for one in wheres:
        if re.fullmatch("CK[0-9]+", one, re.IGNORECASE) and not os.path.lexists(one):
            before = ctx.params.get("suppress") or ctx.params.get("rules")
            raise UnknownSelection(
                f"{one} is the code of a rule, and no checkpoint has this name",
                hint=f"separate codes by commas, without spaces: {','.join((*before, one))}"
                if before
                else f"name a checkpoint; `ckpt explain {one}` explains the rule",
            )
    return wheres


wheres: Decorator = click.argument(
    "wheres", metavar="WHERE...", type=PATH, nargs=-1, required=True, callback=_refuse_codes
)
"""The argument for one checkpoint or several."""


def refuse(*cases: tuple[object, str, str]) -> None:
    """Raise UnknownSelection for the first of (applies, what is wrong, what to do) that applies."""
    for applies, what, hint in cases:
        if applies:
            raise UnknownSelection(what, hint=hint)


def output_format(*formats: str) -> Decorator:
    """Return the option `--format`, the first being the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Output format.",
    )


lenient: Decorator = click.option(
    "--lenient",
    is_flag=True,
    help=(
        "Accept files that the safetensors library accepts although they violate its specification,"
        " and indexes that disagree with their shards."
    ),
)


settings: Decorator = click.option(
    "--settings",
    type=PATH,
    metavar="FILE",
    help=(
        "Settings file (default: ckpt.toml, or [tool.ckpt] in pyproject.toml, in the current folder"
        " or above it in its repository)."
    ),
)


profile: Decorator = click.option(
    "--profile",
    metavar="NAME",
    help="lerobot, transformers or generic (default: from ckpt.toml, or by the config).",
)

reference: Decorator = click.option(
    "--reference", type=PATH, metavar="NORMAL", help="Compare with this reference checkpoint too."
)

spec: Decorator = click.option(
    "--spec",
    type=PATH,
    metavar="FILE",
    help="Compare names, dtypes and shapes with this lockfile (see `ckpt spec`).",
)

base: Decorator = click.option(
    "--base",
    "bases",
    metavar="NAME=DIR",
    multiple=True,
    help=(
        "Local copy DIR of what a config calls NAME: a VLM, a tokenizer, an adapter's base model."
        " Repeatable; nothing is downloaded."
    ),
)

target: Decorator = click.option(
    "--target",
    default="",
    metavar="RELEASE",
    help="LeRobot release that loads it, such as lerobot==0.4 (default: the newest).",
)


def _listed(
    _ctx: click.Context, param: click.Parameter, given: str | tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """Return the words of an option, None without it. Raises UnknownSelection if it has none."""
    if given is None or given == ():
        return None
    found = tuple(
        item for one in ((given,) if isinstance(given, str) else given) for item in listed(one)
    )
    if not found:
        raise UnknownSelection(
            f"{param.opts[0]} is empty", hint=f"write {param.opts[0]} {param.metavar}, or omit it"
        )
    return found


rules: Decorator = click.option(
    "--rules",
    metavar="CODES",
    callback=_listed,
    help="Check only the rules whose codes begin so, separated by commas: CK3,CK710.",
)


require: Decorator = click.option(
    "--require",
    metavar="QUESTIONS",
    callback=_listed,
    help=(
        "Fail unless these were checked, separated by commas: container, values, completeness,"
        " agreement, processors, supply-chain."
    ),
)


suppress: Decorator = click.option(
    "--suppress",
    multiple=True,
    metavar="CODES",
    callback=_listed,
    help=(
        "Accept every finding of these rules, separated by commas, for the reason that --reason"
        " gives. Repeatable."
    ),
)


reason: Decorator = click.option(
    "--reason", metavar="TEXT", default="", help="Why what --suppress names is fine."
)


baseline: Decorator = click.option(
    "--baseline",
    type=PATH,
    metavar="FILE",
    help="Accept the findings in FILE, which --format json wrote, and fail only for new ones.",
)


def given_options(ctx: click.Context) -> tuple[str, ...]:
    """Return the options that a command was given, as words of the same command."""
    words: list[str] = []
    for one in ctx.command.params:
        name = str(one.name)
        if not isinstance(one, click.Option) or name not in ctx.params:
            continue
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            given = ctx.params[name]
            value = ",".join(given) if isinstance(given, tuple) else str(given)
            values = given if one.multiple else (value,)
            words += [word for each in values for word in (one.opts[0], each)[: 2 - one.is_flag]]
    return tuple(words)


def listed(text: str) -> tuple[str, ...]:
    """Return the items of a comma-separated list."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


class Number(click.FloatRange):
    """A number in a range, called so in messages."""

    name = "number"


class WholeNumber(click.IntRange):
    """A whole number in a range, called so in messages."""

    name = "whole number"


class AspectList(click.ParamType[frozenset[Aspect]]):
    """A comma-separated list of aspects."""

    name = "aspects"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[Aspect]:
        """Return the aspects listed in `value`."""
        if isinstance(value, frozenset):
            return value
        names = [name.strip() for name in str(value).split(",")]
        unknown = [name for name in names if name not in list(Aspect)]
        if "values" in unknown:
            self.fail("tensor values are not an aspect; use --values to compare them", param, ctx)
        if unknown:
            self.fail(
                f"{', '.join(unknown)} is not an aspect; choose from {', '.join(Aspect)}",
                param,
                ctx,
            )
        return frozenset(map(Aspect, names))
