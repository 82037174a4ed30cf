"""What config.json names for loading is on the Hub.

`vlm_model_name` is read at every load: with a path of the machine that trained, the policy loads
nowhere else. The tokenizer of the preprocessor is a second copy of it. `pretrained_path` is not
read, and a path in it still tells everybody whose machine it was.

Set them to the names on the Hub: `ckpt config set vlm_model_name
HuggingFaceTB/SmolVLM2-500M-Video-Instruct`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, is_local_model, shown, value_of
from ckpt_tools.rules.processors import steps
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_KEYS = (
    ("vlm_model_name", "the policy loads nowhere else"),
    ("pretrained_path", "it tells where it lay on the machine that trained"),
)


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a path."""
    config = value_of(subject, CONFIG)
    for key, why in _KEYS:
        if is_local_model(config.get(key)):
            yield Violation(
                f"{key} is the path {shown(config[key])}: {why}",
                CONFIG,
                f"/{key}",
                Remedy(("ckpt", "config", "WHERE", "set", key, "VALUE")),
            )
    for step in steps(subject):
        name = step.config.get("tokenizer_name")
        if is_local_model(name):
            yield Violation(
                f"tokenizer_name is the path {shown(name)}: the processor loads nowhere else",
                step.path,
                f"{step.pointer}/config/tokenizer_name",
            )


RULE = Rule(
    code="CK710",
    name="local-model-path",
    severity=Severity.WARNING,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
