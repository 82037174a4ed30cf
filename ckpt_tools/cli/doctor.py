"""`ckpt doctor`."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ckpt_tools.api import _doctor
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, TROUBLE, complain, write_report
from ckpt_tools.doctor.statistics import LEAST
from ckpt_tools.report.json.diagnosis import document
from ckpt_tools.report.pages.diagnosis import page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@click.command(
    short_help="Say why a student is slow or acts wrongly.",
    epilog=options.WHERE_HELP.replace("WHERE is", "NORMAL and REFLOW are each"),
)
@options.where("normal")
@options.where("reflow")
@click.option(
    "--batch", metavar="FILE", default="", help="Act on the observations in this safetensors file."
)
@click.option(
    "--dataset", metavar="REPO|FOLDER", default="", help="Act on frames of this LeRobot dataset."
)
@click.option(
    "--env",
    metavar="TYPE[:TASK]",
    default="",
    help="Act in this environment too, and say whether the time goes to it.",
)
@click.option(
    "--env-package",
    metavar="PACKAGE",
    default="",
    help="Import this package first, which registers the environment.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=LEAST),
    default=_doctor.REPEATS,
    show_default=True,
    metavar="N",
    help="Time each chunk so often.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Draw noise, and what is not given, with this seed.",
)
@click.option(
    "--plot",
    metavar="FILE",
    default="",
    help="Draw times and actions of both into this file (.png, .svg, .pdf).",
)
@click.option(
    "--no-live", is_flag=True, help="Look at files only, even where the training core is installed."
)
@options.output_format("text", "json", "markdown")
def doctor(  # noqa: PLR0913 - one parameter an option
    normal: str,
    reflow: str,
    *,
    batch: str,
    dataset: str,
    env: str,
    env_package: str,
    repeats: int,
    seed: int,
    plot: str,
    no_live: bool,
    output_format: str,
) -> int:
    """Say why the policy REFLOW is slow or acts wrongly where NORMAL, a checkpoint that works, does not; and what to run against it.

    Files first: dtypes, settings, normalisation. Then, where the training core is installed, both
    policies act on the same observations and noise, in turn: times with intervals, actions, 1 to 10
    Euler steps. Exit status: 0 nothing wrong, 1 causes found, 2 trouble.

    \b
    ckpt doctor teacher/ student/ --dataset user/cubes
    ckpt doctor normal/ reflow/ --env pusht --plot doctor.png
    """
    _refuse_what_contradicts(
        batch,
        dataset,
        no_live=no_live,
        live=[name for name, value in (("--env", env), ("--plot", plot)) if value],
    )
    if env_package and not env:
        raise click.UsageError(
            "--env-package registers the environment that --env names: give --env TYPE too"
        )
    if plot:
        importlib.import_module("ckpt_tools.doctor.plot").check(plot)
    wish = None if no_live else _doctor.Wish(batch, dataset, env, env_package, repeats, seed)
    with _progress() as progress:
        diagnosis = _doctor.diagnose(normal, reflow, wish, progress=progress)
    if plot and diagnosis.live:
        importlib.import_module("ckpt_tools.doctor.plot").draw(diagnosis.live, plot)
    elif plot:
        complain(f"nothing was measured, so {plot} was not drawn")
    write_report(diagnosis, lambda: page(diagnosis), output_format, document)
    if diagnosis.causes:
        return FINDINGS
    return TROUBLE if diagnosis.failed else CLEAN


def _refuse_what_contradicts(batch: str, dataset: str, *, no_live: bool, live: list[str]) -> None:
    """Raise UsageError for options that exclude each other."""
    given = [name for name, value in (("--batch", batch), ("--dataset", dataset)) if value]
    if len(given) > 1:
        raise click.UsageError(
            "--batch and --dataset are two answers to one question: give one of them"
        )
    if no_live and (given or live):
        raise click.UsageError(
            f"{(given + live)[0]} is for the live part, which --no-live leaves out"
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Yield whom to tell what is done of the live part; shown on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    rich = importlib.import_module("rich.progress")
    console = importlib.import_module("rich.console").Console(stderr=True)
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("loading", total=None)
        yield lambda done, total: bar.update(
            task, description="acting", completed=done, total=total
        )
