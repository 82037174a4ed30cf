"""`ckpt verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.findings_output import FORMATS, judge_all
from ckpt_tools.cli.output import progress_bar, progress_of

if TYPE_CHECKING:
    from ckpt_tools.rules.finding import Verification


@click.command(short_help="Check a checkpoint for problems.", epilog=options.ANYWHERE_HELP)
@options.wheres
@options.reference
@options.spec
@click.option(
    "--values",
    is_flag=True,
    help=(
        "Also read every tensor: NaN, infinities, zeros, placeholders, a VLM that was never loaded."
    ),
)
@click.option(
    "--live",
    is_flag=True,
    help="Compare with what the installed library would write for its config, without weights.",
)
@click.option("--load", is_flag=True, help="Load the policy with LeRobot and act once.")
@options.base
@options.rules
@options.target
@options.settings
@options.require
@options.suppress
@options.reason
@options.baseline
@options.lenient
@options.output_format(*FORMATS)
def verify(  # noqa: PLR0913 - one parameter an option
    wheres: tuple[str, ...],
    *,
    reference: str | None,
    spec: str | None,
    values: bool,
    live: bool,
    load: bool,
    bases: tuple[str, ...],
    rules: tuple[str, ...] | None,
    target: str,
    settings: str | None,
    require: tuple[str, ...] | None,
    suppress: tuple[str, ...] | None,
    reason: str,
    baseline: str | None,
    lenient: bool,
    output_format: str,
) -> int:
    """Check the checkpoint at WHERE: files, names, dtypes, shapes, configs, processors.

    Headers and configs are read, and with --values every tensor. Each finding has a code: `ckpt
    explain CK301` explains it. Suppressions and their reasons are read from ckpt.toml. Of several
    checkpoints, JSON is one document a line. Exit status: 0 clean, 1 findings, 2 could not run, 3
    nothing was checked; of several checkpoints the worst.

    \b
    ckpt verify outputs/train/reflow
    ckpt verify upload/ --reference normal/ --values
    """
    selected = api.known_rules(rules) if rules else None

    def judge(where: str) -> Verification:
        with (
            progress_bar("asking the library", wanted=(live or load) and not values),
            progress_of("reading", None, wanted=values) as progress,
        ):
            return api.verify(
                where,
                reference=reference,
                spec=spec,
                values=values,
                live=live,
                load=load,
                base=bases,
                lenient=lenient,
                target=target,
                settings=settings,
                require=require or (),
                suppress=suppress or (),
                reason=reason,
                baseline=baseline,
                rules=selected,
                progress=progress.advance,
                expect=progress.expect,
            )

    return judge_all(wheres, judge, output_format)
