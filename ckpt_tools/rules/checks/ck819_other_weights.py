"""Something refers to every weight file.

A loader reads model.safetensors, the shards that an index names, the state that a processor names.
Another weight file is downloaded by everybody and loaded by nobody: a teacher that was forgotten,
weights of an earlier run, a copy under another name. LeRobot reads nothing else, so under lerobot
nothing else counts. Under transformers an adapter beside its config does, a file that a JSON file
beside it names, and the parts of a diffusers pipeline or a sentence-transformers model that its
list names; a folder with its own config.json is a model of its own, which is worth a note. Under
generic several files are normal, LoRAs for one; there a file beside the weights is a note.

Leave it out, or put it into a repository of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.other_weights import others, referred
from ckpt_tools.rules.profiles import profile_of
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    extra = list(others(subject))
    profile = profile_of(subject).name
    if not extra or (profile == "generic" and not subject.checkpoint.weights):
        return
    known = referred(subject, profile)
    paths = {entry.path for entry in subject.entries or ()}
    for entry in extra:
        if entry.path not in known:
            folder = entry.path.rpartition("/")[0]
            is_model = profile == "transformers" and folder and f"{folder}/config.json" in paths
            severity = Severity.NOTE if is_model or profile == "generic" else None
            yield Violation(
                f"is a weight file of {entry.size:,} bytes that nothing refers to",
                entry.path,
                next=_NEXT,
                severity=severity,
            )


_NEXT = "leave it out, or put it into a repository of its own"


RULE = Rule(
    code="CK819",
    name="other-weights",
    severity=Severity.WARNING,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
