"""Fields of a policy's config.json: those that stock LeRobot refuses, and those it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
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
from ckpt_tools.rules.policy_config import reserved_fields, value_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ckpt_tools.rules.rule import Subject

_RTC = {
    "debug",
    "debug_maxlen",
    "enabled",
    "execution_horizon",
    "max_guidance_weight",
    "prefix_attention_schedule",
}
"""The fields of rtc_config."""


def _refused(subject: Subject, fields: Collection[str]) -> Iterator[Violation]:
    for key, value in value_of(subject, CONFIG).items():
        if key in fields:
            what = f"is {shown(value)}: stock LeRobot refuses a config.json with this field"
            yield Violation(what, CONFIG, f"/{key}")


@rule(
    "CK701",
    "load-vlm-weights",
    Severity.ERROR,
    needs=Need.CONFIG,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=(SMOLVLA.name,),
)
def load_vlm_weights(subject: Subject) -> Iterator[Violation]:
    """`load_vlm_weights` is not true.

    It is false by default and in every policy trained from scratch. LeRobot then builds the VLM in
    F32 regardless of the stored dtype: more memory, and on a CPU half the speed. null counts as
    false; with any other value it refuses the file.

    `ckpt sanitize` sets it. Where the weights themselves were built with false, it also casts them
    to the dtypes of a `--reference`.

    Bad:

        {"type": "smolvla", "load_vlm_weights": false}

    Good:

        {"type": "smolvla", "load_vlm_weights": true}
    """
    key = "load_vlm_weights"
    value = value_of(subject, CONFIG).get(key, ABSENT)
    for watched in subject.family.watched:
        fine, effect = watched.evaluate(value)
        if watched.key == key and not fine:
            yield Violation(f"is {shown(value)}: stock LeRobot {effect}", CONFIG, f"/{key}")


@rule(
    "CK702",
    "use-reflow",
    Severity.ERROR,
    needs=Need.CONFIG,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=(SMOLVLA.name,),
)
def use_reflow(subject: Subject) -> Iterator[Violation]:
    """`use_reflow` in config.json.

    A fork of LeRobot writes this field. Stock LeRobot does not have it and refuses the whole
    config.json, whatever the value: false and null are as bad as true.

    `ckpt sanitize` removes it. A reflowed policy is an ordinary SmolVLA and needs no flag; its
    number of steps is `num_steps`.

    Bad:

        {"type": "smolvla", "use_reflow": false}

    Good:

        {"type": "smolvla"}
    """
    yield from _refused(subject, {"use_reflow"})


@rule(
    "CK703",
    "reflow-fields",
    Severity.ERROR,
    needs=Need.CONFIG,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=(SMOLVLA.name,),
)
def reflow_fields(subject: Subject) -> Iterator[Violation]:
    """Fields of reflow training in config.json.

    `teacher_model_path` and similar fields belong to training. Stock LeRobot has none of them and
    refuses the whole config.json, whatever their values; and a path to the teacher reveals a folder
    of the machine that trained.

    `ckpt sanitize` removes them.

    Bad:

        {"type": "smolvla", "teacher_model_path": "outputs/teacher"}

    Good:

        {"type": "smolvla"}
    """
    yield from _refused(subject, set(reserved_fields(subject)) - {"use_reflow"})


@rule("CK704", "unknown-field", Severity.ERROR, needs=Need.CONFIG, families=(SMOLVLA.name,))
def unknown_field(subject: Subject) -> Iterator[Violation]:
    """Field in config.json that LeRobot does not have.

    LeRobot refuses a config.json with an unknown field, whatever its value. Releases add fields:
    `pretrained_revision` came with 0.6, and 0.5 refuses a config.json that has it, even null.
    `--target lerobot==0.5` names the release that the checkpoint is for.

    `ckpt sanitize --target lerobot==0.5` removes what may be left out. Remove a meaningless field
    with `ckpt config unset`.

    Bad:

        {"type": "smolvla", "flavor": "mild"}

    Good:

        {"type": "smolvla"}
    """
    cleaning, config = subject.family.cleaning, value_of(subject, CONFIG)
    if cleaning is None:
        return
    newer = dict(cleaning.newer.get(subject.target, ()))
    for key, value in config.items():
        pointer = f"/{escape(key)}"
        if key in newer:
            what = (
                f"is {shown(value)}: {subject.target} does not have this field and refuses the file"
            )
            yield Violation(
                what,
                CONFIG,
                pointer,
                Remedy(("ckpt", "sanitize", "WHERE", "--target", subject.target))
                if value == newer[key]
                else "publish for a newer LeRobot: its value matters",
            )
        elif key not in cleaning.known and key not in cleaning.reserved:
            named = key if key.isidentifier() else pointer
            remedy = Remedy(("ckpt", "config", "WHERE", "unset", named))
            yield Violation(_UNKNOWN, CONFIG, pointer, remedy)
    chunking = config.get("rtc_config")
    for key in sorted(chunking.keys() - _RTC) if isinstance(chunking, dict) else ():
        yield Violation(_UNKNOWN, CONFIG, f"/rtc_config/{escape(key)}")


_UNKNOWN = "is an unknown field: stock LeRobot refuses the file"


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
    (`smolvla_reflow`), LeRobot refuses config.json; the asynchronous server loads no plugins at
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
    value = value_of(subject, CONFIG).get("type", ABSENT)
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
        what = f"is {value}, which {release} does not register{why}: it refuses the checkpoint"
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
            f"{shown(value)}, which only a plugin registers: stock LeRobot refuses the checkpoint"
        )
    else:
        effect = f"{shown(value)}, but the tensors are a SmolVLA's: stock LeRobot refuses them"
    if value != SMOLVLA.name:
        remedy = Remedy(("ckpt", "sanitize", "WHERE"), safe=True)
        yield Violation(f"is {effect}", CONFIG, "/type", remedy)


def _typed(own: str) -> Remedy | str:
    if own:
        return Remedy(
            ("ckpt", "config", "WHERE", "set", "type", own), f"the tensors are those of {own}: {{}}"
        )
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
