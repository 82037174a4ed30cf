"""`ckpt gate`."""

from __future__ import annotations

import click

from ckpt_tools.api import _gate
from ckpt_tools.cli import options
from ckpt_tools.cli.findings_output import FORMATS, write_judgement
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, progress_of


@click.command(short_help="Say whether a checkpoint may be uploaded.", epilog=options.ANYWHERE_HELP)
@options.where("where")
@click.option(
    "--profile",
    metavar="NAME",
    help="lerobot, transformers or generic; by default what ckpt.toml says, or what the config asks for.",
)
@click.option("--reference", metavar="NORMAL", help="Hold it against this normal checkpoint too.")
@click.option(
    "--target",
    default="",
    metavar="RELEASE",
    help="The LeRobot release it is meant for, such as lerobot==0.4; the newest otherwise.",
)
@options.settings
@click.option(
    "--spec",
    metavar="FILE",
    help="Hold its names, dtypes and shapes against this lockfile (see `ckpt spec`).",
)
@click.option(
    "--no-values",
    is_flag=True,
    help="Do not read the tensors: faster, and blind to NaN, zeros and placeholders.",
)
@options.output_format(*FORMATS)
def gate(  # noqa: PLR0913 - one parameter an option
    where: str,
    *,
    profile: str | None,
    settings: str | None,
    reference: str | None,
    target: str,
    spec: str | None,
    no_values: bool,
    output_format: str,
) -> int:
    """Say whether what lies at WHERE may be uploaded.

    All that `ckpt verify --values` looks at, and pickles, code, secrets, links, leftovers, the
    model card.

    Every file of the folder is judged. Errors and warnings refuse, notes do not; ckpt.toml says
    what is lived with, and why. Exit status: 0 passes, 1 refused, 2 trouble, 3 nothing was checked.

    \b
    ckpt gate upload/
    ckpt gate upload/ --profile lerobot --reference normal/
    """
    with progress_of("reading", None, wanted=not no_values) as progress:
        verdict = _gate.gate(
            where,
            profile=profile,
            settings=settings,
            reference=reference,
            spec=spec,
            values=not no_values,
            target=target,
            progress=progress.advance,
            expect=progress.expect,
        )
    write_judgement(verdict, output_format)
    if not verdict.verification.checked:
        return NOTHING_CHECKED
    return CLEAN if verdict.passes else FINDINGS
