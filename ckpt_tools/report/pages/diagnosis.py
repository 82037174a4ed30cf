"""A diagnosis as blocks: differences, causes, commands; and its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.doctor.model import Effect, NoteKind, Skip
from ckpt_tools.doctor.repairs import commands
from ckpt_tools.report.blocks import Heading, Line, Status, Table
from ckpt_tools.report.pages.measurements import figure, live_blocks
from ckpt_tools.text import count, escaped, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.measurement import Interval
    from ckpt_tools.doctor.model import Cause, Diagnosis, Note, Skipped, StatisticPair
    from ckpt_tools.report.blocks import Block, Page

_MARKS = {
    Effect.BREAKS: Status.BAD,
    Effect.WRONG: Status.BAD,
    Effect.SLOW: Status.BAD,
    Effect.ROUNDED: Status.CHANGE,
    Effect.HEAVY: Status.CHANGE,
}
_EFFECTS = {
    Effect.BREAKS: "does not run",
    Effect.WRONG: "acts wrongly",
    Effect.SLOW: "slow",
    Effect.ROUNDED: "less exact",
    Effect.HEAVY: "larger than necessary",
}
_NOTES = {
    NoteKind.SWAPPED: (
        "NORMAL contains {text}, REFLOW does not: they may be in the wrong order, so no command"
        " that changes REFLOW is suggested; first run"
    ),
    NoteKind.NOT_MEASURED: (
        "nothing could be measured: REFLOW {text}; apply the repairs and run the doctor again"
    ),
    NoteKind.OTHER_FINDINGS: (
        "{findings} in REFLOW, not counted as causes; `ckpt verify` lists them"
    ),
    NoteKind.SHARED_FINDINGS: (
        "{findings} in both, which cannot cause the difference; `ckpt verify` lists them"
    ),
    NoteKind.SYNTHETIC: (
        "the observations are synthetic, so the distance between the actions means little: use"
        " --dataset or --batch"
    ),
    NoteKind.ROLLOUT_ENDED: "the rollout ended early: {text}",
    NoteKind.ENVIRONMENT_SHARED: (
        "both wait for the environment's step() most of the time (REFLOW {text}): a faster"
        " simulation helps both, and is not why one is slower"
    ),
    NoteKind.ON_THE_HUB: "{text} is on the Hub; download it to run or repair it",
}
_SKIPPED = {
    Skip.NOT_REQUESTED: "not requested",
    Skip.UNREADABLE: "REFLOW cannot be read",
    Skip.RUNS_CODE: (
        "a processor of {text} names a class to import, and loading it would run that code "
        "(ckpt explain CK731)"
    ),
    Skip.ON_THE_HUB: "{text} is on the Hub, and policies run only from local files",
    Skip.NO_PROBE: "{text}",
    Skip.PROBE_FAILED: "{text}",
    Skip.NORMAL_FAILED: "NORMAL {text}",
}
_SOME = 4
"""Number of lines of evidence that are shown; JSON has all."""

_NUMBERS = 3

_KEY, _VALUE = 52, 24
"""Characters of a setting's name, and of its value, that are shown."""


def page(diagnosis: Diagnosis) -> Page:
    """Return the page of `ckpt doctor`."""
    return (
        *_sides(diagnosis),
        *_settings(diagnosis),
        *_statistics(diagnosis),
        *(live_blocks(diagnosis.live) if diagnosis.live else ()),
        *_causes(diagnosis),
        *_verdict(diagnosis),
    )


def note_text(note: Note) -> str:
    """Return a note as a sentence, with its command."""
    return ": ".join(filter(None, (_sentence(note), note.command)))


def _sentence(note: Note) -> str:
    adjective = "other finding" if note.kind is NoteKind.OTHER_FINDINGS else "finding"
    return _NOTES[note.kind].format(text=note.text, findings=count(note.number, adjective))


def skipped_text(skipped: Skipped) -> str:
    """Return why there is no live comparison."""
    return _SKIPPED[skipped.reason].format(text=skipped.text)


def _sides(diagnosis: Diagnosis) -> Iterator[Block]:
    yield Line(text=f"NORMAL  {printable(diagnosis.where[0])} (the reference)")
    yield Line(text=f"REFLOW  {printable(diagnosis.where[1])}")


def _settings(diagnosis: Diagnosis) -> Iterator[Block]:
    differing = [pair for pair in diagnosis.settings if not pair.same]
    if not diagnosis.settings:
        return
    yield Heading(text="Settings")
    if differing:
        rows = tuple(
            (_cut(pair.key, _KEY), _cut(pair.normal, _VALUE), _cut(pair.reflow, _VALUE))
            for pair in differing
        )
        yield Table(header=("setting", "NORMAL", "REFLOW"), rows=rows)
    same = len(diagnosis.settings) - len(differing)
    if same:
        yield Line(
            text=f"{same} {'more ' if differing else ''}the same in both",
            mark=Status.GOOD if not differing else Status.NONE,
        )


def _cut(text: str, width: int) -> str:
    shown = printable(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def _statistics(diagnosis: Diagnosis) -> Iterator[Block]:
    if not diagnosis.statistics:
        return
    yield Heading(text="Normalization")
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


def _causes(diagnosis: Diagnosis) -> Iterator[Block]:
    if diagnosis.causes:
        yield Heading(text=f"Causes: {len(diagnosis.causes)}")
    for cause in diagnosis.causes:
        yield Line(
            text=f"{cause.code}: {printable(cause.what)}",
            mark=_MARKS[cause.effect],
            details=tuple(_details(cause)),
        )


def _details(cause: Cause) -> Iterator[str]:
    if cause.measured:
        yield f"measured: {printable(cause.measured)}"
    yield from [printable(fact.text) for fact in cause.because if not fact.code][:_SOME]
    rules = dict.fromkeys(fact.code for fact in cause.because if fact.code)
    if rules:
        yield f"found by {', '.join(rules)} (ckpt explain)"
    if cause.repair.text and not cause.repair.argv:
        yield printable(cause.repair.text)


def _verdict(diagnosis: Diagnosis) -> Iterator[Block]:
    yield Heading(text="Verdict")
    for note in diagnosis.notes:
        # A command is never cut.
        command = f": {escaped(note.command)}" if note.command else ""
        yield Line(text=f"{printable(_sentence(note))}{command}")
    if diagnosis.skipped:
        requested = diagnosis.skipped.reason is not Skip.NOT_REQUESTED
        reason = f": {printable(skipped_text(diagnosis.skipped))}" if requested else ""
        yield Line(
            text=f"live comparison {'failed' if diagnosis.failed else 'skipped'}{reason}",
            mark=Status.BAD if diagnosis.failed else Status.NONE,
        )
    for effect, text in _EFFECTS.items():
        codes = [cause.code for cause in diagnosis.causes if cause.effect is effect]
        if codes:
            yield Line(text=f"{text}: {', '.join(codes)}", mark=_MARKS[effect])
    if not diagnosis.causes:
        yield _nothing(diagnosis)
    if repairs := commands(diagnosis.causes):
        yield Line(text="to repair it, run", details=tuple(map(str, repairs)))


def _nothing(diagnosis: Diagnosis) -> Line:
    """Return the verdict without a cause, which never denies what a table above it shows."""
    live, found, but, mark = diagnosis.live, "nothing wrong found", "", Status.GOOD
    differing = (
        (sum(not pair.same for pair in diagnosis.settings), "setting"),
        (sum(not pair.same for pair in diagnosis.statistics), "statistic"),
    )
    if shown := " and ".join(count(number, what) for number, what in differing if number):
        verb = "differs" if sum(number for number, _ in differing) == 1 else "differ"
        found, but, mark = "no cause found", f", although {shown} {verb}", Status.CHANGE
    if diagnosis.failed:
        return Line(
            text=f"{found} in the files{but}; the live comparison could not run",
            mark=Status.BAD,
        )
    if live is None:
        return Line(text=f"{found} in the files{but}", mark=mark)
    few, most = live.sweep[0], live.sweep[-1]
    return Line(
        text=(
            f"{found}{but}: {duration(live.own)}; "
            f"REFLOW's actions at {count(few.steps, 'step')} differ from those at {most.steps} "
            f"by {figure(few.straight_reflow)}, and from NORMAL's by {figure(few.apart)}"
        ),
        mark=mark,
    )


def duration(ratio: Interval) -> str:
    """Return how long REFLOW's chunks take beside NORMAL's."""
    factor = "" if ratio.low <= 1 <= ratio.high else f"{ratio.median:.3g} times "
    return f"a chunk takes {factor}as long as NORMAL's ({ratio.low:.3g} to {ratio.high:.3g} times)"
