"""Tensors that a loader does not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import covering, literal, unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.lerobot import is_buffer
from ckpt_tools.families.template import folded
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.fitting_config import correction
from ckpt_tools.rules.grouping import about, amount, by_part, expectation, missing_from, whole
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.families.family import Expected
    from ckpt_tools.rules.rule import Subject

_GLOBS = 8
"""Patterns in a suggested command; what more would match is found by the next run."""

_LAYERS = {
    "num_vlm_layers": re.compile(r"\.text_model\.layers\.(\d+)\."),
    "num_expert_layers": re.compile(r"\.lm_expert\.layers\.(\d+)\."),
}
"""The tensors of the layers that these keys of config.json count."""

_CORRECT = "correct config.json: with another one, the loader reads them"

_HEAD = re.compile(
    r"(?:^|\.)(?:cls|pooler|lm_head|score|classifier|qa_outputs|mtp|predictions|head)(?:\.|$)"
)


@rule(
    "CK306",
    "unexpected-tensors",
    Severity.WARNING,
    needs=(Need.HEADERS, Need.CONFIG, Need.EXPECTATION),
)
def unexpected_tensors(subject: Subject) -> Iterator[Violation]:
    """Tensors that the loader does not read.

    Stock LeRobot lists such tensors in one long warning and drops them, and everybody downloads
    them. They are the state of another model or of an optimizer, an average of the weights, or
    layers that config.json does not have: then the config may be the wrong one.

    If nothing uses them, `ckpt strip` removes them. Nothing is stripped that a model of this family
    has with another config.json: correct that, such as `num_vlm_layers` or the name of a feature.

    Bad:

        model.state_proj.weight
        ema.state_proj.weight

    Good:

        model.state_proj.weight
    """
    found = expectation(subject)
    expected = found.tensors.keys() | found.optional.keys()
    every = [tensor.name for tensor in subject.checkpoint.tensors]
    aliases = (pair for file in subject.checkpoint.weights for pair in file.aliases)
    only_copies = {stored for alias, stored in aliases if alias in expected - set(every)}
    unexpected = [
        tensor
        for tensor in (subject.checkpoint.tensors if expected else ())
        if tensor.name not in expected
        and tensor.parameters
        and unwrapped(tensor.name) == tensor.name
        and not tensor.name.startswith(TEACHER_PREFIXES)
        and not is_buffer(tensor.name)
        and tensor.name not in only_copies
        and not subject.family.ignores(tensor.name)
    ]
    in_code = subject.family.cleaning is not None
    missing = [] if in_code or not unexpected else missing_from(subject, found)
    corrected = correction(subject) if unexpected else None
    for key, number, names in _deeper(subject, unexpected):
        members = [tensor for tensor in unexpected if tensor.name in names]
        unexpected = [tensor for tensor in unexpected if tensor.name not in names]
        what = (
            f"{amount(members)} of layers that config.json does not have: the loader drops them, "
            f"but all {number} layers are complete, so `{key}` is wrong"
        )
        yield about(members, what, Remedy(("ckpt", "config", "WHERE", "set", key, str(number))))
    named = ((tensor.name, tensor) for tensor in unexpected)
    for part, members in (whole if corrected else by_part)(subject.family, named):
        loader = subject.family.loader
        what = f"{amount(members)} that the loader does not read ({part}): {loader.unexpected}"
        is_head = not in_code and not missing and _are_heads(subject, members)
        if corrected:
            remedy = corrected.remedy
        elif missing:
            remedy = _renamed(members, missing)
        elif not is_head and _are_of_another_config(subject, members):
            remedy = Remedy(text=_CORRECT)
        else:
            remedy = _stripped(members, every)
        severity = Severity.ERROR if loader.is_strict else None
        yield about(members, what, remedy, Severity.NOTE if is_head else severity)


def _are_of_another_config(subject: Subject, members: list[Tensor]) -> bool:
    """Whether a model of the family has one of these tensors, but not with this config.json."""
    file = subject.family.file
    names = file.folded_names if file else frozenset()
    return any(folded(one.name) in names for one in members)


def _stripped(members: list[Tensor], every: list[str]) -> Remedy:
    globs = covering([tensor.name for tensor in members], every)[:_GLOBS]
    return Remedy(("ckpt", "strip", "WHERE", *globs))


def _renamed(members: list[Tensor], missing: list[tuple[str, Expected]]) -> Remedy:
    """Return how a tensor gets its name back; stripping it would lose what is missing."""
    if len(members) == len(missing) == 1:
        (name, wanted), stored = missing[0], members[0]
        if wanted.shape in (None, stored.shape):
            command = ("ckpt", "rename", "WHERE", literal(stored.name), name)
            return Remedy(command, "if it is the missing one: {}")
    return Remedy(text="find out which of the missing tensors they are: `ckpt rename`")


def _are_heads(subject: Subject, members: list[Tensor]) -> bool:
    """Whether these are a head that transformers leaves out where a task has another."""
    return Kind.TRANSFORMERS in subject.kinds and all(_HEAD.search(one.name) for one in members)


def _deeper(
    subject: Subject, unexpected: list[Tensor]
) -> Iterator[tuple[str, int, frozenset[str]]]:
    """Yield (config key, number of layers, names) of complete layers beyond those of config.json.

    They are complete if the weights have every tensor that config.json would add with that number.
    """
    expected = expectation(subject).tensors
    present = {tensor.name for tensor in subject.checkpoint.tensors}
    for key, pattern in _LAYERS.items():
        numbers = [int(at[1]) for tensor in unexpected if (at := pattern.search(tensor.name))]
        if numbers:
            number = max(numbers) + 1
            more = expectation(_with(subject, key, number)).tensors.keys() - expected.keys()
            if more and more <= present:
                yield key, number, frozenset(more)
                return


def _with(subject: Subject, key: str, number: int) -> Subject:
    """Return the subject with another number in its config.json."""
    documents = tuple(
        document._replace(value={**document.value, key: number})
        if document.path == CONFIG
        else document
        for document in subject.checkpoint.documents
    )
    return subject._replace(checkpoint=subject.checkpoint._replace(documents=documents))
