"""Removing a teacher from a checkpoint without losing what only its names hold. No I/O.

Every tensor under a teacher's prefix is judged by the name that the student would have it under:

- the student has that name: the teacher's tensor is a copy and is dropped;
- the student does not need that name: it is dropped;
- the file records that student and teacher shared it (an alias in the metadata), or the student
  lacks the whole component, which the two may have shared: it is restored under the student's name;
- anything else is kept and reported.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import covering, literal, unwrapped, wrappers_among
from ckpt_tools.edit.operations import Drop, RenameTensors
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.operations import Operation
    from ckpt_tools.families.family import Family


def with_plain_names(checkpoint: Checkpoint, family: Family) -> Checkpoint:
    """Return the checkpoint with the names that Unwrap gives its tensors and their aliases.

    The same object if none changes.
    """
    held = {tensor.name for tensor in checkpoint.tensors}
    wrappers = wrappers_among(held, is_known=family.cleaning is not None)
    plain = {name: unwrapped(name, wrappers) for name in held}
    counts = Counter(plain.values())
    names = {name: new if new and counts[new] == 1 else name for name, new in plain.items()}
    if all(name == new for name, new in names.items()):
        return checkpoint
    files = []
    for file in checkpoint.weights:
        tensors = tuple(tensor._replace(name=names[tensor.name]) for tensor in file.tensors)
        aliases = dict(file.aliases)
        metadata = tuple(
            (unwrapped(key, wrappers) if key in aliases else key, names.get(value, value))
            for key, value in file.metadata or ()
        )
        files.append(file._replace(tensors=tensors, metadata=metadata or file.metadata))
    return checkpoint._replace(weights=tuple(files))


def without_prefixes(name: str) -> str:
    """Return `name` without the prefixes of the teacher and of its own teachers."""
    while prefix := next((prefix for prefix in TEACHER_PREFIXES if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    return name


def without_teacher(plain: Checkpoint, family: Family) -> Iterator[Operation]:
    """Yield operations that restore weights that only the teacher's names hold, then drop it."""
    copies: dict[str, list[str]] = {}
    own: set[str] = set()
    for tensor in plain.tensors:
        rest = without_prefixes(tensor.name)
        if rest == tensor.name:
            own.add(rest)
        else:
            copies.setdefault(rest, []).append(tensor.name)
    expected = _expected(plain, family, own)
    lost = _lost(plain, family, copies, own, expected)
    restored = {rest: min(copies[rest], key=lambda name: (name.count("."), name)) for rest in lost}
    under_teacher = {name for names in copies.values() for name in names}
    yield from _renames(restored, under_teacher)
    dropped = {
        name
        for rest, names in copies.items()
        if rest in own or rest in lost or (expected is not None and rest not in expected)
        for name in names
    } - set(restored.values())
    aliases = {
        alias
        for file in plain.weights
        for alias, _ in file.aliases
        if alias.startswith(TEACHER_PREFIXES)
    }
    if dropped or aliases:
        left = under_teacher - set(restored.values())
        yield Drop(tuple(covering(dropped | aliases, left | own | aliases)))


def _expected(plain: Checkpoint, family: Family, own: set[str]) -> set[str] | None:
    """Return the names that the student should have, None if unknown.

    The sizes are read from student and teacher as if they were one model, because the student alone
    may have lost whole layers.
    """
    files = []
    seen = set(own)
    for file in plain.weights:
        tensors = []
        for tensor in file.tensors:
            rest = without_prefixes(tensor.name)
            if rest == tensor.name or rest not in seen:
                tensors.append(tensor._replace(name=rest))
                seen.add(rest)
        files.append(file._replace(tensors=tuple(tensors)))
    expected = family.expected(plain._replace(weights=tuple(files)))
    return None if isinstance(expected, Unknown) else set(expected.tensors)


def _lost(
    plain: Checkpoint,
    family: Family,
    copies: dict[str, list[str]],
    own: set[str],
    expected: set[str] | None,
) -> set[str]:
    """Return the student's names of shared tensors that only the teacher's names hold."""
    if family.cleaning is None:
        return set()
    aliases = {alias for file in plain.weights for alias, _ in file.aliases}
    present = {family.component(name) for name in own}
    return {
        rest
        for rest in copies
        if rest not in own
        and family.component(rest) in family.cleaning.shared
        and (rest in aliases or family.component(rest) not in present)
        and (expected is None or rest in expected)
    }


def _renames(restored: dict[str, str], under_teacher: set[str]) -> Iterator[Operation]:
    """Yield renames from the teacher's names, of whole subtrees where possible."""
    by_prefix: dict[str, set[str]] = {}
    for rest, name in restored.items():
        by_prefix.setdefault(name.removesuffix(rest), set()).add(rest)
    for prefix, rests in sorted(by_prefix.items()):
        under = {name.removeprefix(prefix) for name in under_teacher if name.startswith(prefix)}
        yield from (RenameTensors(literal(prefix) + glob, glob) for glob in covering(rests, under))
