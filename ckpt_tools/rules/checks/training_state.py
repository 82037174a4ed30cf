"""What training leaves in the folder: its config, its state, interrupted writes, permissions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG, TRAIN_CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import (
    departures,
    is_outside,
    reserved_fields,
)
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_STATE = re.compile(
    r"(?:training_state|wandb|tensorboard|global_step\d+|optimizer_\d+)/"
    r"|optimizer(?:_state|_param_groups)?\.(?:safetensors|json|pt|bin)"
    r"|scheduler(?:_state)?\.(?:json|pt|bin)|rng_state.*\.(?:safetensors|pth)"
    r"|random_states_\d+\.pkl|training_step\.json|training_args\.bin|trainer_state\.json"
    r"|events\.out\.tfevents\..*|.*\.wandb",
    re.ASCII,
)
_LEFT = re.compile(
    r"\.saving-.*|\.ckpt-work/?|\.ckpt-partial.*|.*\.ckpt-partial/?"
    r"|.*\.(?:tmp|temp|partial|part|incomplete|crdownload|aria2)/?|.*~/?",
    re.ASCII,
)
_READ = 0o044
_OPTIONAL = ("/dataset/root", "/output_dir", "/policy/pretrained_path", "/checkpoint_path")
"""Paths in train_config.json that LeRobot reads as null, too."""

_RESUMED = "keep it here, where `--resume` reads it; change it in the copy that you publish"
"""The advice for a run's own train_config.json."""

_NAMED = 4
"""Fields in one sentence."""

_PLUGIN_OPTIMIZER = "adamw_f32_masters"


@rule(
    "CK741",
    "train-config-reflow",
    Severity.NOTE,
    needs=Need.HEADERS,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=(SMOLVLA.name,),
)
def train_config_reflow(subject: Subject) -> Iterator[Violation]:
    """Reflow training in train_config.json.

    Running the policy does not need this file. Resuming or repeating the training does: with the
    plugin's policy type or the fields of reflow, stock LeRobot rejects the file.

    `ckpt sanitize` removes the fields and writes `smolvla`. Keep the original for resuming with the
    plugin: in a run, with its training state beside it, there is no command for that reason.

    Bad:

        {"policy": {"type": "smolvla_reflow", "teacher_num_steps": 10}}

    Good:

        {"policy": {"type": "smolvla"}}
    """
    policy = subject.checkpoint.value(TRAIN_CONFIG).get("policy")
    if not isinstance(policy, dict):
        return
    if policy.get("type") == "smolvla_reflow":
        what = "is smolvla_reflow: training resumes only with the plugin"
        yield Violation(what, TRAIN_CONFIG, "/policy/type", _RESUMED * subject.resumable)
    reserved = reserved_fields(subject)
    fields = [key for key in policy if key in reserved]
    if fields:
        names = ", ".join(f"{key} {shown(policy[key])}" for key in fields[:_NAMED])
        names += f", and {len(fields) - _NAMED} more" * (len(fields) > _NAMED)
        what = f"fields of reflow training ({names}): stock LeRobot refuses to resume from it"
        yield Violation(what, TRAIN_CONFIG, f"/policy/{fields[0]}", _RESUMED * subject.resumable)


@rule("CK742", "train-config-paths", Severity.NOTE, needs=Need.HEADERS)
def train_config_paths(subject: Subject) -> Iterator[Violation]:
    """Personal paths in train_config.json.

    Absolute paths, and those that lead into a home folder or upwards, mean nothing elsewhere and
    reveal who trained where. Resuming elsewhere needs them again on the command line. A relative
    `output_dir` is what every run has.

    In the copy that you publish, set them to what others can use, or to null: `ckpt config WHERE
    set --file train_config.json dataset.root null`. Resuming the run here needs the originals.
    `ckpt gate` checks for what may not be published at all.

    Bad:

        {"dataset": {"repo_id": "me/pick", "root": "/home/me/data/pick"}}

    Good:

        {"dataset": {"repo_id": "me/pick", "root": null}}
    """
    for pointer, text in _strings(subject.checkpoint.value(TRAIN_CONFIG), ""):
        if is_outside(text):
            what = f"contains a personal path: {shown(text)}"
            remedy = _RESUMED if subject.resumable else _hidden(pointer)
            yield Violation(what, TRAIN_CONFIG, pointer, remedy)


def _hidden(pointer: str) -> Remedy | str:
    """Return how to remove a path that may be null."""
    if pointer in _OPTIONAL:
        argv = ("ckpt", "config", "WHERE", "set", "--file", TRAIN_CONFIG, pointer, "null")
        return Remedy(argv, "in the copy that you publish: {}")
    return "in the copy that you publish, write what others can use"


def _strings(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, string) of every string in a document."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _strings(item, f"{pointer}/{escape(str(key))}")


def _outermost(subject: Subject, names: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, name) of matching entries, none inside a matching folder; folders end in `/`."""
    folders: list[str] = []
    for entry in subject.entries or ():
        name = entry.path.removesuffix("/").rpartition("/")[2] + "/" * (entry.kind == "folder")
        if names.fullmatch(name) and not entry.path.startswith(tuple(folders)):
            folders += [entry.path] if entry.path.endswith("/") else []
            yield entry.path, name


@rule("CK743", "training-state", Severity.WARNING, needs=Need.FILES)
def training_state(subject: Subject) -> Iterator[Violation]:
    """Training state or logs in the folder.

    Optimizer, scheduler and random state are for resuming, and are often larger than the policy;
    logs of wandb and TensorBoard reveal the machine and its user. LeRobot keeps both next to
    `pretrained_model/`, not in it.

    Publish `pretrained_model/` alone, or remove them.

    Bad:

        model.safetensors
        optimizer_state.safetensors
        wandb/

    Good:

        model.safetensors
    """
    for path, _ in _outermost(subject, _STATE):
        what = "is training state or a training log: loading the policy does not need it"
        yield Violation(what, path, next="do not publish it")


@rule("CK744", "leftovers", Severity.WARNING, needs=Need.FILES)
def leftovers(subject: Subject) -> Iterator[Violation]:
    """Leftovers of an interrupted write or download.

    A partial file can pass for a complete one, and the other files may be of another version.

    Finish what was interrupted (`ckpt recover`, or the download again), or remove the leftovers.

    Bad:

        model.safetensors
        model.safetensors.incomplete

    Good:

        model.safetensors
    """
    for path, name in _outermost(subject, _LEFT):
        remedy = Remedy(("ckpt", "recover", "WHERE")) if "ckpt-" in name else "remove it"
        yield Violation("is left over from an interrupted write", path, next=remedy)


@rule("CK745", "unreadable-by-others", Severity.NOTE, needs=Need.FILES)
def unreadable_by_others(subject: Subject) -> Iterator[Violation]:
    """Weights that other users cannot read.

    The safetensors library saves files that only their owner can read (0600), so stock LeRobot's
    own checkpoints are like that in the folder they were trained in. On a shared disk or in a
    container of another user the policy then fails to load, although its config.json loads. An
    upload is not affected.

    Give everyone the right to read: `chmod -R a+rX WHERE`.

    Bad:

        -rw-r--r--  config.json
        -rw-------  model.safetensors

    Good:

        -rw-r--r--  config.json
        -rw-r--r--  model.safetensors
    """
    modes = {entry.path: entry.mode for entry in subject.entries or () if entry.kind == "file"}
    normal = modes.get(CONFIG, 0) & _READ
    files = (*subject.checkpoint.weights, *subject.checkpoint.states)
    closed = [file.path for file in files if normal & ~modes.get(file.path, _READ)]
    if closed:
        others = len(closed) - 1
        do = "does" if others == 1 else "do"
        more = f" (as {do} {count(others, 'other file')})" if others else ""
        what = (
            f"has mode {modes[closed[0]]:04o}{more} but config.json {modes[CONFIG]:04o}: other "
            "users can read the config but not the weights"
        )
        command = Remedy(("chmod", "-R", "a+rX", "WHERE"), safe=True)
        yield Violation(what, closed[0], next=command)


@rule(
    "CK746",
    "train-config-value",
    Severity.NOTE,
    needs=Need.HEADERS,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def train_config_value(subject: Subject) -> Iterator[Violation]:
    """train_config.json that LeRobot 0.6.1 does not resume from.

    It rejects unknown fields and values of another type. A run of an older release has fields that
    were removed since: running the policy does not need the file, so this is a note.

    Resume with the release that wrote it. The optimizer `adamw_f32_masters` is that of
    `lerobot_policy_smolvla_reflow`, which must be installed to resume such a run.

    Bad:

        {"steps": "20000", "num_workers": 4}

    Good:

        {"steps": 20000, "num_workers": 4}
    """
    if subject.checkpoint.document(TRAIN_CONFIG):
        schema = subject.schema("train-config")
        settings = subject.checkpoint.value(TRAIN_CONFIG).get("optimizer")
        optimizer = settings.get("type") if isinstance(settings, dict) else None
        for found in departures(subject.checkpoint.value(TRAIN_CONFIG), schema):
            what, remedy = found.what, "resume with the LeRobot that wrote it"
            if found.pointer == "/optimizer/type" and optimizer == _PLUGIN_OPTIMIZER:
                what = f"is {_PLUGIN_OPTIMIZER}, the optimizer of lerobot_policy_smolvla_reflow"
                remedy = "install lerobot_policy_smolvla_reflow to resume"
            yield Violation(what, TRAIN_CONFIG, found.pointer, remedy)
