"""Fields of a policy's config.json: those that stock LeRobot rejects, and those it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.lerobot import NEWEST, POLICIES, registered
from ckpt_tools.families.lerobot_fields import known_fields
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import reserved_fields
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.parse import escape
from ckpt_tools.strict_json.pointer import ABSENT, MISSPELLED, nearest
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

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


_CAST = Remedy(("ckpt", "sanitize", "WHERE", "--reference", "NORMAL"))
"""What gives weights that were built with load_vlm_weights=false the dtypes of the others."""


def _refused(subject: Subject, fields: Collection[str]) -> Iterator[Violation]:
    for key, value in subject.checkpoint.value(CONFIG).items():
        if key in fields:
            what = f"is {shown(value)}: stock LeRobot rejects a config.json with this field"
            yield Violation(what, CONFIG, f"/{key}", _by_hand(subject, "unset", key))


def _by_hand(subject: Subject, *change: str) -> Remedy | str:
    """Return the command that changes config.json alone: `ckpt sanitize` leaves adapters as is."""
    if subject.family is subject.config_family:
        return ""
    return Remedy(("ckpt", "config", "WHERE", *change), safe=True)


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
    false; with any other value it rejects the file.

    `ckpt sanitize` sets it. Where the weights themselves were built with false, it also casts them
    to the dtypes of a `--reference`.

    Bad:

        {"type": "smolvla", "load_vlm_weights": false}

    Good:

        {"type": "smolvla", "load_vlm_weights": true}
    """
    key = "load_vlm_weights"
    value = subject.checkpoint.value(CONFIG).get(key, ABSENT)
    for watched in subject.config_family.watched:
        fine, effect = watched.evaluate(value)
        if watched.key == key and not fine:
            what = f"is {shown(value)}: stock LeRobot {effect}"
            cast = _CAST if _is_built_with_false(subject) else ""
            remedy = _by_hand(subject, "set", key, "true") or cast
            yield Violation(what, CONFIG, f"/{key}", remedy)


def _is_built_with_false(subject: Subject) -> bool:
    """Whether the dtypes would contradict config.json if load_vlm_weights were true."""
    there = subject.checkpoint
    documents = tuple(
        document._replace(value={**document.value, "load_vlm_weights": True})
        if document.path == CONFIG
        else document
        for document in there.documents
    )
    return bool(subject.family.contradiction(there._replace(documents=documents)))


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

    A fork of LeRobot writes this field. Stock LeRobot does not have it and rejects the whole
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
    rejects the whole config.json, whatever their values; and a path to the teacher reveals a folder
    of the machine that trained.

    `ckpt sanitize` removes them.

    Bad:

        {"type": "smolvla", "teacher_model_path": "outputs/teacher"}

    Good:

        {"type": "smolvla"}
    """
    yield from _refused(subject, set(reserved_fields(subject)) - {"use_reflow"})


@rule(
    "CK704",
    "unknown-field",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def unknown_field(subject: Subject) -> Iterator[Violation]:
    """Field in config.json that LeRobot does not have.

    LeRobot rejects a config.json with an unknown field, whatever its value. Releases add fields:
    `pretrained_revision` came with 0.6, and 0.5 rejects a config.json that has it, even null.
    `--target lerobot==0.5` names the release that the checkpoint is for.

    `ckpt sanitize WHERE --target lerobot==0.5` removes what may be left out. Remove a meaningless
    field with `ckpt config WHERE unset KEY`.

    Bad:

        {"type": "smolvla", "flavor": "mild"}

    Good:

        {"type": "smolvla"}
    """
    cleaning, config = subject.config_family.cleaning, subject.checkpoint.value(CONFIG)
    if cleaning is None:
        yield from _unlike_release(subject, config)
        return
    newer = dict(cleaning.newer.get(subject.target, ()))
    for key, value in config.items():
        pointer = f"/{escape(key)}"
        if key in newer:
            what = (
                f"is {shown(value)}: {subject.target} does not have this field and rejects the file"
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
            yield _unknown(_UNKNOWN, pointer, key, sorted(cleaning.known))
    chunking = config.get("rtc_config")
    for key in sorted(chunking.keys() - _RTC) if isinstance(chunking, dict) else ():
        yield _unknown(_UNKNOWN, f"/rtc_config/{escape(key)}", key, sorted(_RTC))


def _unlike_release(subject: Subject, config: Mapping[str, object]) -> Iterator[Violation]:
    """Yield the fields that the newest release's policy of this type lacks."""
    known = known_fields(str(config.get("type")))
    if not known or registered(subject.target) != frozenset(POLICIES):
        return
    for key in (key for key in config if key not in known):
        what = f"is an unknown field of {config['type']} in {NEWEST}, which rejects the file"
        release = "publish it for the release that has it (--target), or, if nothing needs it: {}"
        yield _unknown(what, f"/{escape(key)}", key, sorted(known), release)


def _unknown(
    what: str, pointer: str, key: str, known: Sequence[str], otherwise: str = ""
) -> Violation:
    """Return the violation by an unknown field, with the field that it may be a misspelling of."""
    like = nearest(key, known, cutoff=MISSPELLED)
    named = key if pointer == f"/{key}" and key.isidentifier() else pointer
    unset = ("ckpt", "config", "WHERE", "unset", named)
    if not like:
        return Violation(what, CONFIG, pointer, Remedy(unset, otherwise))
    text = f"if {like} is meant, give it this value, then: {{}}"
    return Violation(f"{what} (did you mean {like}?)", CONFIG, pointer, Remedy(unset, text))


_UNKNOWN = "is an unknown field: stock LeRobot rejects the file"
