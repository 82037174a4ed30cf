"""Which policy a checkpoint is: its type, its config.json, or an export of OpenPI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG, PROCESSORS
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.lerobot import (
    GONE,
    NEWEST,
    OLD_GROOT,
    POLICIES,
    REWARD_MODELS,
    registered,
    type_by_names,
)
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.remedy import Remedy, set_config
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_OPENPI = "paligemma_with_expert."
_OPENPI_HEADS = ("action_in_proj.", "action_time_mlp_in.", "time_mlp_in.")


@rule(
    "CK705",
    "policy-type",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def policy_type(subject: Subject) -> Iterator[Violation]:
    """Policy type that stock LeRobot does not register.

    `type` decides which policy is built. Without it, or with one that only a plugin registers
    (`smolvla_reflow`), LeRobot rejects config.json; the asynchronous server loads no plugins at
    all. Releases add and remove types: 0.6 has no `sac`, and its `groot` is GR00T N1.7 alone.
    `--target lerobot==0.5` names the release that the checkpoint is for. A type that no release
    registers may be a plugin's, which its users must install, or a newer release's: a warning.

    Write the type that the policy was trained with: `ckpt config WHERE set type act`. For a
    SmolVLA, `ckpt sanitize` does so.

    Bad:

        {"type": "smolvla_reflow"}

    Good:

        {"type": "smolvla"}
    """
    value = subject.checkpoint.value(CONFIG).get("type", ABSENT)
    release = subject.target or NEWEST
    own = type_by_names(tensor.name for tensor in subject.checkpoint.tensors)
    if subject.family.name == SMOLVLA.name:
        yield from _unlike_smolvla(value)
    elif value is ABSENT or not isinstance(value, str) or not value:
        is_what = "absent" if value is ABSENT else shown(value)
        what = f"is {is_what}: stock LeRobot cannot tell which policy to build"
        yield Violation(what, CONFIG, "/type", _typed(own))
    elif value in registered(subject.target):
        if value == "groot" and not subject.target and _is_old_groot(subject):
            what = f"is groot, but the tensors are those of GR00T N1.5: {NEWEST} has only N1.7"
            yield Violation(what, CONFIG, "/type", "publish it for LeRobot 0.5 (--target)")
    elif value in GONE or value in POLICIES:
        why = f" ({GONE[value]})" if value in GONE else ""
        what = f"is {value}, which {release} does not register{why}: it rejects the checkpoint"
        yield Violation(what, CONFIG, "/type", "publish it for a release that has it (--target)")
    elif value not in REWARD_MODELS:
        what = f"is {shown(value)}: {release} loads it only with a plugin that registers this type"
        remedy = "name the plugin in the model card, or write the type of a stock policy"
        yield Violation(what, CONFIG, "/type", remedy, Severity.WARNING)


def _unlike_smolvla(value: object) -> Iterator[Violation]:
    if value is ABSENT:
        effect = "absent: stock LeRobot cannot tell which policy to build"
    elif value == "smolvla_reflow":
        effect = (
            f"{shown(value)}, which only a plugin registers: stock LeRobot rejects the checkpoint"
        )
    else:
        effect = f"{shown(value)}, but the tensors are a SmolVLA's: stock LeRobot rejects them"
    if value != SMOLVLA.name:
        is_other = value not in (ABSENT, "smolvla_reflow")
        remedy = (
            _typed(SMOLVLA.name) if is_other else Remedy(("ckpt", "sanitize", "WHERE"), safe=True)
        )
        yield Violation(f"is {effect}", CONFIG, "/type", remedy)


def _typed(own: str) -> Remedy | str:
    if own:
        return set_config("type", own, f"the tensors are those of {own}: {{}}")
    return "write the type that it was trained with, as --policy.type was or train_config.json says"


def _is_old_groot(subject: Subject) -> bool:
    return any(OLD_GROOT in tensor.name for tensor in subject.checkpoint.tensors)


@rule(
    "CK711",
    "no-config",
    Severity.ERROR,
    needs=Need.FILES,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def no_config(subject: Subject) -> Iterator[Violation]:
    """No config.json next to the weights.

    It names the policy that the weights are for; LeRobot loads nothing without it.

    Copy it from another checkpoint of the same run, or from the policy it was trained from.

    Bad:

        model.safetensors
        policy_preprocessor.json

    Good:

        config.json
        model.safetensors
        policy_preprocessor.json
    """
    if subject.checkpoint.document(CONFIG) is None:
        yield Violation(
            "there is no config.json: stock LeRobot loads nothing from this folder",
            next="copy it from another checkpoint of the same run",
        )


@rule("CK752", "openpi-export", Severity.NOTE, needs=Need.FILES)
def openpi_export(subject: Subject) -> Iterator[Violation]:
    """Weights of OpenPI, not a LeRobot policy.

    OpenPI's PyTorch files have the tensors of a pi0 or pi0.5 without LeRobot's prefix `model.`, a
    config.json of its own and statistics in `assets/ID/norm_stats.json`. LeRobot reads neither:
    it needs `type`, the features and both processors. OpenPI itself loads the folder as it is.

    To make a LeRobot policy of it, take config.json and the processors of `lerobot/pi0_base` or
    `lerobot/pi05_base`, write your features, and save the processors with the numbers of
    norm_stats.json. LeRobot 0.6 adds the prefix itself. For `params/`, which JAX wrote, first run
    OpenPI's `examples/convert_jax_model_to_pytorch.py`.

    Bad:

        model.safetensors    paligemma_with_expert.…, action_in_proj.weight
        assets/my_robot/norm_stats.json

    Good:

        config.json          {"type": "pi0", …}
        model.safetensors    model.paligemma_with_expert.…
        policy_preprocessor.json
    """
    names = [tensor.name for tensor in subject.checkpoint.tensors]
    bare = any(name.startswith(_OPENPI) for name in names) and any(
        name.startswith(_OPENPI_HEADS) for name in names
    )
    processors = any(subject.checkpoint.document(path) for path in PROCESSORS)
    if bare and not processors and Kind.POLICY not in subject.kinds:
        what = "is an OpenPI export: LeRobot needs its own config.json and processors beside it"
        yield Violation(what, next="take those of lerobot/pi0_base or pi05_base, with norm_stats")
