"""The weights are in one file, model.safetensors.

Stock LeRobot opens model.safetensors and nothing else. Shards with an index, which transformers
reads, and a file of another name it does not find: loading fails, or goes to the Hub to look there.
What the gate is told to judge by another profile is not meant for LeRobot.

`ckpt sanitize`, or `ckpt merge`, writes the one file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import LEROBOT, profile_of
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

ONLY_FILE = "model.safetensors"


def check(subject: Subject) -> Iterator[Violation]:
    """Yield a finding for a folder whose weights lie elsewhere.

    A file that was named by itself has the name that it has.
    """
    paths = [file.path for file in subject.checkpoint.weights]
    is_folder = bool(subject.checkpoint.documents) or subject.entries is not None
    if (
        not is_folder
        or not paths
        or paths == [ONLY_FILE]
        or profile_of(subject).name != LEROBOT.name
    ):
        return
    if len(paths) == 1:
        yield Violation(
            f"the weights are in {paths[0]}, and stock LeRobot reads {ONLY_FILE} only", paths[0]
        )
    else:
        index = subject.checkpoint.shard_index
        yield Violation(
            f"the weights are in {count(len(paths), 'shard')}, and stock LeRobot reads {ONLY_FILE} only",
            index.path if index else paths[0],
        )


RULE = Rule(
    code="CK208",
    name="single-file",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=frozenset({"smolvla"}),
)
