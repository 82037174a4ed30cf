"""The verb `diagnose`: from the files, and what running policies show, to causes and notes."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.api._doctor_live import check_inputs, compare_live
from ckpt_tools.api._edit import sanitize
from ckpt_tools.api._paths import as_text
from ckpt_tools.api._verify import verify
from ckpt_tools.checkpoint.read import read
from ckpt_tools.doctor.attribution import swapped
from ckpt_tools.doctor.causes import in_order, static_causes
from ckpt_tools.doctor.measured_causes import with_measurements
from ckpt_tools.doctor.measurement import Measurement
from ckpt_tools.doctor.model import (
    Cause,
    CauseCode,
    Diagnosis,
    Effect,
    Note,
    NoteKind,
    Observed,
    ProblemKind,
    Skipped,
)
from ckpt_tools.doctor.repairs import Repairs
from ckpt_tools.doctor.side_by_side import action_statistics, limits, scale, settings, statistics
from ckpt_tools.doctor.statistics import summarize
from ckpt_tools.doctor.time_causes import shared_environment
from ckpt_tools.errors import CkptError, NotComparable
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Subject
from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.files import remote_not_supported
from ckpt_tools.storage.hub_name import download, parse
from ckpt_tools.storage.session import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.api._doctor_live import ProbeOptions
    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.measurement import Live
    from ckpt_tools.doctor.model import Problem
    from ckpt_tools.rules.finding import Finding, Verification

_UNLOADABLE = frozenset(
    {
        CauseCode.REFLOW_FIELDS,
        CauseCode.TEACHER_INSIDE,
        CauseCode.UNEXPECTED_TENSORS,
        CauseCode.WEIGHTS_MISSING,
    }
)
"""Causes with which the probe, which is strict, does not load; besides all that break."""

_EXCHANGE = Remedy(text="first run the doctor with the two exchanged: see the verdict")
"""What to do about a cause in what may be the healthy one of the two."""

_UNREADABLE = Cause(
    CauseCode.UNREADABLE,
    Effect.BREAKS,
    "REFLOW cannot be read",
    Remedy(text="`ckpt show` on it reports why"),
)

_PROBLEMS = {
    ProblemKind.DOES_NOT_LOAD: (CauseCode.DOES_NOT_LOAD, Effect.BREAKS),
    ProblemKind.NOT_FINITE: (CauseCode.WEIGHTS_NOT_FINITE, Effect.WRONG),
    ProblemKind.CANNOT_ACT: (CauseCode.CANNOT_ACT, Effect.BREAKS),
}


def diagnose(
    normal: AnyPath,
    reflow: AnyPath,
    options: ProbeOptions | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Diagnosis:
    """Diagnose why the checkpoint `reflow` is slow or acts wrongly where `normal` does not.

    Without `options`, only files are compared. `progress` is called with the finished and the total
    work of the live comparison. Raises a CkptError if NORMAL, or a file in `options`, cannot be
    read, and RemoteNotSupported for what is in a bucket.
    """
    where = as_text(normal), as_text(reflow)
    for one in filter(is_address, where):
        raise remote_not_supported(one)
    if options:
        check_inputs(options)
    reference = read(where[0])
    verification = verify(where[1], reference=where[0])
    candidate = verification.checkpoint
    _check_comparable(reference, candidate, where[1])
    repairs = Repairs(*where, reference, candidate, partial(_sanitized, *where))
    a, b = _subject(reference), _subject(candidate or reference)
    of_normal = verify(where[0])
    new, shared = _split(verification, of_normal)
    causes = static_causes(new, a, b, repairs)
    if candidate is None:
        causes = causes or (_UNREADABLE,)
    outcome = compare_live(reference, candidate, options, progress)
    causes, live, explained = _with_outcome(outcome, causes, a, b, repairs)
    exchanged = repairs.exchanged(options.words() if options else ("--no-live",))
    in_wrong_order = tuple(swapped(of_normal.findings, verification.findings, str(exchanged)))
    if in_wrong_order:
        causes = tuple(cause._replace(repair=_EXCHANGE) for cause in causes)
    return Diagnosis(
        normal=reference,
        reflow=candidate,
        where=where,
        settings=tuple(settings(reference, candidate)) if candidate else (),
        statistics=tuple(statistics(a, b)) if candidate else (),
        causes=causes,
        notes=(
            *in_wrong_order,
            *explained,
            *_notes(causes, new, shared, live),
            *_on_the_hub(reference, candidate),
        ),
        live=live,
        skipped=outcome if isinstance(outcome, Skipped) else None,
    )


def _with_outcome(
    outcome: Measurement | Problem | Skipped,
    causes: tuple[Cause, ...],
    normal: Subject,
    reflow: Subject,
    repairs: Repairs,
) -> tuple[tuple[Cause, ...], Live | None, tuple[Note, ...]]:
    """Add what the probe showed to the causes in the files.

    Return them, the statistics of a measurement, and a note on a failure that they explain.
    """
    if isinstance(outcome, Skipped):
        return causes, None, ()
    if isinstance(outcome, Measurement):
        live = summarize(outcome, scale(normal), scale(reflow))
        expected = limits(outcome.action_statistics or action_statistics(normal))
        return with_measurements(Observed(live, expected, causes, repairs)), live, ()
    if any(cause.effect is Effect.BREAKS or cause.code in _UNLOADABLE for cause in causes):
        return causes, None, (Note(NoteKind.NOT_MEASURED, outcome.text),)
    return in_order((*causes, _of_problem(outcome, repairs))), None, ()


def _sanitized(normal: str, reflow: str) -> dict[str, Dtype] | None:
    """Return the dtypes that sanitizing REFLOW like NORMAL leads to, None if that is not known."""
    try:
        after = sanitize(reflow, reference=normal).after
    except CkptError:  # such as for a checkpoint on the Hub, whose values are not here
        return None
    return {tensor.name: tensor.dtype for tensor in after.tensors}


def _subject(checkpoint: Checkpoint) -> Subject:
    return Subject(checkpoint, family_of(checkpoint))


def _check_comparable(normal: Checkpoint, reflow: Checkpoint | None, path: str) -> None:
    """Raise NotComparable for checkpoints of two families, and for one checkpoint twice."""
    if reflow and family_of(reflow) is not family_of(normal):
        raise NotComparable(
            (
                f"REFLOW is a {family_of(reflow).name} checkpoint, NORMAL a "
                f"{family_of(normal).name} one"
            ),
            path=path,
        )
    if reflow and _location(normal) == _location(reflow):
        raise NotComparable(
            "NORMAL and REFLOW are the same checkpoint",
            path=path,
            hint="name the teacher, or an earlier checkpoint that works, as NORMAL",
        )


def _location(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return where the weights of a checkpoint are stored, links resolved."""
    root = checkpoint.root if is_remote(checkpoint.root) else os.path.realpath(checkpoint.root)
    return (root, *(file.path for file in checkpoint.weights))


def _split(
    reflow: Verification, normal: Verification
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return the findings in REFLOW only, and those in both, with which a checkpoint works."""
    known = {(finding.code, finding.path, finding.subject) for finding in normal.findings}
    shared = tuple(
        finding
        for finding in reflow.findings
        if (finding.code, finding.path, finding.subject) in known
    )
    return tuple(finding for finding in reflow.findings if finding not in shared), shared


def _of_problem(problem: Problem, repairs: Repairs) -> Cause:
    """Return the cause that a failure to load or act is."""
    code, effect = _PROBLEMS[problem.kind]
    repair = (
        repairs.earlier_checkpoint()
        if problem.kind is ProblemKind.NOT_FINITE
        else Remedy(text="this is LeRobot's own message; `ckpt verify --load` prints it again")
    )
    return Cause(code, effect, f"REFLOW {problem.text}", repair)


def _notes(
    causes: tuple[Cause, ...],
    new: tuple[Finding, ...],
    shared: tuple[Finding, ...],
    live: Live | None,
) -> Iterator[Note]:
    explained = {fact.code for cause in causes for fact in cause.because}
    if others := sum(finding.code not in explained for finding in new):
        yield Note(NoteKind.OTHER_FINDINGS, number=others)
    if shared:
        yield Note(NoteKind.SHARED_FINDINGS, number=len(shared))
    if live and live.measurement.synthetic:
        yield Note(NoteKind.SYNTHETIC)
    if live and live.measurement.environment and live.measurement.environment.failed:
        yield Note(NoteKind.ROLLOUT_ENDED, live.measurement.environment.problem)
    if live and live.environment and shared_environment(live):
        yield Note(NoteKind.ENVIRONMENT_SHARED, f"{live.environment[1]:.0%}")


def _on_the_hub(*sides: Checkpoint | None) -> Iterator[Note]:
    """Yield how to download what is on the Hub: running and repairing needs local files."""
    for side in sides:
        if side and is_remote(side.root):
            yield Note(NoteKind.ON_THE_HUB, side.where, command=download(parse(side.where))[0])
