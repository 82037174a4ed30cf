"""`ckpt doctor`."""

from __future__ import annotations

import click

from ckpt_tools.api import _doctor
from ckpt_tools.api._doctor_live import OBSERVATIONS, REPEATS, ProbeOptions
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, TROUBLE, complain, progress_bar, write_report
from ckpt_tools.doctor import plot as plots
from ckpt_tools.doctor.statistics import LEAST
from ckpt_tools.report.json.diagnosis import document
from ckpt_tools.report.pages.diagnosis import page


@click.command(
    short_help="Diagnose a slow or misbehaving student.",
    epilog=options.WHERE_HELP.replace("WHERE is", "NORMAL and REFLOW are each"),
)
@options.where("normal")
@options.where("reflow")
@click.option(
    "--batch",
    type=options.PATH,
    metavar="FILE",
    default="",
    help="Use the observations in this safetensors file.",
)
@click.option(
    "--dataset", metavar="REPO|FOLDER", default="", help="Use frames of this LeRobot dataset."
)
@click.option(
    "--frames",
    type=options.WholeNumber(min=1),
    metavar="N",
    help=f"Number of the dataset's frames to compare (default: {OBSERVATIONS}).",
)
@click.option(
    "--env",
    metavar="TYPE[:TASK]",
    default="",
    help="Also run both in this environment, and measure its share of the time.",
)
@click.option(
    "--env-package",
    metavar="PACKAGE",
    default="",
    help="Import this package first to register the environment.",
)
@click.option(
    "--repeats",
    type=options.WholeNumber(min=LEAST),
    default=REPEATS,
    show_default=True,
    metavar="N",
    help="Number of timed runs per chunk.",
)
@click.option(
    "--seed",
    type=options.WholeNumber(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed for the noise and synthetic observations.",
)
@click.option(
    "--plot",
    type=options.PATH,
    metavar="FILE",
    default="",
    help="Plot times and actions of both to this file (.png, .svg, .pdf).",
)
@options.base
@click.option(
    "--no-live", is_flag=True, help="Compare files only, also where both policies could run."
)
@options.output_format("text", "json", "markdown")
def doctor(  # noqa: PLR0913 - one parameter an option
    normal: str,
    reflow: str,
    *,
    batch: str,
    dataset: str,
    frames: int | None,
    env: str,
    env_package: str,
    repeats: int,
    seed: int,
    plot: str,
    bases: tuple[str, ...],
    no_live: bool,
    output_format: str,
) -> int:
    """Diagnose why the policy REFLOW is slow or acts wrongly where NORMAL, which works, does not.

    The files are compared first: dtypes, settings, normalization. If the training core is
    installed, two SmolVLA policies then run in turn on the same observations and noise, with 1 to
    10 Euler steps, and their times and actions are compared; of other policies only the files are.
    The report ends with the commands that repair REFLOW. Exit status: 0 nothing wrong, 1 causes
    found, 2 could not run.

    \b
    ckpt doctor teacher/ student/ --dataset user/cubes
    ckpt doctor normal/ reflow/ --env pusht --plot doctor.png
    """
    _check_options(
        batch,
        dataset,
        no_live=no_live,
        live=[
            name for name, value in (("--env", env), ("--plot", plot), ("--base", bases)) if value
        ],
    )
    if frames and not dataset:
        raise click.UsageError("--frames needs --dataset, whose frames they are")
    if env_package and not env:
        raise click.UsageError("--env-package needs --env TYPE, the environment that it registers")
    if plot:
        plots.check(plot)
    probe_options = ProbeOptions(
        batch, dataset, env, env_package, repeats, seed, bases, frames or OBSERVATIONS
    )
    with progress_bar("loading", "MofNCompleteColumn") as update:
        diagnosis = _doctor.diagnose(
            normal,
            reflow,
            None if no_live else probe_options,
            progress=lambda done, total: update(description="running", completed=done, total=total),
        )
    if plot and diagnosis.live:
        plots.draw(diagnosis.live, plot)
    elif plot:
        complain(f"{plot} was not written: nothing was measured")
    write_report(diagnosis, lambda: page(diagnosis), output_format, document)
    if diagnosis.causes:
        return FINDINGS
    return TROUBLE if diagnosis.failed else CLEAN


def _check_options(batch: str, dataset: str, *, no_live: bool, live: list[str]) -> None:
    """Raise UsageError for options that exclude each other."""
    given = [name for name, value in (("--batch", batch), ("--dataset", dataset)) if value]
    if len(given) > 1:
        raise click.UsageError("--batch and --dataset exclude each other")
    if no_live and (given or live):
        raise click.UsageError(f"{(given + live)[0]} has no effect with --no-live")
