"""Loads a LeRobot policy in a process of its own, and lets it act once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG, PROCESSORS
from ckpt_tools.errors import NothingAnswered, ProbeFailed
from ckpt_tools.families.kinds import Kind, kinds_of
from ckpt_tools.live.bases import ALL, refuse_missing
from ckpt_tools.live.process import ask
from ckpt_tools.live.source import LEROBOT, Source
from ckpt_tools.live.stage import staged
from ckpt_tools.live.versions import installed

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, Document
    from ckpt_tools.live.bases import Bases

SECONDS = 900


def is_policy(checkpoint: Checkpoint) -> bool:
    """Whether LeRobot loads such a checkpoint: its config has the type of a policy."""
    is_typed = isinstance(checkpoint.value(CONFIG).get("type"), str)
    return is_typed and Kind.POLICY in kinds_of(checkpoint)


def load_problems(checkpoint: Checkpoint, bases: Bases) -> tuple[str, ...]:
    """Return what prevents a policy from loading and acting, a sentence each; none if it acts.

    Raises LibraryMissing, BaseMissing, ProbeFailed, and NothingAnswered where it would need what is
    never done.
    """
    config = checkpoint.document(CONFIG)
    installed(Source(LEROBOT, str(config.value.get("type")) if config else ""))
    refuse_missing(_used(checkpoint), bases, ALL)
    with staged(checkpoint.documents, bases, root=checkpoint.root) as stage:
        answer = ask({"do": "load", "folder": stage.folder}, stage, seconds=SECONDS)
        if "refused" in answer:
            raise NothingAnswered(f"cannot be loaded here: {answer['refused']}")
        problems = answer.get("problems")
        if not isinstance(problems, list):
            raise ProbeFailed("the probe's answer is incomplete")
        return tuple(str(one).replace(stage.folder, checkpoint.root) for one in problems)


def _used(checkpoint: Checkpoint) -> tuple[Document, ...]:
    """Return the files that LeRobot reads to load a policy."""
    return tuple(
        one for one in checkpoint.documents if one.path in (CONFIG, ADAPTER_CONFIG, *PROCESSORS)
    )
