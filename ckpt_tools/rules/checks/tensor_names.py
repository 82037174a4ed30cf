"""Names of tensors: a teacher's, a wrapped model's, and names that are not what they look like."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped, wrappers_among
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject


@rule(
    "CK301",
    "teacher-weights",
    Severity.ERROR,
    needs=Need.HEADERS,
    fix="ckpt sanitize WHERE",
    safe=True,
)
def teacher_weights(subject: Subject) -> Iterator[Violation]:
    """Teacher weights inside the checkpoint.

    Training code that registers its teacher as a submodule saves it together with the student.
    Stock LeRobot drops these tensors with one long warning about unexpected keys, and every
    download has twice the size. Worse, a student that shares its VLM with the teacher may have lost
    it under its own name.

    `ckpt sanitize` removes the teacher, and first restores what is stored only under the teacher's
    names.

    Bad:

        model.action_in_proj.weight
        teacher.model.action_in_proj.weight

    Good:

        model.action_in_proj.weight
    """
    for file in subject.checkpoint.weights:
        named = [(unwrapped(tensor.name), tensor) for tensor in file.tensors]
        among = [one for one in named if one[0].startswith(TEACHER_PREFIXES)]
        for prefix in TEACHER_PREFIXES:
            held = [tensor for name, tensor in among if name.startswith(prefix)]
            if held:
                yield Violation(f"{amount(held)} under `{prefix}`", file.path, held[0].name)


@rule(
    "CK302",
    "wrapped-names",
    Severity.ERROR,
    needs=Need.HEADERS,
    fix="ckpt sanitize WHERE",
    safe=True,
)
def wrapped_names(subject: Subject) -> Iterator[Violation]:
    """Tensor names with a wrapper's segment.

    torch.compile, DataParallel, FSDP, activation checkpointing and NeMo wrap a module; a state dict
    of the wrapped module has `_orig_mod`, `module`, `_fsdp_wrapped_module`,
    `_checkpoint_wrapped_module` or `_fp32_params` in its names. A loader finds none of these names:
    stock LeRobot and transformers load the checkpoint and leave the weights at random values, with
    only a warning. A model of an unknown family may have a part called `module`: there it counts
    only if every name has it, and as a warning.

    `ckpt sanitize` removes the segments; `ckpt rename` removes a single one.

    Bad:

        _orig_mod.model.state_proj.weight

    Good:

        model.state_proj.weight
    """
    is_known = subject.family.cleaning is not None
    wrappers = wrappers_among(
        [tensor.name for tensor in subject.checkpoint.tensors], is_known=is_known
    )
    groups: defaultdict[tuple[str, ...], list[Tensor]] = defaultdict(list)
    for tensor in subject.checkpoint.tensors:
        if unwrapped(tensor.name, wrappers) != tensor.name:
            segments = {part for part in tensor.name.split(".") if part in wrappers}
            groups[tuple(sorted(segments))].append(tensor)
    for found, tensors in groups.items():
        names = " and ".join(f"`{segment}`" for segment in found)
        what = (
            f"{amount(tensors)} with {names} in their names, from a wrapped model: a loader does "
            "not find them"
        )
        is_unsure = found == ("module",) and not is_known and not subject.family.file
        severity = Severity.WARNING if is_unsure else None
        yield about(tensors, what, severity=severity)


@rule(
    "CK303",
    "odd-names",
    Severity.ERROR,
    needs=Need.HEADERS,
    fix="give each the name that it looks like, with `ckpt rename`, and find out what wrote it",
)
def odd_names(subject: Subject) -> Iterator[Violation]:
    r"""Tensor names with invisible or misleading characters.

    A name with a control character, an invisible character, leading or trailing whitespace, or one
    letter of another alphabet among ASCII letters looks like another name: the loader does not find
    it, and the reason cannot be seen. Some such characters change what a terminal shows.

    `ckpt rename` gives the tensor the name that it looks like. Find out what wrote it.

    Bad (the first letter is Cyrillic, U+043C):

        \u043codel.state_proj.weight

    Good:

        model.state_proj.weight
    """
    groups: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in subject.checkpoint.tensors:
        kind = _oddity(tensor.name)
        if kind:
            groups[kind].append(tensor)
    for kind, tensors in groups.items():
        yield about(tensors, f"{amount(tensors)} with {kind}")._replace(subject=tensors[0].name)


def _oddity(name: str) -> str:
    """Return what is odd about a name, "" for nothing."""
    if not name:
        return "an empty name"
    if name != name.strip():
        return "whitespace at an end of the name"
    if not name.isprintable():
        hidden = next(character for character in name if not character.isprintable())
        return f"an invisible character (U+{ord(hidden):04X}) in the name"
    if name.isascii():
        return ""
    lone = next((found for segment in name.split(".") if (found := _lone(segment))), "")
    return f"a single non-ASCII character (U+{ord(lone):04X}) in the name" if lone else ""


def _lone(segment: str) -> str:
    """Return the only character of a segment that is not ASCII, where its other letters are."""
    others = {character for character in segment if not character.isascii()}
    ascii_letters = any(character.isascii() and character.isalpha() for character in segment)
    return others.pop() if len(others) == 1 and ascii_letters else ""


@rule(
    "CK304",
    "names-differing-in-case",
    Severity.WARNING,
    needs=Need.HEADERS,
    fix="find out which of the names the model has; strip the other, or rename it",
)
def names_differing_in_case(subject: Subject) -> Iterator[Violation]:
    """Tensor names that differ only in case.

    Both are tensors of their own, and a loader takes the one it expects. Usually one of the two is
    a typo, and exporting the weights to files or columns whose names ignore case loses one of them.

    Find out which one the model has, and remove or rename the other: `ckpt strip`, `ckpt rename`.

    Bad:

        model.state_proj.weight
        model.State_proj.weight

    Good:

        model.state_proj.weight
    """
    alike: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in subject.checkpoint.tensors:
        alike[tensor.name.casefold()].append(tensor)
    groups = [members for members in alike.values() if len({tensor.name for tensor in members}) > 1]
    if groups:
        tensors = [tensor for members in groups for tensor in members]
        name = groups[0][0].name
        example = next(tensor.name for tensor in groups[0] if tensor.name != name)
        what = f"{amount(tensors)} with names that differ only in case, such as {example!r}"
        yield about(tensors, what)._replace(subject=name)
