"""Paths of one machine where a policy's files should have the names of models on the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.smolvla.expected import HUB_VLM, may_be_hub_vlm
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import is_local_model, policy_type
from ckpt_tools.rules.processors import steps
from ckpt_tools.rules.remedy import Remedy, set_config
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_MODELS = (
    *("vlm_model_name", "vlm_base", "base_model_path", "base_model_id", "wan_pretrained_path"),
    *("checkpoint_path", "pretrained_name_or_path", "qwen_model_name", "jepa_encoder_name"),
    *("vision_encoder_name", "text_encoder_name", "tokenizer_name", "text_tokenizer_name"),
    *("action_tokenizer_name", "action_tokenizer_path", "tokenizer_model_id"),
)
"""Fields of config.json that name a model on the Hub, of any policy."""

_TOKENIZERS = (
    *("tokenizer_name", "action_tokenizer_name", "paligemma_tokenizer_name"),
    "processor_name",
)
"""Settings of processor steps that name one."""

_PALIGEMMA = "google/paligemma-3b-pt-224"
_HUB_NAMES = {
    (SMOLVLA.name, "vlm_model_name"): HUB_VLM,
    (SMOLVLA.name, "tokenizer_name"): HUB_VLM,
    ("pi0", "tokenizer_name"): _PALIGEMMA,
    ("pi05", "tokenizer_name"): _PALIGEMMA,
    ("pi0_fast", "tokenizer_name"): _PALIGEMMA,
    ("pi0_fast", "text_tokenizer_name"): _PALIGEMMA,
    ("pi0_fast", "paligemma_tokenizer_name"): _PALIGEMMA,
    ("pi0_fast", "action_tokenizer_name"): "lerobot/fast-action-tokenizer",
    ("xvla", "tokenizer_name"): "facebook/bart-large",
    ("multi_task_dit", "tokenizer_name"): "openai/clip-vit-base-patch16",
}
"""What LeRobot builds a policy with by default, by type and field."""


@rule(
    "CK710",
    "local-model-path",
    Severity.WARNING,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def local_model_path(subject: Subject) -> Iterator[Violation]:
    """Local path where a name on the Hub belongs.

    The backbone (`vlm_model_name` of a SmolVLA) and the tokenizer of the preprocessor are read at
    every load: with a path of the machine that trained, the policy loads nowhere else.
    `pretrained_path` is not read, but a path in it reveals whose machine it was.

    Set them to the names on the Hub of the models that were copied there. For a copy of
    SmolVLM2-500M: `ckpt config WHERE set vlm_model_name
    HuggingFaceTB/SmolVLM2-500M-Video-Instruct`, and for step 3 of the preprocessor `ckpt config
    WHERE set --file policy_preprocessor.json steps.3.config.tokenizer_name
    HuggingFaceTB/SmolVLM2-500M-Video-Instruct`. The finding suggests that name only if the stored
    tensors have that model's sizes. Upload another model first if it is not on the Hub.
    `pretrained_path` may be null.

    Bad:

        {"type": "smolvla", "vlm_model_name": "/data/models/smolvlm2"}

    Good:

        {"type": "smolvla", "vlm_model_name": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"}
    """
    config = subject.checkpoint.value(CONFIG)
    for key in _MODELS:
        if is_local_model(config.get(key)):
            what = f"is the local path {shown(config[key])}: the policy loads nowhere else"
            yield Violation(what, CONFIG, f"/{key}", _on_hub(subject, CONFIG, f"/{key}"))
    key = "pretrained_path"
    if is_local_model(config.get(key)):
        effect = "it reveals a folder of the machine that trained"
        what = f"is the local path {shown(config[key])}: {effect}"
        yield Violation(what, CONFIG, f"/{key}", set_config(key, "null"))
    for step in steps(subject):
        for key in (key for key in step.config if key in _TOKENIZERS):
            name, pointer = step.config[key], f"{step.pointer}/config/{key}"
            if is_local_model(name):
                what = f"is the local path {shown(name)}: the processor loads nowhere else"
                yield Violation(what, step.path, pointer, _on_hub(subject, step.path, pointer))


def _on_hub(subject: Subject, path: str, pointer: str) -> Remedy | str:
    """Return the command that names the model a policy of this type is built with, if one is."""
    name = _HUB_NAMES.get((policy_type(subject), pointer.rpartition("/")[2]))
    if name is None:
        return "write the model's name on the Hub"
    if name == HUB_VLM and not may_be_hub_vlm(subject.checkpoint):
        return (
            f"write that model's name on the Hub; upload it if it has none (it is not {HUB_VLM}, "
            "which has other sizes)"
        )
    file = "" if path == CONFIG else path
    return set_config(pointer, name, "if it is that model's copy: {}", file=file)
