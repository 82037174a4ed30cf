"""A diagnosis as blocks: what differs, what was measured, why, and what to run."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.doctor.model import Effect
from ckpt_tools.doctor.repairs import commands, is_command
from ckpt_tools.doctor.statistics import policy
from ckpt_tools.report.blocks import Heading, Line, Status, Table
from ckpt_tools.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.model import Cause, Diagnosis, Interval, Live, StatisticPair
    from ckpt_tools.report.blocks import Block, Page

_MARKS = {
    Effect.BREAKS: Status.BAD,
    Effect.WRONG: Status.BAD,
    Effect.SLOW: Status.BAD,
    Effect.HEAVY: Status.CHANGE,
}
_WORDS = {
    Effect.BREAKS: "does not run because",
    Effect.WRONG: "acts wrongly because",
    Effect.SLOW: "slow because",
    Effect.HEAVY: "larger than need be because",
}
_SOME = 4
"""Lines of evidence, and dimensions, that are shown; JSON has all."""

_NUMBERS = 3


def page(diagnosis: Diagnosis) -> Page:
    """Return the page of `ckpt doctor`."""
    return (
        *_sides(diagnosis),
        *_settings(diagnosis),
        *_statistics(diagnosis),
        *(_live(diagnosis.live) if diagnosis.live else ()),
        *_causes(diagnosis),
        *_verdict(diagnosis),
    )


def _sides(diagnosis: Diagnosis) -> Iterator[Block]:
    yield Line(text=f"NORMAL  {printable(diagnosis.where[0])}")
    yield Line(text=f"REFLOW  {printable(diagnosis.where[1])}")


def _settings(diagnosis: Diagnosis) -> Iterator[Block]:
    differing = [pair for pair in diagnosis.settings if not pair.same]
    if not diagnosis.settings:
        return
    yield Heading(text="settings that decide")
    if differing:
        rows = tuple(
            (printable(pair.key), printable(pair.normal), printable(pair.reflow))
            for pair in differing
        )
        yield Table(header=("setting", "NORMAL", "REFLOW"), rows=rows)
    same = len(diagnosis.settings) - len(differing)
    if same:
        yield Line(
            text=f"{same} {'more ' if differing else ''}the same in both",
            mark=Status.GOOD if not differing else Status.NONE,
        )


def _statistics(diagnosis: Diagnosis) -> Iterator[Block]:
    if not diagnosis.statistics:
        return
    yield Heading(text="normalisation")
    differing = [pair for pair in diagnosis.statistics if not pair.same]
    if differing:
        rows = tuple(
            (_statistic(pair), _short(pair.normal), _short(pair.reflow)) for pair in differing
        )
        yield Table(header=("statistic", "NORMAL", "REFLOW"), rows=rows)
    same = len(diagnosis.statistics) - len(differing)
    modes = ", ".join(
        dict.fromkeys(f"{printable(pair.feature)} {pair.mode}" for pair in diagnosis.statistics)
    )
    if same:
        yield Line(
            text=(
                f"{count(same, 'more statistic' if differing else 'statistic')} the same in"
                f" both ({modes})"
            ),
            mark=Status.NONE if differing else Status.GOOD,
        )


def _statistic(pair: StatisticPair) -> str:
    side = "in" if "pre" in pair.path else "out"
    return f"{side}: {printable(pair.feature)}.{pair.kind}"


def _short(values: tuple[float, ...] | None) -> str:
    if values is None:
        return "absent"
    shown = " ".join(f"{value:.3g}" for value in values[:_NUMBERS])
    return f"{shown} …" if len(values) > _NUMBERS else shown


def _live(live: Live) -> Iterator[Block]:
    measured = live.measurement
    machine = (
        f"{measured.device}, {count(measured.threads, 'thread')}"
        if measured.device == "cpu"
        else measured.device
    )
    yield Heading(text="measured")
    yield Line(
        text=(
            f"{printable(measured.what)}; the same noise for both; on {machine}, in turn,"
            " without compiling"
        )
    )
    sides = dict.fromkeys((policy(measured.normal), policy(measured.reflow)))
    yield from (
        Line(text=f"{name} runs in: {printable(words)}")
        for name, words in zip(
            ("NORMAL", "REFLOW") if len(sides) > 1 else ("each",), sides, strict=True
        )
    )
    yield Heading(text="time of one chunk, and actions, by number of Euler steps")
    yield _sweep(live)
    yield Line(
        text=(
            "straight: REFLOW's actions against its own at the most steps; apart: against"
            " NORMAL's own. 1 is a standard deviation, below 0.1 is the same"
        )
    )
    yield Heading(text=f"where the time goes, at REFLOW's {count(live.steps, 'step')}")
    rows = tuple(
        (row.part, _ms(row.normal), _ms(row.reflow), _times(row.ratio)) for row in live.parts
    )
    yield Table(
        header=("part", "NORMAL ms", "REFLOW ms", "ratio (95 %)"),
        rows=rows,
        right=frozenset({1, 2}),
    )
    yield Heading(
        text=(
            f"actions, each at its own steps (NORMAL {measured.normal.num_steps}, REFLOW"
            f" {measured.reflow.num_steps})"
        )
    )
    yield _dimensions(live)
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
            _times(row.ratio),
            f"{_figure(row.straight_normal)} / {_figure(row.straight_reflow)}",
            _figure(row.apart),
        )
        for row in live.sweep
    )
    return Table(
        header=("steps", "NORMAL ms", "REFLOW ms", "ratio (95 %)", "straight", "apart"),
        rows=rows,
        right=frozenset({1, 2, 4, 5}),
    )


def _dimensions(live: Live) -> Table:
    worst = sorted(
        live.dimensions, key=lambda row: -row.apart if isfinite(row.apart) else float("-inf")
    )
    rows = [
        (str(row.dimension), _between(row.normal), _between(row.reflow), _figure(row.apart))
        for row in worst[:_SOME]
    ]
    rows.append(("all", "", "", _figure(live.apart)))
    if live.apart_crossed is not None:
        rows.append(("all, in NORMAL's processors", "", "", _figure(live.apart_crossed)))
    header = (
        "dimension"
        if len(live.dimensions) <= _SOME
        else f"dimension (worst {_SOME} of {len(live.dimensions)})",
        "NORMAL",
        "REFLOW",
        "apart",
    )
    return Table(header=header, rows=tuple(rows), right=frozenset({3}))


def _environment(live: Live) -> Iterator[Block]:
    rollout, found = live.measurement.environment, live.environment
    if rollout is None:
        return
    yield Heading(text=f"environment {printable(rollout.kind)}, {len(rollout.step[1])} steps")
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
            text=f"step() under REFLOW's actions takes {_times(found[2])} as long as under NORMAL's"
        )


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _ms(interval: Interval) -> str:
    return (
        f"{interval.median * 1000:.3g}" if interval.median < 1 else f"{interval.median * 1000:,.0f}"
    )


def _times(interval: Interval) -> str:
    return f"{interval.median:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _figure(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "not finite"


def _between(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3g} to {pair[1]:.3g}" if all(map(isfinite, pair)) else "not finite"


def _causes(diagnosis: Diagnosis) -> Iterator[Block]:
    if diagnosis.causes:
        yield Heading(text=f"causes: {len(diagnosis.causes)}")
    for cause in diagnosis.causes:
        yield Line(
            text=f"{cause.code}: {printable(cause.what)}",
            mark=_MARKS[cause.effect],
            details=tuple(_details(cause)),
        )


def _details(cause: Cause) -> Iterator[str]:
    if cause.measured:
        yield f"measured: {printable(cause.measured)}"
    rules = [line.partition(" ")[0] for line in cause.because if line.startswith("CK")]
    shown = [line for line in cause.because if not line.startswith("CK")]
    yield from map(printable, shown[:_SOME])
    if rules:
        yield f"found by {', '.join(dict.fromkeys(rules))} (ckpt explain)"
    if cause.repair and not is_command(cause.repair):
        yield printable(cause.repair)


def _verdict(diagnosis: Diagnosis) -> Iterator[Block]:
    yield Heading(text="verdict")
    yield from (Line(text=printable(note)) for note in diagnosis.notes)
    if diagnosis.not_live:
        yield Line(
            text=f"no live part: {printable(diagnosis.not_live)}",
            mark=Status.BAD if diagnosis.failed else Status.NONE,
        )
    for effect, words in _WORDS.items():
        codes = [cause.code for cause in diagnosis.causes if cause.effect is effect]
        if codes:
            yield Line(text=f"{words}: {', '.join(codes)}", mark=_MARKS[effect])
    if not diagnosis.causes:
        yield _nothing(diagnosis)
    repairs = [command for command in commands(diagnosis.causes) if is_command(command)]
    if repairs:
        yield Line(text="to repair it, run", details=tuple(repairs))


def _nothing(diagnosis: Diagnosis) -> Line:
    live = diagnosis.live
    if diagnosis.failed:
        return Line(
            text="nothing wrong in the files, and what was to be measured could not be",
            mark=Status.BAD,
        )
    if live is None:
        return Line(text="nothing wrong found in the files", mark=Status.GOOD)
    few = live.sweep[0]
    said = (
        f"REFLOW at {few.steps} step differs from its {live.sweep[-1].steps} by"
        f" {_figure(few.straight_reflow)}, from NORMAL by {_figure(few.apart)}"
    )
    return Line(
        text=f"nothing wrong found: a chunk takes {_times(live.own)} as long as NORMAL's; {said}",
        mark=Status.GOOD,
    )
