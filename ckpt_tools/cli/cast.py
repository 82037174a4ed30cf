"""`ckpt cast`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.cli import options
from ckpt_tools.cli.edit_options import carry_out, changing, record
from ckpt_tools.edit.operations import EVERY, Cast

if TYPE_CHECKING:
    from ckpt_tools.cli.edit_options import WriteOptions


_DTYPES = tuple(dtype.label for dtype in (Dtype.BF16, Dtype.F16, Dtype.F32, Dtype.F64))


@click.command(
    short_help="Store tensors as another dtype, without loss.", epilog=options.WHERE_HELP
)
@options.where("where")
@click.argument("dtype", type=click.Choice(_DTYPES, case_sensitive=False))
@click.option(
    "--select", multiple=True, metavar="GLOB", help="Cast only what GLOB names. Repeatable."
)
@click.option(
    "--allow-lossy",
    is_flag=True,
    help="Round to the nearest where bits are lost; without it nothing is written if any would be.",
)
@record
@changing
def cast(  # noqa: PLR0913 - one parameter an option
    where: str,
    dtype: str,
    *,
    select: tuple[str, ...],
    allow_lossy: bool,
    record: bool,
    wishes: WriteOptions,
) -> int:
    """Store tensors as DTYPE, where that is proved to lose nothing.

    \b
    ckpt cast ckpt/ BF16 --select 'model.vlm_with_expert.vlm.**' -o narrow/
    """
    operation = Cast(
        next(known for known in Dtype if known.label == dtype.upper()),
        select or EVERY,
        lossy=allow_lossy,
    )
    return carry_out(api.plan(where, [operation], record=record), wishes, suffix=dtype.lower())
