"""`ckpt verify`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.findings_output import FORMATS, write_judgement
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, progress_of


@click.command(short_help="Say what is wrong with a checkpoint.", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option("--reference", metavar="NORMAL", help="Hold it against this normal checkpoint too.")
@click.option(
    "--spec",
    metavar="FILE",
    help="Hold its names, dtypes and shapes against this lockfile (see `ckpt spec`).",
)
@click.option(
    "--values",
    is_flag=True,
    help="Read every tensor too: NaN, infinities, zeros, placeholders, a VLM that was never loaded.",
)
@click.option("--load", is_flag=True, help="Let the training core load the policy and act once.")
@click.option(
    "--target",
    default="",
    metavar="RELEASE",
    help="The LeRobot release it is meant for, such as lerobot==0.4; the newest otherwise.",
)
@options.settings
@options.output_format(*FORMATS)
def verify(  # noqa: PLR0913 - one parameter an option
    where: str,
    *,
    reference: str | None,
    spec: str | None,
    values: bool,
    load: bool,
    target: str,
    settings: str | None,
    output_format: str,
) -> int:
    """Say what is wrong with the checkpoint at WHERE.

    Files, names, dtypes, shapes, configs, processors.

    Headers and configs are read; with --values every tensor too. Each finding has a code: `ckpt
    explain CK301` says why it matters. ckpt.toml says what is lived with, and why. Exit status: 0
    clean, 1 findings, 2 trouble, 3 nothing was checked.

    \b
    ckpt verify outputs/train/reflow
    ckpt verify upload/ --reference normal/ --values
    """
    with progress_of("reading", None, wanted=values) as progress:
        verification = api.verify(
            where,
            reference=reference,
            spec=spec,
            values=values,
            load=load,
            target=target,
            settings=settings,
            progress=progress.advance,
            expect=progress.expect,
        )
    write_judgement(verification, output_format)
    if not verification.checked:
        return NOTHING_CHECKED
    return CLEAN if verification.clean else FINDINGS
