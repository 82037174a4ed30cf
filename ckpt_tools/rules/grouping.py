"""What rules say of many tensors at once.

One finding for each part of the model, with count, bytes and the first name.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import FLOATS
from ckpt_tools.checkpoint.names import fold
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.families.family import Family
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.values.model import Measurement


def by_part[T](family: Family, named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, list[T]]]:
    """Yield (part of the model in words, members), in the family's order."""
    members: defaultdict[str, list[T]] = defaultdict(list)
    for name, item in named:
        members[family.component(name)].append(item)
    for component in family.components:
        if component.key in members:
            yield component.short, members[component.key]


def parts(family: Family, tensors: Iterable[Tensor]) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield (part of the model in words, its tensors), in the family's order."""
    return by_part(family, ((tensor.name, tensor) for tensor in tensors))


def amount(tensors: Sequence[Tensor]) -> str:
    """Return how many tensors of how many bytes."""
    return f"{count(len(tensors), 'tensor')}, {count(sum(tensor.nbytes for tensor in tensors), 'byte')}"


def first(names: Iterable[str]) -> str:
    """Return the first of the names, numbers folded into ranges where others differ only in them."""
    return next(iter(fold(names)), "")


def first_of(tensors: Iterable[Tensor]) -> str:
    """Return the first tensor's name, folded."""
    return first(tensor.name for tensor in tensors)


def place(tensors: Iterable[Tensor]) -> str:
    """Return the file that all the tensors are in, "" where they are in several."""
    files = {tensor.shard for tensor in tensors}
    return files.pop() if len(files) == 1 else ""


def only_file(checkpoint: Checkpoint) -> str:
    """Return the weight file where there is one, "" where there are several."""
    return checkpoint.weights[0].path if len(checkpoint.weights) == 1 else ""


def by_file(
    subject: Subject, wrong: Callable[[Tensor, Measurement], bool]
) -> Iterator[tuple[str, list[tuple[Tensor, Measurement]]]]:
    """Yield (file, its tensors of which `wrong` is true with their facts) for every weight file that has any."""
    facts = subject.facts or {}
    for file in subject.checkpoint.weights:
        found = [
            (tensor, facts[tensor.name])
            for tensor in file.tensors
            if tensor.name in facts and wrong(tensor, facts[tensor.name])
        ]
        if found:
            yield file.path, found


def is_matrix(tensor: Tensor) -> bool:
    """Whether training fills a tensor with many numbers: floats, in two dimensions or more.

    One row is none: a mask token, a single type of token.
    """
    return tensor.dtype in FLOATS and sum(size > 1 for size in tensor.shape) > 1


def some(found: list[tuple[Tensor, Measurement]]) -> str:
    """Return how many tensors, and which the first are."""
    names = list(fold(tensor.name for tensor, _ in found))
    return f"{count(len(found), 'tensor')} ({names[0]}{', …' * (len(names) > 1)})"
