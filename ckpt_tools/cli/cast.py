"""`ckpt cast`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import WriteOptions, apply_plan, record, with_write_options
from ckpt_tools.edit.operations import EVERY, Cast

_DTYPES = tuple(dtype.label for dtype in (Dtype.BF16, Dtype.F16, Dtype.F32, Dtype.F64))


@click.command(
    short_help="Change the dtype of tensors if this is lossless.", epilog=options.WHERE_HELP
)
@options.where("where")
@click.argument("dtype", metavar="DTYPE", type=click.Choice(_DTYPES, case_sensitive=False))
@click.option(
    "--select", multiple=True, metavar="GLOB", help="Cast only tensors that match GLOB. Repeatable."
)
@click.option(
    "--allow-lossy",
    is_flag=True,
    help="Round to the nearest where bits are lost. By default, nothing is written then.",
)
@click.option(
    "--allow-infinite",
    is_flag=True,
    help="With --allow-lossy, let values that are too large for DTYPE become infinite.",
)
@record
@with_write_options
def cast(  # noqa: PLR0913 - one parameter an option
    where: str,
    dtype: str,
    *,
    select: tuple[str, ...],
    allow_lossy: bool,
    allow_infinite: bool,
    record: bool,
    write_options: WriteOptions,
) -> int:
    """Store tensors as DTYPE (BF16, F16, F32 or F64) if this is lossless.

    \b
    ckpt cast ckpt/ BF16 --select 'model.vlm_with_expert.vlm.**' -o narrow/
    """
    if allow_infinite and not allow_lossy:
        raise click.UsageError("--allow-infinite needs --allow-lossy")
    operation = Cast(
        next(known for known in Dtype if known.label == dtype.upper()),
        select or EVERY,
        lossy=allow_lossy,
        infinite=allow_infinite,
    )
    return apply_plan(
        api.plan(where, [operation], record=record), write_options, suffix=dtype.lower()
    )
