"""At least one action of a chunk is executed, and no more than the chunk has.

With `n_action_steps` above `chunk_size` LeRobot refuses config.json. With 0 it loads, and fails at
the first action: there is none.

Set `n_action_steps` to what the policy was evaluated with. It changes success rates a lot, so it is
worth keeping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.policy_config import CONFIG, SMOLVLA, is_integer, shown, value_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
_DEFAULT = 50
"""Of both, in SmolVLA's config."""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each of the two that cannot be, else one for the two together."""
    config = value_of(subject, CONFIG)
    chunk, steps = (config.get(key, _DEFAULT) for key in ("chunk_size", "n_action_steps"))
    for key, value in (("chunk_size", chunk), ("n_action_steps", steps)):
        if not is_integer(value) or value < 1:
            yield Violation(
                f"{key} is {shown(value)} where a number from 1 is expected",
                CONFIG,
                f"/{key}",
                Remedy(("ckpt", "config", "WHERE", "set", key, "VALUE")),
            )
    if is_integer(chunk) and is_integer(steps) and steps > chunk > 0:
        what = f"n_action_steps is {steps}, and a chunk has {chunk}: stock LeRobot refuses the file"
        yield Violation(
            what,
            CONFIG,
            "/n_action_steps",
            Remedy(("ckpt", "config", "WHERE", "set", "n_action_steps", "VALUE")),
        )


RULE = Rule(
    code="CK707",
    name="action-steps",
    severity=Severity.ERROR,
    needs=frozenset({Need.CONFIG}),
    check=check,
    page=__doc__,
    families=SMOLVLA,
)
