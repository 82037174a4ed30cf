"""Taking a teacher out of a checkpoint without losing what only its names hold. No I/O.

Every tensor under a teacher's name is judged by the name that the student would have it under. The
student has it: the teacher's is a copy, and goes. The student was never meant to have it: it goes.
The file says that the two were one (an alias in its metadata), or a whole part that the two may
have shared is gone from the student: it is brought back. Anything else stays, for somebody to look
at.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, literal, unwrapped
from ckpt_tools.edit.operations import Drop, Rename
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.operations import Operation
    from ckpt_tools.families.family import Family


def with_plain_names(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with the names that Unwrap gives its tensors and their aliases.

    The very same where it changes none.
    """
    plain = {tensor.name: unwrapped(tensor.name) for tensor in checkpoint.tensors}
    counts = Counter(plain.values())
    names = {name: new if new and counts[new] == 1 else name for name, new in plain.items()}
    if all(name == new for name, new in names.items()):
        return checkpoint
    files = []
    for file in checkpoint.weights:
        tensors = tuple(tensor._replace(name=names[tensor.name]) for tensor in file.tensors)
        aliases = dict(file.aliases)
        metadata = tuple(
            (unwrapped(key) if key in aliases else key, names.get(value, value))
            for key, value in file.metadata or ()
        )
        files.append(file._replace(tensors=tensors, metadata=metadata or file.metadata))
    return checkpoint._replace(weights=tuple(files))


def without_prefixes(name: str) -> str:
    """Return `name` without the teacher's prefix, and without that of the teacher's own teacher."""
    prefix = next((prefix for prefix in TEACHER_PREFIXES if name.startswith(prefix)), "")
    while prefix:
        name = name.removeprefix(prefix)
        prefix = next((prefix for prefix in TEACHER_PREFIXES if name.startswith(prefix)), "")
    return name


def without_teacher(plain: Checkpoint, family: Family) -> Iterator[Operation]:
    """Yield what brings back weights that only the teacher's names hold, and then drops the teacher."""
    copies: dict[str, list[str]] = {}
    for tensor in plain.tensors:
        rest = without_prefixes(tensor.name)
        if rest != tensor.name:
            copies.setdefault(rest, []).append(tensor.name)
    own = {tensor.name for tensor in plain.tensors} - {
        name for names in copies.values() for name in names
    }
    meant = _meant(plain, family, own)
    lost = _lost(plain, family, copies, own, meant)
    restored = {rest: min(copies[rest], key=_shallow) for rest in lost}
    taken = {name for names in copies.values() for name in names}
    yield from _renames(restored, taken)
    foreign = {rest for rest in copies if rest not in meant} if meant is not None else set()
    kept = {
        name for rest, names in copies.items() if rest not in own | lost | foreign for name in names
    }
    dropped = taken - kept - set(restored.values())
    aliases = {
        alias
        for file in plain.weights
        for alias, _ in file.aliases
        if alias.startswith(TEACHER_PREFIXES)
    }
    if dropped or aliases:
        yield Drop(
            tuple(covering(dropped | aliases, taken - set(restored.values()) | own | aliases))
        )


def _meant(plain: Checkpoint, family: Family, own: set[str]) -> set[str] | None:
    """Return the names that the student is meant to have, None where that is not known.

    What student and teacher hold together tells the sizes, as if it were one model: the student
    alone may have lost whole layers.
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
    meant: set[str] | None,
) -> set[str]:
    """Return the student's names of tensors that it shared with its teacher and that only the teacher's names hold."""
    if family.cleaning is None:
        return set()
    said = {alias for file in plain.weights for alias, _ in file.aliases}
    present = {family.component(name) for name in own}
    shared = (
        rest
        for rest in copies
        if rest not in own and family.component(rest) in family.cleaning.shared
    )
    return {
        rest
        for rest in shared
        if (rest in said or family.component(rest) not in present)
        and (meant is None or rest in meant)
    }


def _shallow(name: str) -> tuple[int, str]:
    return (name.count("."), name)


def _renames(restored: dict[str, str], taken: set[str]) -> Iterator[Operation]:
    """Yield renames from the teacher's names, of whole subtrees where they go as a whole."""
    by_prefix: dict[str, set[str]] = {}
    for rest, name in restored.items():
        by_prefix.setdefault(name.removesuffix(rest), set()).add(rest)
    for prefix, rests in sorted(by_prefix.items()):
        under = {name.removeprefix(prefix) for name in taken if name.startswith(prefix)}
        yield from (Rename(literal(prefix) + glob, glob) for glob in covering(rests, under))


def covering(wanted: Iterable[str], every: Iterable[str]) -> list[str]:
    """Return few globs that name `wanted` and nothing else of `every`.

    Subtrees where all in them is wanted, single names elsewhere.
    """
    chosen, universe = set(wanted), set(every) | set(wanted)
    found: list[str] = []
    stack: list[tuple[str, list[str]]] = [("", list(universe))]
    while stack:
        stem, names = stack.pop()
        left = [name for name in names if name in chosen]
        if len(left) == len(names) and stem and (stem[:-1] not in universe or stem[:-1] in chosen):
            found.append(f"{literal(stem)}**")
        elif stem.count(".") >= SEGMENT_LIMIT:
            found += map(literal, left)
        elif left:
            stack += _below(stem, names)
            found += [literal(name) for name in left if "." not in name[len(stem) :]]
    return sorted(found)


def _below(stem: str, names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return the subtrees below `stem`, each with its names."""
    trees: dict[str, list[str]] = {}
    for name in names:
        end = name.find(".", len(stem)) + 1
        if end:
            trees.setdefault(name[:end], []).append(name)
    return list(trees.items())
