"""What the installed library would write for a config: names, shapes, dtypes, and ties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import DTYPES, Dtype
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.errors import ProbeFailed
from ckpt_tools.families.family import Expectation, Expected, Unknown
from ckpt_tools.families.file_family import reason_against
from ckpt_tools.live.bases import MODELS, refuse_missing
from ckpt_tools.live.cache import key_of, remember, remembered
from ckpt_tools.live.process import ask
from ckpt_tools.live.source import LEROBOT, source_of
from ckpt_tools.live.stage import staged
from ckpt_tools.live.versions import installed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.checkpoint.model import Checkpoint, Document
    from ckpt_tools.live.bases import Bases
    from ckpt_tools.live.source import Source
    from ckpt_tools.live.versions import Versions

SECONDS = 600
_BUILD = 30
"""Seconds for all, and of computing for building the model once the library is there."""

_ANY = frozenset(Dtype)

FLOATS = frozenset({Dtype.F32, Dtype.BF16, Dtype.F16})
"""Dtypes of weights that every loader converts into each other."""


class Answer(NamedTuple):
    """(name, dtype, shape) of every tensor that is saved, by name; groups of names of one tensor.

    `reads` are other names that the loader takes, each with those that it stands for; it does not
    miss those in `spared`. `library` is what answered: "transformers 5.5.4".
    """

    tensors: Mapping[str, tuple[Dtype, tuple[int, ...]]]
    ties: tuple[tuple[str, ...], ...]
    reads: Mapping[str, tuple[str, ...]]
    spared: frozenset[str]
    library: str


class _Question(NamedTuple):
    """What is asked, and under which names its answers are remembered.

    `general` is the answer for any file with the config, `own` that for a file with these names.
    """

    source: Source
    config: Document
    bases: Bases
    held: Mapping[str, tuple[int, ...]]
    versions: Versions
    general: str
    own: str


def tensors_of(checkpoint: Checkpoint, bases: Bases) -> Answer | Unknown:
    """Return what the library that writes such a checkpoint would write, or why that is unknown.

    Raises LibraryMissing, BaseMissing and ProbeFailed.
    """
    question = _question(checkpoint, bases)
    if isinstance(question, Unknown):
        return question
    library = str(question.versions)
    if not question.versions.changes:
        found = _answer(remembered(question.general), library)
        if found and _is_enough(found, question.held):
            return found
        if found and (own := _answer(remembered(question.own), library)):
            return own
    return _ask(question)


def _question(checkpoint: Checkpoint, bases: Bases) -> _Question | Unknown:
    source, config = source_of(checkpoint), checkpoint.document(CONFIG)
    if isinstance(source, Unknown) or config is None:
        return source if isinstance(source, Unknown) else Unknown(f"there is no {CONFIG}")
    if checkpoint.tensors and (reason := reason_against(checkpoint, config.value)):
        return Unknown(reason)
    held = {unwrapped(tensor.name): tensor.shape for tensor in checkpoint.tensors}
    versions = installed(source)
    general = key_of(source, versions.packages, config.text, sorted(bases.items()))
    own = key_of(general, sorted(held.items()))
    return _Question(source, config, bases, held, versions, general, own)


def _is_enough(found: Answer, held: Mapping[str, object]) -> bool:
    """Whether the general answer is that for a file with these names."""
    alike = {name for names in found.ties for name in names}
    return not held or (held.keys() | alike) == (found.tensors.keys() | alike)


def _ask(question: _Question) -> Answer | Unknown:
    if question.source.library == LEROBOT:
        refuse_missing((question.config,), question.bases, MODELS)
    request = {
        "do": "list",
        "library": question.source.library,
        "seconds": _BUILD,
        "held": question.held,
    }
    with staged((question.config,), question.bases) as stage:
        answer = ask({**request, "folder": stage.folder}, stage, seconds=SECONDS)
        if "refused" in answer:
            return Unknown(str(answer["refused"]))
        found = _answer(answer, str(question.versions))
        if found is None:
            raise ProbeFailed("the probe's answer is incomplete")
        if not question.versions.changes:
            kept = {name: answer[name] for name in ("tensors", "ties", "reads", "spared")}
            used = [str(path) for path in answer.get("used", ())]
            remember(question.general, {**kept, "reads": {}, "spared": []}, used)
            if not _is_enough(found, question.held):
                remember(question.own, kept, used)
    return found


def _answer(answer: Mapping[str, Any], library: str) -> Answer | None:
    """Return a well-formed answer, None for another."""
    try:
        return Answer(
            {
                name: (DTYPES[dtype], tuple(map(_size, shape)))
                for name, (dtype, *shape) in sorted(answer["tensors"].items())
            },
            tuple(tuple(map(str, names)) for names in answer["ties"]),
            {name: tuple(map(str, names)) for name, names in answer["reads"].items()},
            frozenset(map(str, answer["spared"])),
            library,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _size(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"the size {value!r}")
    return value


def expectation(answer: Answer) -> Expectation:
    """Return what a checkpoint must have, if a library writes this of its config.

    A name that stands for one other is expected in its place, one that stands for several instead
    of them, its shape being the loader's matter.
    """
    needed = {name: _expected(*one) for name, one in answer.tensors.items()}
    optional = {name: needed.pop(name) for name in answer.spared if name in needed}
    for name, meant in answer.reads.items():
        replaced = [needed.pop(one) for one in meant if one in needed]
        alike = {one._replace(shape=None) for one in replaced}
        if len(replaced) == 1 or len(alike) == 1:
            needed[name] = replaced[0] if len(replaced) == 1 else alike.pop()
        else:
            optional[name] = Expected(Dtype.F32, Dtype.F32, None, _ANY)
    return Expectation(needed, "", answer.ties, optional)


def _expected(dtype: Dtype, shape: tuple[int, ...]) -> Expected:
    return Expected(dtype, dtype, shape, FLOATS if dtype in FLOATS else frozenset({dtype}))
