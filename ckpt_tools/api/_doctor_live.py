"""The live comparison of `diagnose`: whether both policies can run here, and what a probe says."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools import shell
from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.read import read
from ckpt_tools.doctor.measurement import Measurement, Side
from ckpt_tools.doctor.model import Skip, Skipped
from ckpt_tools.doctor.probe import diagnose as run_probe
from ckpt_tools.doctor.probe import refuse_without_probe
from ckpt_tools.errors import CkptError, InputsRefused, ProbeFailed, ProbeMissing
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.live.bases import HUB_CACHE, MODELS, first_missing, missing, parse_bases
from ckpt_tools.live.load import is_policy
from ckpt_tools.live.stage import staged
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.remedy import as_path
from ckpt_tools.rules.rule import Subject
from ckpt_tools.storage.hub_name import may_be_hub_name
from ckpt_tools.storage.session import is_remote, remote_storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.model import Problem

OBSERVATIONS, DRAWN, REPEATS = 32, 4, 10
"""Number of observations from a dataset, of synthetic ones, and of timed rounds."""

PACKAGE = "lerobot_policy_smolvla_reflow"
"""The package whose probe runs SmolVLA policies."""


_INFO = ("meta", "info.json")
"""The file that every LeRobot dataset has."""

_SPELLED = {"env_package": "env-package", "observations": "frames"}
"""Options of the command line whose names are not those of the fields."""


class ProbeOptions(NamedTuple):
    """What to act on: `batch` is a safetensors file of observations, `dataset` a LeRobot dataset.

    `env` is an environment as TYPE or TYPE:TASK, `env_package` the package that registers it.
    `base` are local copies, as NAME=DIR, of what the configs name on the Hub. `observations` is
    the number of a dataset's frames, spread over all of it.
    """

    batch: AnyPath = ""
    dataset: AnyPath = ""
    env: str = ""
    env_package: str = ""
    repeats: int = REPEATS
    seed: int = 0
    base: tuple[str, ...] = ()
    observations: int = OBSERVATIONS

    def words(self) -> tuple[str, ...]:
        """Return these options as `ckpt doctor` takes them, without those that are the default."""
        usual = ProbeOptions()
        given = [
            (name, as_text(value))
            for name, value, default in zip(self._fields, self, usual, strict=True)
            if name != "base" and value != default
        ]
        spelled = [(_SPELLED.get(name, name), str(value)) for name, value in given]
        spelled += [("base", base) for base in self.base]
        return tuple(word for name, value in spelled for word in (f"--{name}", value))


def check_inputs(options: ProbeOptions) -> None:
    """Raise InputsRefused for observations that cannot be read: it takes no model to see that."""
    if options.batch:
        _check_batch(as_text(options.batch))
    if options.dataset:
        _check_dataset(as_text(options.dataset))


def _check_dataset(where: str) -> None:
    """Raise InputsRefused for a dataset that is neither a LeRobot folder nor a name on the Hub."""
    folder = os.path.expanduser(where)
    what = ""
    if os.path.isdir(folder):
        if not os.path.isfile(os.path.join(folder, *_INFO)):
            what = f"is no LeRobot dataset: it has no {'/'.join(_INFO)}"
    elif os.path.exists(folder):
        what = "is a file; expected the folder of a LeRobot dataset"
    elif not may_be_hub_name(where):
        what = "no such folder; expected a LeRobot dataset: a folder, or USER/NAME on the Hub"
    if what:
        raise InputsRefused(what, path=where)


def _check_batch(path: str) -> None:
    """Raise InputsRefused for observations that are not a safetensors file."""
    if not os.path.isfile(path):
        raise InputsRefused(
            "is a folder; expected a safetensors file" if os.path.isdir(path) else "no such file",
            path=path,
        )
    try:
        read(path)
    except CkptError as error:
        raise InputsRefused(f"cannot be read as safetensors: {error.what}", path=path) from None


def compare_live(
    normal: Checkpoint,
    reflow: Checkpoint | None,
    options: ProbeOptions | None,
    progress: Callable[[int, int], None],
) -> Measurement | Problem | Skipped:
    """Return what the probe measured, why REFLOW alone could not be, or why it was not run."""
    if options is None or reflow is None:
        return Skipped(Skip.UNREADABLE if options else Skip.NOT_REQUESTED)
    if skipped := _not_run(normal, reflow):
        return skipped
    lacking = _lacking(normal, options)
    try:
        refuse_without_probe(family_of(normal).name)
        if lacking and not _is_fetchable(lacking):
            return Skipped(Skip.NORMAL_FAILED, f"cannot be loaded here: {missing(lacking)}")
        return _outcome(_measured(normal, reflow, options, progress), lacking)
    except ProbeMissing as error:
        return Skipped(Skip.NO_PROBE, error.what + _instead(reflow))
    except ProbeFailed as error:
        return Skipped(Skip.PROBE_FAILED, str(error))


def _instead(reflow: Checkpoint) -> str:
    """Return what runs a policy of which no probe is installed."""
    if family_of(reflow).name == SMOLVLA.name:
        return f"; install {PACKAGE} next to ckpt-tools"
    command = shell.join(("ckpt", "verify", as_path(reflow.where), "--load"))
    return f"; `{command}` loads REFLOW in LeRobot and acts once" * is_policy(reflow)


def _outcome(
    answer: Measurement | tuple[Problem, ...], lacking: str
) -> Measurement | Problem | Skipped:
    """Return what a probe answered; NORMAL works by definition, or this machine lacks something."""
    if isinstance(answer, Measurement):
        return answer
    problem = min(answer, key=lambda problem: problem.side is not Side.NORMAL)
    if problem.side is not Side.NORMAL:
        return problem
    needs = f"; {missing(lacking)}" * bool(lacking)
    return Skipped(Skip.NORMAL_FAILED, problem.text + needs)


def _not_run(normal: Checkpoint, reflow: Checkpoint) -> Skipped | None:
    """Return which of the two no probe is run for, and why; None where it may."""
    for reason, sides in (
        (Skip.RUNS_CODE, filter(_runs_code, (normal, reflow))),
        (Skip.ON_THE_HUB, (side for side in (normal, reflow) if is_remote(side.root))),
    ):
        if found := next(iter(sides), None):
            return Skipped(reason, found.where)
    return None


def _lacking(normal: Checkpoint, options: ProbeOptions) -> str:
    """Return the name of a model that NORMAL needs and this machine lacks, "" if it lacks none."""
    return first_missing(normal.documents, parse_bases(options.base), MODELS)


def _is_fetchable(name: str) -> bool:
    """Whether LeRobot could download a model: asking takes seconds, failing to load a minute."""
    try:
        remote_storage(f"hf://{name}")
    except CkptError:
        return False
    return True


def _measured(
    normal: Checkpoint,
    reflow: Checkpoint,
    options: ProbeOptions,
    progress: Callable[[int, int], None],
) -> Measurement | tuple[Problem, ...]:
    """Return what the probe measured, or why it could not, with the local copies of the options.

    Raises ProbeMissing, ProbeFailed, InputsRefused, and those of `parse_bases`.
    """
    bases, sides = parse_bases(options.base), (normal, reflow)
    with ExitStack() as stack:
        folders, cache = [side.root for side in sides], dict[str, str]()
        if bases:
            places = [staged(side.documents, bases, root=side.root) for side in sides]
            stages = [stack.enter_context(place) for place in places]
            folders = [stage.folder for stage in stages]
            own = stages[0].environment
            cache = {name: own[name] for name in HUB_CACHE if name in own}
        request = {
            **{name: as_text(value) for name, value in options._asdict().items() if name != "base"},
            "normal": folders[0],
            "reflow": folders[1],
            "observations": options.observations if options.dataset else DRAWN,
        }
        answer = run_probe(family_of(normal).name, request, progress, {**os.environ, **cache})
    if isinstance(answer, Measurement):
        return answer
    # A sentence of the probe names the folder that it was given, which is gone by now.
    named = {Side.NORMAL: (folders[0], normal.root), Side.REFLOW: (folders[1], reflow.root)}
    return tuple(one._replace(text=one.text.replace(*named[one.side])) for one in answer)


def _runs_code(checkpoint: Checkpoint) -> bool:
    rule = next(rule for rule in all_rules() if rule.code == "CK731")
    return any(True for _ in rule.check(Subject(checkpoint, family_of(checkpoint))))
