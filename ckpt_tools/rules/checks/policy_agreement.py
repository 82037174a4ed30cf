"""Where a policy's config.json and its weights or processors disagree: sizes, cameras, buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.lerobot import is_buffer
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, judges_shapes
from ckpt_tools.rules.policy_config import (
    ACTION,
    STATE,
    features,
    is_integer,
    policy_of,
    widths,
)
from ckpt_tools.rules.processors import NORMALIZER, PRE, steps
from ckpt_tools.rules.remedy import Remedy, set_config
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.rules.rule import Subject

_ACTIONS, _CHUNK = "n_action_steps", "chunk_size"
_ENSEMBLE = "temporal_ensemble_coeff"
_RENAME = "rename_observations_processor"
_SIDES = {"action": ("output_features", ACTION), "state": ("input_features", STATE)}


@rule(
    "CK707",
    "action-steps",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def action_steps(subject: Subject) -> Iterator[Violation]:
    """`n_action_steps` outside 1 to the size of a chunk.

    A policy computes a chunk of actions and executes the first `n_action_steps` of them. With more
    than the chunk has (`chunk_size`, `horizon` for TD-MPC, `action_horizon` for FastWAM) LeRobot
    rejects config.json; an ACT with temporal ensembling must have 1. With 0 a SmolVLA loads, and
    fails at the first action, because there is none. A diffusion policy drops the first
    `n_obs_steps` - 1 actions of its horizon and silently executes fewer than config.json says: a
    warning.

    Set `n_action_steps` to what the policy was evaluated with. It changes success rates
    considerably.

    Bad:

        {"type": "smolvla", "chunk_size": 50, "n_action_steps": 51}

    Good:

        {"type": "smolvla", "chunk_size": 50, "n_action_steps": 50}
    """
    policy, config = policy_of(subject), subject.checkpoint.value(CONFIG)
    if policy is None or not policy.chunk:
        return
    chunk, actions = (
        config.get(key, default or ...)
        for key, default in zip((policy.chunk, _ACTIONS), policy.sizes, strict=True)
    )
    stored = dict(widths(subject)).get(policy.chunk)
    for key, value in ((policy.chunk, chunk), (_ACTIONS, actions)):
        if value is not ... and (not is_integer(value) or value < 1):
            what = f"is {shown(value)}, expected an integer of at least 1"
            right = chunk if key == _ACTIONS else stored
            yield Violation(what, CONFIG, f"/{key}", _evaluated(key, right))
    if is_integer(chunk) and is_integer(actions) and chunk > 0:
        yield from _too_many(config, policy.chunk, chunk, actions, shortens=policy.shortens)


def _too_many(
    config: Mapping[str, object], key: str, chunk: int, actions: int, *, shortens: bool
) -> Iterator[Violation]:
    seen = config.get("n_obs_steps", 1)
    left = chunk - seen + 1 if shortens and is_integer(seen) else chunk
    at = f"/{_ACTIONS}"
    if shortens and actions > left > 0:
        what = f"is {actions}, but a chunk of {key} {chunk} has {left}: fewer are executed"
        yield Violation(what, CONFIG, at, _evaluated(_ACTIONS, left), Severity.WARNING)
    elif actions > chunk and not (shortens or chunk == config.get("n_action_repeats")):
        what = f"is {actions}, but {key} is {chunk}: stock LeRobot rejects the file"
        yield Violation(what, CONFIG, at, _evaluated(_ACTIONS, chunk))
    elif actions > 1 and config.get(_ENSEMBLE) is not None:
        what = f"is {actions}, but {_ENSEMBLE} needs 1: stock LeRobot rejects the file"
        yield Violation(what, CONFIG, at, set_config(_ACTIONS, 1))


def _evaluated(key: str, largest: object) -> Remedy | str:
    """Return how to set a field to the largest possible value, or what to look up."""
    if is_integer(largest) and largest > 0:
        return set_config(key, largest, "set what it was evaluated with; at most: {}")
    return "write what the policy was trained with, as train_config.json says"


@rule("CK714", "config-width", Severity.ERROR, needs=Need.CONFIG, kinds=(Kind.POLICY,))
def config_width(subject: Subject) -> Iterator[Violation]:
    """config.json of another size than the weights.

    The rows of the action head are the dimensions of the action, and an ACT has one position for
    each action of a chunk. Where config.json says another number the weights do not fit: stock
    LeRobot rejects them, and for a pi0 or pi0.5 hides the error and keeps random weights. The
    weights cannot be wrong about their own size; config.json was edited, or is another run's.

    Write the size of the weights into config.json, or copy it from another checkpoint of the same
    run.

    Bad (model.action_head.weight has 6 rows):

        {"type": "act", "output_features": {"action": {"type": "ACTION", "shape": [7]}}}

    Good:

        {"type": "act", "output_features": {"action": {"type": "ACTION", "shape": [6]}}}
    """
    if judges_shapes(subject):
        return
    policy, config = policy_of(subject), subject.checkpoint.value(CONFIG)
    does = "hides the error and keeps random weights" if policy and policy.hides else "rejects them"
    for what, size in widths(subject):
        side, name = _SIDES.get(what, ("", ""))
        feature = features(config.get(side)).get(name)
        value = feature.shape[0] if feature and feature.shape else config.get(what)
        if not is_integer(value) or value == size:
            continue
        pointer = f"/{side}/{escape(name)}/shape" if side else f"/{what}"
        sentence = f"is {value}, but the weights have {size}: stock LeRobot {does}"
        yield Violation(sentence, CONFIG, pointer, _corrected(config, what, pointer, size))


def _corrected(config: Mapping[str, object], what: str, pointer: str, size: int) -> Remedy | str:
    if what in _SIDES:
        return set_config(pointer, f"[{size}]")
    actions = config.get(_ACTIONS)
    if what == _CHUNK and is_integer(actions) and actions > size:
        return f"set {_CHUNK} to {size}, and {_ACTIONS} to what it was evaluated with, at most that"
    return set_config(pointer, size)


@rule("CK736", "buffers-never-set", Severity.ERROR, needs=Need.VALUES, kinds=(Kind.POLICY,))
def buffers_never_set(subject: Subject) -> Iterator[Violation]:
    """Legacy normalization statistics that were never set.

    A policy of LeRobot before 0.4 starts with infinite statistics among its weights and replaces
    them by those of the dataset. Where they are still infinite it was saved without a dataset:
    LeRobot 0.3 refuses to act, and a migration copies the infinity. The training did not diverge.

    Migrate with statistics of the dataset that it was trained on, or of another checkpoint of the
    same run.

    Bad:

        normalize_inputs.buffer_observation_state.mean    inf, inf, inf

    Good:

        normalize_inputs.buffer_observation_state.mean    0.12, -0.40, 0.31
    """
    facts = subject.facts or {}
    unset = [
        tensor
        for tensor in subject.checkpoint.tensors
        if is_buffer(tensor.name) and tensor.name in facts and facts[tensor.name].infinite
    ]
    if unset:
        what = f"{count(len(unset), 'normalization statistic')} infinite: they were never set"
        yield about(unset, what, "take the statistics of the dataset it was trained on")


@rule("CK737", "camera-names", Severity.WARNING, needs=Need.CONFIG, kinds=(Kind.POLICY,))
def camera_names(subject: Subject) -> Iterator[Violation]:
    """Cameras that config.json and the preprocessor call differently.

    The policy reads the images that config.json names. A preprocessor whose normalizer lists other
    cameras belongs to another robot; a `rename_map` that leads to a name that config.json lacks
    renames an image so that the policy does not see it, and one that takes a name of config.json
    away is an error.

    Copy config.json and the processors from one checkpoint, or correct the names.

    Bad (config.json has observation.images.top):

        {"rename_map": {"observation.images.front": "observation.images.camera1"}}

    Good:

        {"rename_map": {"observation.images.front": "observation.images.top"}}
    """
    read = features(subject.checkpoint.value(CONFIG).get("input_features"))
    cameras = {name for name, feature in read.items() if feature.kind == "VISUAL"}
    if not cameras:
        return
    for step in steps(subject, PRE):
        at = f"{step.pointer}/config"
        renamed = step.config.get("rename_map")
        if step.name == _RENAME and isinstance(renamed, dict):
            for old, new in renamed.items():
                yield from _renamed(set(read), old, new, renamed, f"{at}/rename_map/{escape(old)}")
        listed = features(step.config.get("features"))
        theirs = {name for name, feature in listed.items() if feature.kind == "VISUAL"}
        if step.name == NORMALIZER and theirs - cameras and cameras - theirs:
            what = f"lists {_names(theirs - cameras)}, but config.json {_names(cameras - theirs)}"
            yield Violation(what, PRE, f"{at}/features", "copy both files from one checkpoint")


def _renamed(
    read: set[str], old: str, new: object, renamed: Mapping[str, object], pointer: str
) -> Iterator[Violation]:
    if old in read and new != old and old not in renamed.values():
        what = f"takes {old} away, which the policy reads"
        yield Violation(what, PRE, pointer, "correct the rename_map", Severity.ERROR)
    elif old.startswith("observation.") and new not in read:
        what = f"leads to {shown(new)}, which config.json lacks: the policy does not see it"
        yield Violation(what, PRE, pointer, "name an input of config.json, or remove the entry")


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))
