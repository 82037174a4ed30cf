"""What rules compare and report about many tensors: one finding a part of the model."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import FLOATS
from ckpt_tools.checkpoint.names import fold, unwrapped
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.rules.rule import Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.families.family import Expected, Family
    from ckpt_tools.rules.finding import Severity
    from ckpt_tools.rules.remedy import Remedy
    from ckpt_tools.rules.rule import Subject


def by_part[T](family: Family, named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, list[T]]]:
    """Yield (title of a part of the model, its members), in the family's order."""
    members: defaultdict[str, list[T]] = defaultdict(list)
    for name, item in named:
        members[family.component(name)].append(item)
    for component in family.components:
        if component.key in members:
            yield component.short, members[component.key]


def whole[T](family: Family, named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, list[T]]]:
    """Yield (titles of all parts of the model with members, all members): one cause for all."""
    pairs = list(named)
    if pairs:
        yield family.parts(name for name, _ in pairs), [item for _, item in pairs]


def parts(family: Family, tensors: Iterable[Tensor]) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield (title of a part of the model, its tensors), in the family's order."""
    return by_part(family, ((tensor.name, tensor) for tensor in tensors))


def amount(tensors: Sequence[Tensor]) -> str:
    """Return the number of tensors and of their bytes: "3 tensors, 144 bytes"."""
    nbytes = sum(tensor.nbytes for tensor in tensors)
    return f"{count(len(tensors), 'tensor')}, {count(nbytes, 'byte')}"


def first(names: Iterable[str]) -> str:
    """Return the first name, with ranges for the numbers in which other names differ."""
    return next(iter(fold(names)), "")


def about(
    tensors: Iterable[Tensor],
    what: str,
    remedy: str | Remedy = "",
    severity: Severity | None = None,
) -> Violation:
    """Return a violation by tensors: its path is the file that has all of them, if one has."""
    tensors = tuple(tensors)
    files = {tensor.shard for tensor in tensors}
    path = files.pop() if len(files) == 1 else ""
    return Violation(what, path, first(tensor.name for tensor in tensors), remedy, severity)


def only_file(checkpoint: Checkpoint) -> str:
    """Return the path of the weight file where there is one, "" where there are several."""
    return checkpoint.weights[0].path if len(checkpoint.weights) == 1 else ""


def expectation(subject: Subject) -> Expectation:
    """Return what the loader reads; nothing where that is unknown."""
    found = subject.family.expected(subject.checkpoint)
    return Expectation({}, "") if isinstance(found, Unknown) else found


def read_by_loader(subject: Subject) -> list[tuple[Tensor, Expected]]:
    """Return the tensors that the loader reads, by their names without a wrapper's segments."""
    found = expectation(subject)
    expected = {**found.tensors, **found.optional} if found.optional else found.tensors
    return [
        (tensor, wanted)
        for tensor in subject.checkpoint.tensors
        if (wanted := expected.get(tensor.name) or expected.get(unwrapped(tensor.name)))
    ]


def lacks_elements(subject: Subject, tensor: Tensor) -> bool:
    """Whether a tensor without elements is a fault; other models may keep some on purpose."""
    is_weight = tensor.dtype in FLOATS and tensor.name.rpartition(".")[2] in {"weight", "bias"}
    return not tensor.parameters and (subject.family.cleaning is not None or is_weight)


def is_judged(subject: Subject) -> bool:
    """Whether rules about what the family expects judge every tensor, so that none has to guess."""
    return subject.family.cleaning is not None or subject.expectation is not None


def judges_shapes(subject: Subject) -> bool:
    """Whether every tensor is there and its shape is judged, so that no other rule has to."""
    found, file = subject.expectation, subject.family.file
    is_whole = isinstance(found, Expectation) and not missing_from(subject, found)
    return is_whole and file is not None and not file.names_only


def missing_from(subject: Subject, expectation: Expectation) -> list[tuple[str, Expected]]:
    """Return the expected tensors that are not stored: of a tied group, if none of it is."""
    there = subject.checkpoint
    held = {name for tensor in there.tensors for name in (tensor.name, unwrapped(tensor.name))}
    held |= {alias for file in there.weights for alias, _ in file.aliases}
    return [(name, expectation.tensors[name]) for name in expectation.missing(held)]
