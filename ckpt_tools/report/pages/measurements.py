"""What a doctor measured of two running policies, as blocks."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.doctor.measured_causes import FAR, far
from ckpt_tools.doctor.statistics import run_dtypes
from ckpt_tools.report.blocks import Heading, Line, Table
from ckpt_tools.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.measurement import Interval, Live
    from ckpt_tools.report.blocks import Block

_SOME = 4
"""Number of dimensions that are shown; JSON has all."""

_NUMBERS = 3


def live_blocks(live: Live) -> Iterator[Block]:
    """Yield what was measured: times, distances of actions, frames, the environment."""
    measured = live.measurement
    machine = (
        f"{measured.device}, {count(measured.threads, 'thread')}"
        if measured.device == "cpu"
        else measured.device
    )
    yield Heading(text="Measured")
    yield Line(
        text=(
            f"{printable(measured.what)}; the same noise for both; on {machine}, in turn, in "
            "eager mode"
        )
    )
    sides = dict.fromkeys(map(run_dtypes, (measured.normal, measured.reflow)))
    yield from (
        Line(text=f"{name} runs in: {printable(words)}")
        for name, words in zip(
            ("NORMAL", "REFLOW") if len(sides) > 1 else ("each",), sides, strict=True
        )
    )
    yield Heading(text="Time of one chunk, and actions, by number of Euler steps")
    yield _sweep(live)
    yield Line(
        text=(
            "ratio: of two times measured one after the other, which other load affects alike, "
            "so not the ratio of the columns; straight: distance of each policy's actions to its "
            "own at the most steps; apart: of REFLOW's to NORMAL's. 1 is a standard deviation; "
            "below 0.1 is the same to a robot. "
            f"far: the share of frames on which they are more than {FAR} apart"
        )
    )
    yield Heading(text=f"Where the time goes, at REFLOW's {count(live.steps, 'step')}")
    rows = tuple(
        (row.part, _ms(row.normal), _ms(row.reflow), times(row.ratio)) for row in live.parts
    )
    yield Table(
        header=("part", "NORMAL ms", "REFLOW ms", "ratio (95 %)"),
        rows=rows,
        right=frozenset({1, 2}),
    )
    yield Heading(
        text=(
            f"Actions, each at its own steps (NORMAL {measured.normal.num_steps}, REFLOW"
            f" {measured.reflow.num_steps})"
        )
    )
    yield _dimensions(live)
    yield from _frames(live)
    yield from _environment(live)


def _sweep(live: Live) -> Table:
    own = {live.measurement.normal.num_steps: "N", live.measurement.reflow.num_steps: "R"}
    if len(own) == 1:
        own = dict.fromkeys(own, "N R")
    rows = tuple(
        (
            f"{row.steps} {own.get(row.steps, '')}".strip(),
            _ms(row.normal),
            _ms(row.reflow),
            times(row.ratio),
            f"{figure(row.straight_normal)} / {figure(row.straight_reflow)}",
            figure(row.apart),
            f"{far(row):.0%}",
        )
        for row in live.sweep
    )
    return Table(
        header=("steps", "NORMAL ms", "REFLOW ms", "ratio (95 %)", "straight", "apart", "far"),
        rows=rows,
        right=frozenset({1, 2, 4, 5, 6}),
    )


def _dimensions(live: Live) -> Table:
    worst = sorted(
        live.dimensions, key=lambda row: -row.apart if isfinite(row.apart) else float("-inf")
    )
    rows = [
        (str(row.dimension), _between(row.normal), _between(row.reflow), figure(row.apart))
        for row in worst[:_SOME]
    ]
    rows.append(("all", "", "", figure(live.apart)))
    if live.apart_crossed is not None:
        rows.append(("all, in NORMAL's processors", "", "", figure(live.apart_crossed)))
    header = (
        "dimension"
        if len(live.dimensions) <= _SOME
        else f"dimension (worst {_SOME} of {len(live.dimensions)})",
        "NORMAL",
        "REFLOW",
        "apart",
    )
    return Table(header=header, rows=tuple(rows), right=frozenset({3}))


def _frames(live: Live) -> Iterator[Line]:
    """Yield how far the worst frames are apart, which a mean over all frames hides."""
    known = sorted((apart for apart in live.own_steps.frames if isfinite(apart)), reverse=True)
    if len(known) > 1:
        others = sum(apart > FAR for apart in known)
        yield Line(
            text=f"worst frames: {', '.join(map(figure, known[:_NUMBERS]))} apart;"
            f" {others} of {len(known)} further than {FAR}, which are other actions"
        )


def _environment(live: Live) -> Iterator[Block]:
    rollout, found = live.measurement.environment, live.environment
    if rollout is None:
        return
    yield Heading(text=f"Environment {printable(rollout.kind)}, {len(rollout.step[1])} steps")
    if found:
        rows = tuple(
            (name, _seconds(sum(infer)), _seconds(sum(step)), f"{share:.0%}")
            for name, infer, step, share in zip(
                ("NORMAL", "REFLOW"), rollout.infer, rollout.step, found[:2], strict=True
            )
        )
        yield Table(
            header=("policy", "waiting for it", "in step()", "share of step()"),
            rows=rows,
            right=frozenset({1, 2, 3}),
        )
        yield Line(
            text=f"step() under REFLOW's actions takes {times(found[2])} as long as under NORMAL's"
        )


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _ms(interval: Interval) -> str:
    return (
        f"{interval.median * 1000:.3g}" if interval.median < 1 else f"{interval.median * 1000:,.0f}"
    )


def times(interval: Interval) -> str:
    """Return a ratio with its interval."""
    return f"{interval.median:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def figure(value: float) -> str:
    """Return a distance in two decimals."""
    return f"{value:.2f}" if isfinite(value) else "not finite"


def _between(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3g} to {pair[1]:.3g}" if all(map(isfinite, pair)) else "not finite"
