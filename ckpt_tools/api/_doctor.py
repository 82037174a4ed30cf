"""The verb that explains: diagnose.

Files first, then, through the training core's probe, the living policies.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.api._paths import as_text
from ckpt_tools.api._verify import verify
from ckpt_tools.checkpoint.read import read
from ckpt_tools.doctor.attribution import swapped
from ckpt_tools.doctor.causes import in_order, static_causes
from ckpt_tools.doctor.measured_causes import Observed, with_measurements
from ckpt_tools.doctor.model import Cause, CauseCode, Diagnosis, Effect
from ckpt_tools.doctor.probe import diagnose as ask_probe
from ckpt_tools.doctor.repairs import Repairs
from ckpt_tools.doctor.side_by_side import action_statistics, limits, scale, settings, statistics
from ckpt_tools.doctor.statistics import figures
from ckpt_tools.errors import CkptError, InputsRefused, NotComparable, ProbeFailed, ProbeMissing
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.rule import Subject
from ckpt_tools.storage.hub_name import download, parse
from ckpt_tools.storage.session import is_remote
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.model import Live, Measurement
    from ckpt_tools.rules.finding import Finding, Verification

OBSERVATIONS, DRAWN, REPEATS = 8, 4, 10
"""Observations of a dataset, and drawn ones; rounds of timing."""

NOT_ASKED = "not asked for"
_UNLOADABLE = frozenset(
    {
        CauseCode.REFLOW_FIELDS,
        CauseCode.TEACHER_INSIDE,
        CauseCode.UNEXPECTED_TENSORS,
        CauseCode.WEIGHTS_MISSING,
    }
)
"""Causes with which the probe, which loads strictly, does not load.

The worst ones, by effect, it does not load either.
"""


_UNREADABLE = Cause(
    CauseCode.UNREADABLE,
    Effect.BREAKS,
    "REFLOW cannot be read, whatever the settings live with",
    "`ckpt show` on it says why",
)


class Wish(NamedTuple):
    """What to act on, and where: a safetensors file of observations, or a dataset.

    An environment as TYPE or TYPE:TASK, and the package that registers it.
    """

    batch: AnyPath = ""
    dataset: AnyPath = ""
    env: str = ""
    env_package: str = ""
    repeats: int = REPEATS
    seed: int = 0


class _Outcome(NamedTuple):
    """What became of the live part.

    The figures, or why there are none and whether that is a failure; problems by side.
    """

    live: Live | None = None
    why: str = ""
    failed: bool = False
    problems: tuple[tuple[str, str], ...] = ()


def diagnose(
    normal: AnyPath,
    reflow: AnyPath,
    wish: Wish | None = None,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Diagnosis:
    """Return why REFLOW is slow or acts wrongly where NORMAL does not.

    Without a wish, files are all that is looked at.

    `progress` is called with what is done of the live part and what there is to do. Raises a
    CkptError where NORMAL cannot be read, or what the wish names.
    """
    normal, reflow = as_text(normal), as_text(reflow)
    if wish and wish.batch:
        _check_batch(as_text(wish.batch))
    here = read(normal)
    verification = verify(reflow, reference=normal)
    there = verification.checkpoint
    if there and family_of(there) is not family_of(here):
        raise NotComparable(
            f"is of the family {family_of(there).name}, and NORMAL of {family_of(here).name}",
            path=reflow,
        )
    if there and _place(here) == _place(there):
        raise NotComparable(
            "is what NORMAL is too: both are one checkpoint, and nothing can differ",
            path=reflow,
            hint="name the teacher, or an earlier checkpoint that works, first, and then the one to ask about",
        )
    repairs = Repairs(normal, reflow, here, there)
    a, b = Subject(here, family_of(here)), Subject(there or here, family_of(there or here))
    theirs = verify(normal)
    new, shared = _split(verification, theirs)
    causes = (
        static_causes(new, a, b, repairs)
        if there
        else (static_causes(new, a, a, repairs) or (_UNREADABLE,))
    )
    outcome = _live(here, there, wish, progress)
    if outcome.live:
        measured = outcome.live.measurement.action_statistics or action_statistics(a)
        causes = with_measurements(Observed(outcome.live, limits(measured), causes, repairs))
    causes, problems = _of_problems(causes, outcome, repairs)
    return Diagnosis(
        normal=here,
        reflow=there,
        where=(normal, reflow),
        settings=tuple(settings(here, there)) if there else (),
        statistics=tuple(statistics(a, b)) if there else (),
        causes=causes,
        notes=(
            *swapped(theirs.findings, verification.findings),
            *problems,
            *_notes(causes, new, shared, outcome.live),
            *_away(here, there),
        ),
        live=outcome.live,
        not_live=outcome.why,
        failed=outcome.failed,
    )


def _away(*sides: Checkpoint | None) -> Iterator[str]:
    """Yield how to bring to this machine what is on the Hub.

    Living policies and repairs need it here.
    """
    for side in sides:
        if side and is_remote(side.root):
            yield f"{side.where} is on the Hub; to let it act, or to repair it: {download(parse(side.where))[0]}"


def _check_batch(path: str) -> None:
    """Raise InputsRefused for observations that are no safetensors file, before anything is loaded to act on them."""
    if not os.path.isfile(path):
        raise InputsRefused(
            "is no file" if os.path.isdir(path) else "there is no such file", path=path
        )
    try:
        read(path)
    except CkptError as error:
        raise InputsRefused(f"cannot be read as safetensors: {error.what}", path=path) from None


def _place(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return where the weights of a checkpoint truly lie, links followed."""
    root = checkpoint.root if is_remote(checkpoint.root) else os.path.realpath(checkpoint.root)
    return (root, *(file.path for file in checkpoint.weights))


def _split(
    reflow: Verification, normal: Verification
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return the findings that only REFLOW has, and those that both have.

    A checkpoint that works has them too.
    """
    known = {(finding.code, finding.path, finding.subject) for finding in normal.findings}
    shared = tuple(
        finding
        for finding in reflow.findings
        if (finding.code, finding.path, finding.subject) in known
    )
    return tuple(finding for finding in reflow.findings if finding not in shared), shared


def _live(
    here: Checkpoint,
    there: Checkpoint | None,
    wish: Wish | None,
    progress: Callable[[int, int], None],
) -> _Outcome:
    if wish is None or there is None:
        return _Outcome(why="REFLOW cannot be read" if wish else NOT_ASKED)
    code = [side.where for side in (here, there) if _runs_code(side)]
    if code:
        return _Outcome(
            why=f"a processor of {code[0]} names a class to import, which loading would run (ckpt explain CK731)",
            failed=True,
        )
    if away := [side.where for side in (here, there) if is_remote(side.root)]:
        return _Outcome(why=f"{away[0]} is on the Hub, and a policy acts only on this machine")
    request = {
        **{name: as_text(value) for name, value in wish._asdict().items()},
        "normal": here.root,
        "reflow": there.root,
        "observations": OBSERVATIONS if wish.dataset else DRAWN,
    }
    try:
        answer = ask_probe(family_of(here).name, request, progress)
    except ProbeMissing as error:
        return _Outcome(
            why=f"{error.what}; install the training core beside ckpt for it: lerobot_policy_smolvla_reflow"
        )
    except ProbeFailed as error:
        return _Outcome(why=str(error), failed=True)
    return _outcome(answer, here, there)


def _outcome(answer: Measurement | dict[str, str], here: Checkpoint, there: Checkpoint) -> _Outcome:
    if not isinstance(answer, dict):
        return _Outcome(live=_figures(answer, here, there))
    # NORMAL is said to work: where it does not load, this machine lacks something, and neither can
    # be judged.
    return _Outcome(
        why=f"NORMAL {answer['normal']}" if "normal" in answer else "",
        failed="normal" in answer,
        problems=tuple(answer.items()),
    )


def _figures(measurement: Measurement, here: Checkpoint, there: Checkpoint) -> Live:
    sides = [Subject(side, family_of(side)) for side in (here, there)]
    return figures(measurement, scale(sides[0]), scale(sides[1]))


def _runs_code(checkpoint: Checkpoint) -> bool:
    rule = importlib.import_module("ckpt_tools.rules.registry").rule_of("CK731")
    return any(True for _ in rule.check(Subject(checkpoint, family_of(checkpoint))))


def _of_problems(
    causes: tuple[Cause, ...], outcome: _Outcome, repairs: Repairs
) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
    """Make a cause of why REFLOW alone did not load or act, a note where the files told one already."""
    problem = dict(outcome.problems).get("reflow", "")
    if not problem or outcome.failed:
        return causes, ()
    if any(cause.effect is Effect.BREAKS or cause.code in _UNLOADABLE for cause in causes):
        return causes, (
            f"nothing could be measured, REFLOW {problem}; repair the above, and ask again",
        )
    code, effect = CauseCode.CANNOT_ACT, Effect.BREAKS
    if "holds NaN or infinity" in problem:
        code, effect = CauseCode.WEIGHTS_NOT_FINITE, Effect.WRONG
    elif problem.startswith("does not load"):
        code = CauseCode.DOES_NOT_LOAD
    repair = (
        repairs.values()
        if code is CauseCode.WEIGHTS_NOT_FINITE
        else "the sentence is LeRobot's own; `ckpt verify --load` repeats it"
    )
    return in_order((*causes, Cause(code, effect, f"REFLOW {problem}", repair))), ()


def _notes(
    causes: tuple[Cause, ...],
    new: tuple[Finding, ...],
    shared: tuple[Finding, ...],
    live: Live | None,
) -> tuple[str, ...]:
    told = {line.partition(" ")[0] for cause in causes for line in cause.because}
    others = sum(finding.code not in told for finding in new)
    notes = []
    if others:
        notes.append(
            f"{count(others, 'finding')} in REFLOW beside, about neither speed nor actions; `ckpt verify` lists all"
        )
    if shared:
        notes.append(
            f"{count(len(shared), 'finding')} in both, which cannot make the difference; `ckpt verify` lists all"
        )
    if live and live.measurement.synthetic:
        notes.append(
            "the observations are synthetic, so how far apart the actions are says little: give --dataset or --batch"
        )
    if live and live.measurement.environment and live.measurement.environment.problem:
        notes.append(f"the rollout ended early: {live.measurement.environment.problem}")
    return tuple(notes)
