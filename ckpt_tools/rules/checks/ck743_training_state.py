"""No training state lies among what is published.

Optimizer, scheduler and random state serve resuming, and are often larger than the policy; logs of
wandb and TensorBoard tell about the machine and its user. LeRobot keeps both beside
`pretrained_model/`, not in it.

Publish `pretrained_model/` alone, or remove them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_STATE = re.compile(
    r"(?:training_state|wandb|tensorboard|global_step\d+|optimizer_\d+)/"
    r"|optimizer(?:_state|_param_groups)?\.(?:safetensors|json|pt|bin)"
    r"|scheduler(?:_state)?\.(?:json|pt|bin)|rng_state.*\.(?:safetensors|pth)|random_states_\d+\.pkl"
    r"|training_step\.json|training_args\.bin|trainer_state\.json|events\.out\.tfevents\..*|.*\.wandb",
    re.ASCII,
)


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file, and for a folder one for all that lies in it."""
    found: list[str] = []
    for entry in subject.entries or ():
        name = entry.path.removesuffix("/").rpartition("/")[2] + "/" * (entry.kind == "folder")
        if _STATE.fullmatch(name) and not any(
            entry.path.startswith(folder) for folder in found if folder.endswith("/")
        ):
            found.append(entry.path)
            yield Violation(
                "is training state or a training log: nobody who loads the policy needs it",
                entry.path,
                next="leave it out of what is published",
            )


RULE = Rule(
    code="CK743",
    name="training-state",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
)
