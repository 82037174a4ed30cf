"""What a verdict rests on: the lines about questions checked, partly checked and skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Status
from ckpt_tools.rules.coverage import State, title
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.report.blocks import Block
    from ckpt_tools.rules.coverage import Coverage


def coverage_blocks(coverage: Sequence[Coverage], heading: str = "Checked") -> Iterator[Block]:
    """Yield a section: one line for all that was checked, and one for each other question."""
    if coverage:
        yield Heading(text=heading)
    complete = [title(one.question) for one in coverage if one.state is State.CHECKED]
    if complete:
        yield Line(text=", ".join(complete), mark=Status.GOOD)
    for state in (State.PARTLY, State.SKIPPED):
        yield from (_line(one) for one in coverage if one.state is state)


def _line(one: Coverage) -> Line:
    is_partly = one.state is State.PARTLY
    options = f" ({'all with ' * is_partly}{' or '.join(one.options)})" if one.options else ""
    word = "partly" if is_partly else "not checked"
    return Line(
        text=f"{title(one.question)} {word}: {printable(one.detail)}{options}",
        mark=Status.CHANGE if is_partly else Status.NONE,
    )
