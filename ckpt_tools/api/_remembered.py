"""Verdicts of a worker by all that was read for them, for checkpoints that are equal in it.

The steps of a run have the same configs, headers and other files; only tensor values differ, which
rules do not see without `--values`. Rules are functions of what is read, and of the checkpoint's
address, which only commands in remedies name.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.coverage import Coverage
    from ckpt_tools.rules.engine import Outcome
    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.storage.recording import Recording

MOST = 256
"""Verdicts that are remembered, the latest."""


class Judgement(NamedTuple):
    """What the rules give of one checkpoint."""

    outcome: Outcome
    coverage: tuple[Coverage, ...]


class _Remembered(NamedTuple):
    where: str
    judgement: Judgement


class Memory[V]:
    """The latest answers, by what they are about."""

    def __init__(self, most: int = MOST) -> None:
        """Take the number of answers."""
        self._most = most
        self._held: OrderedDict[object, V] = OrderedDict()

    def get(self, key: object) -> V | None:
        """Return an answer, None if it is not held."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: object, value: V) -> None:
        """Hold an answer; of more than `most`, forget the least recently used."""
        self._held[key] = value
        if len(self._held) > self._most:
            self._held.popitem(last=False)


_JUDGEMENTS: Memory[_Remembered] = Memory()


def remembered(
    recording: Recording | None,
    checkpoint: Checkpoint,
    rules: Iterable[Rule],
    judge: Callable[[], Judgement],
) -> Judgement:
    """Return what `judge` does, or did for another checkpoint of which the same was read.

    Nothing is remembered outside of audits, which have no other options than `rules`.
    """
    if recording is None:
        return judge()
    names = (recording.name(checkpoint.root), recording.name(checkpoint.where))
    key = (recording.state(), names, tuple(rule.code for rule in rules))
    known = _JUDGEMENTS.get(key)
    if known is not None:
        return _addressed(known.judgement, known.where, recording.address)
    judgement = judge()
    if not _quotes(judgement.outcome.findings, recording.address):
        _JUDGEMENTS.put(key, _Remembered(recording.address, judgement))
    return judgement


def _quotes(findings: Iterable[Finding], address: str) -> bool:
    """Whether findings name the address elsewhere than as a word of a command."""
    for one in findings:
        words = (word for word in one.remedy.argv if not _is_below(word, address))
        if any(address in part for part in (*one[2:5], one.remedy.text, *words)):
            return True
    return False


def _is_below(word: str, address: str) -> bool:
    return word == address or word.startswith(f"{address}/")


def _addressed(judgement: Judgement, old: str, new: str) -> Judgement:
    """Return a judgement whose commands name the address `new` instead of `old`."""
    findings = tuple(
        one._replace(
            remedy=one.remedy._replace(
                argv=tuple(
                    f"{new}{word[len(old) :]}" if _is_below(word, old) else word
                    for word in one.remedy.argv
                )
            )
        )
        for one in judgement.outcome.findings
    )
    return judgement._replace(outcome=judgement.outcome._replace(findings=findings))
