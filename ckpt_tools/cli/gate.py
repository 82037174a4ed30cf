"""`ckpt gate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.findings_output import FORMATS, judge_all
from ckpt_tools.cli.output import progress_of

if TYPE_CHECKING:
    from ckpt_tools.gate.verdict import Verdict


@click.command(short_help="Check whether a folder is safe to upload.", epilog=options.ANYWHERE_HELP)
@options.wheres
@options.profile
@options.reference
@options.target
@options.settings
@options.require
@options.suppress
@options.reason
@options.baseline
@options.spec
@click.option(
    "--no-values",
    is_flag=True,
    help="Do not read the tensors: faster, but NaN, zeros and placeholders are not detected.",
)
@options.output_format(*FORMATS)
def gate(  # noqa: PLR0913 - one parameter an option
    wheres: tuple[str, ...],
    *,
    profile: str | None,
    settings: str | None,
    require: tuple[str, ...] | None,
    suppress: tuple[str, ...] | None,
    reason: str,
    baseline: str | None,
    reference: str | None,
    target: str,
    spec: str | None,
    no_values: bool,
    output_format: str,
) -> int:
    """Check whether WHERE is safe to upload.

    Checks everything that `ckpt verify --values` does, and every file in the folder for pickles,
    code, secrets, links, leftovers and the model card.

    Errors and warnings fail, notes do not. Suppressions and their reasons are read from ckpt.toml.
    Of several checkpoints, JSON is one document a line. Exit status: 0 passed, 1 failed, 2 could
    not run, 3 nothing was checked; of several checkpoints the worst.

    \b
    ckpt gate upload/
    ckpt gate upload/ --profile lerobot --reference normal/
    """

    def judge(where: str) -> Verdict:
        with progress_of("reading", None, wanted=not no_values) as progress:
            return api.gate(
                where,
                profile=profile,
                settings=settings,
                require=require or (),
                suppress=suppress or (),
                reason=reason,
                baseline=baseline,
                reference=reference,
                spec=spec,
                values=not no_values,
                target=target,
                progress=progress.advance,
                expect=progress.expect,
            )

    return judge_all(wheres, judge, output_format)
