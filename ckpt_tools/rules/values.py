"""What the rules about values share: tensors with their facts, and how many of them are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.compare.fold import fold
from ckpt_tools.records.dtype import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.records.checkpoint import Tensor
    from ckpt_tools.records.facts import Facts
    from ckpt_tools.rules.rule import Subject


def by_file(subject: Subject, wrong: Callable[[Tensor, Facts], bool]) -> Iterator[tuple[str, list[tuple[Tensor, Facts]]]]:
    """Yield (file, its tensors of which `wrong` is true with their facts) for every weight file that has any."""
    facts = subject.facts or {}
    for file in subject.checkpoint.weights:
        found = [(tensor, facts[tensor.name]) for tensor in file.tensors if tensor.name in facts and wrong(tensor, facts[tensor.name])]
        if found:
            yield file.path, found


def is_matrix(tensor: Tensor) -> bool:
    """Whether training fills a tensor with many numbers: floats, in two dimensions or more. One row is none: a mask token, a single type of token."""
    return tensor.dtype in FLOATS and sum(size > 1 for size in tensor.shape) > 1


def some(found: list[tuple[Tensor, Facts]]) -> str:
    """Return how many tensors, and which the first are."""
    names = list(fold(tensor.name for tensor, _ in found))
    return f"{len(found):,} tensor{'s' * (len(found) != 1)} ({names[0]}{', …' * (len(names) > 1)})"
