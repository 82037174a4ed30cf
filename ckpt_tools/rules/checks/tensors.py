"""Tensors that a loader misses or rejects, and those under another name: presence and shapes."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG, PROCESSORS
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.lerobot import is_buffer
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.fitting_config import correction
from ckpt_tools.rules.grouping import (
    about,
    amount,
    by_part,
    expectation,
    first,
    lacks_elements,
    missing_from,
    only_file,
    read_by_loader,
    whole,
)
from ckpt_tools.rules.processors import MIGRATE, normalizers
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.families.family import Expected
    from ckpt_tools.rules.rule import Subject

_EXPECTED = (Need.HEADERS, Need.CONFIG, Need.EXPECTATION)
_POOLER = re.compile(r"(?:^|\.)pooler\.")
_TIED = {"lm_head.weight", "embed_tokens.weight"}


@rule(
    "CK305",
    "missing-tensors",
    Severity.ERROR,
    needs=_EXPECTED,
)
def missing_tensors(subject: Subject) -> Iterator[Violation | Covered]:
    """Tensors that the loader reads are missing.

    Stock LeRobot loads a policy with missing tensors and leaves those at random values, with only a
    warning. The robot then moves at random. Whole parts are missing where a student shared its VLM
    with a registered teacher, because safetensors keeps one of two names, and where only trained
    parameters were saved.

    `ckpt sanitize` restores what is stored under a teacher's name. Take everything else from the
    run that trained the policy, or from its base: `ckpt plan` with `take`.

    Bad:

        teacher.model.vlm_with_expert.vlm.lm_head.weight
        model.state_proj.weight

    Good:

        model.vlm_with_expert.vlm.lm_head.weight
        model.state_proj.weight
    """
    expectation = subject.family.expected(subject.checkpoint)
    if isinstance(expectation, Unknown):
        what = f"the expected tensors are unknown: {expectation.reason}"
        yield Violation(what, CONFIG, next="correct config.json", severity=Severity.NOTE)
        return
    yield Covered(Question.COMPLETENESS)
    present = {unwrapped(tensor.name) for tensor in subject.checkpoint.tensors}
    missing = missing_from(subject, expectation)
    grouped = whole if missing and correction(subject) else by_part
    for part, members in grouped(subject.family, ((one[0], one) for one in missing)):
        names = [name for name, _ in members]
        what = (
            f"{count(len(names), 'tensor')} missing ({part}){_bytes(members)}: "
            f"{subject.family.missing}"
        )
        yield Violation(
            what,
            only_file(subject.checkpoint),
            first(names),
            _restored(subject, names, present),
            Severity.NOTE if _is_unused(subject, names) else None,
        )


def _restored(subject: Subject, names: list[str], present: set[str]) -> Remedy | str:
    """Return where missing tensors are, or what in config.json makes the loader miss them."""
    if any(prefix + name in present for prefix in TEACHER_PREFIXES for name in names):
        return Remedy(("ckpt", "sanitize", "WHERE"), "{} restores them from the teacher's names")
    take = "take them from where it was trained: `ckpt plan` with `take` in the recipe"
    corrected = correction(subject)
    return (
        corrected.remedy._replace(text=f"{take}; if none is missing: {{}}") if corrected else take
    )


def _is_unused(subject: Subject, names: Iterable[str]) -> bool:
    """Whether transformers builds these for a base model, of which most uses need none."""
    architectures = subject.checkpoint.value(CONFIG).get("architectures")
    is_base = isinstance(architectures, list) and all(
        isinstance(one, str) and one.endswith("Model") for one in architectures
    )
    return is_base and all(_POOLER.search(name) for name in names)


def _bytes(missing: Iterable[tuple[str, Expected]]) -> str:
    """Return how many bytes the tensors would have, "" where a shape is unknown."""
    sizes = [
        prod(wanted.shape) * wanted.dtype.bits // 8 if wanted.shape is not None else None
        for _, wanted in missing
    ]
    known = [size for size in sizes if size is not None]
    return f", {count(sum(known), 'byte')}" if len(known) == len(sizes) else ""


@rule(
    "CK307",
    "unexpected-shapes",
    Severity.ERROR,
    needs=_EXPECTED,
    fix="correct config.json, or take the weights that belong to it",
)
def unexpected_shapes(subject: Subject) -> Iterator[Violation | Covered]:
    """Tensor shapes that do not match config.json.

    Stock LeRobot builds the policy from config.json and rejects weights of another shape
    (RuntimeError: size mismatch). Usually the config is wrong, taken from another run with another
    `max_action_dim`, `expert_width_multiplier` or VLM.

    Correct config.json, or take the weights that belong to it. Sizes that only the VLM's own config
    has are taken from the majority of the tensors.

    Bad (model.action_out_proj.weight has 32 rows):

        {"type": "smolvla", "max_action_dim": 14}

    Good:

        {"type": "smolvla", "max_action_dim": 32}
    """
    matched = read_by_loader(subject)
    if any(wanted.shape is not None for _, wanted in matched):
        yield Covered(Question.AGREEMENT)
    wrong = [
        (tensor.name, (tensor, wanted.shape))
        for tensor, wanted in matched
        if wanted.shape not in (None, tensor.shape) and not lacks_elements(subject, tensor)
    ]
    corrected = correction(subject) if wrong else None
    for part, members in (whole if corrected else by_part)(subject.family, wrong):
        tensors = [tensor for tensor, _ in members]
        tensor, shape = members[0]
        what = (
            f"{amount(tensors)} of another shape than config.json gives them ({part}), the first "
            f"{list(tensor.shape)} instead of {list(shape or ())}: "
            f"{subject.family.loader.misshapen}"
        )
        yield about(tensors, what, corrected.remedy if corrected else "")


@rule(
    "CK309",
    "aliased-names",
    Severity.ERROR,
    needs=Need.HEADERS,
)
def aliased_names(subject: Subject) -> Iterator[Violation]:
    """Tensors stored only under another tensor's name.

    safetensors keeps one name of two tensors that share storage and notes the other in the
    metadata. Loaders ignore that note: stock LeRobot does not find the name and leaves the weights
    at random values, with only a warning. It happens to the VLM of a student that shares it with a
    registered teacher. A pair that the model itself ties, such as lm_head and the embedding, is
    stored like this on purpose.

    `ckpt sanitize` gives the tensors their own names again.

    Bad:

        {"__metadata__": {"model.vlm.norm.weight": "teacher.model.vlm.norm.weight"}}

    Good (the tensor itself):

        model.vlm.norm.weight
    """
    held = {unwrapped(tensor.name) for tensor in subject.checkpoint.tensors}
    aliases = [
        pair for file in subject.checkpoint.weights for pair in file.aliases if pair[0] not in held
    ]
    found = expectation(subject)
    expected = found.tensors
    groups = [set(group) for group in found.ties]
    lost = [
        pair
        for pair in aliases
        if pair[0] in expected and not _tied(pair) and not any(set(pair) <= one for one in groups)
    ]
    path = only_file(subject.checkpoint)
    for part, members in by_part(subject.family, ((pair[0], pair) for pair in lost)):
        what = (
            f"{count(len(members), 'tensor')} stored only under another name, such as "
            f"`{members[0][1]}` ({part}): {subject.family.missing}"
        )
        remedy = _own_name(members, expected)
        yield Violation(what, path, first(alias for alias, _ in members), remedy)
    rest = [pair for pair in aliases if pair not in set(lost)]
    if rest:
        what = (
            f"{count(len(rest), 'name')} in the metadata for a tensor stored under another name, "
            f"such as `{rest[0][1]}`"
        )
        remedy = "nothing to do if the model ties the two itself"
        yield Violation(what, path, first(alias for alias, _ in rest), remedy, Severity.NOTE)


def _own_name(aliases: list[tuple[str, str]], expected: Mapping[str, Expected]) -> Remedy | str:
    """Return how tensors that are stored under another name get their own."""
    if all(stored.startswith(TEACHER_PREFIXES) for _, stored in aliases):
        return Remedy(("ckpt", "sanitize", "WHERE"), safe=True)
    (alias, stored), *others = aliases
    if others or stored in expected:
        return "store the tensors under their own names: save the model again"
    return Remedy(("ckpt", "rename", "WHERE", stored, alias), safe=True)


def _tied(pair: tuple[str, str]) -> bool:
    """Whether models are known to tie the two names."""
    return {next((end for end in _TIED if name.endswith(end)), "") for name in pair} == _TIED


@rule(
    "CK310",
    "normalisation-buffers",
    Severity.WARNING,
    needs=Need.HEADERS,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def normalisation_buffers(subject: Subject) -> Iterator[Violation]:
    """Normalization statistics among the weights.

    LeRobot 0.3 kept the normalization statistics in the policy, as `normalize_inputs.buffer_*` and
    the like. Since 0.4 they are in the processors' files; a newer LeRobot drops the buffers with a
    warning, and a checkpoint without processors acts unnormalized, or does not load.

    Migrate the checkpoint: `python -m lerobot.processor.migrate_policy_normalization
    --pretrained-path WHERE` writes a migrated copy. Until then keep the buffers: they are its only
    statistics. Where the processors have statistics already, `ckpt strip` removes the buffers.

    Bad (a tensor in model.safetensors):

        normalize_inputs.buffer_observation_state.mean

    Good (a tensor in the preprocessor's state file):

        observation.state.mean
    """
    tensors = [tensor for tensor in subject.checkpoint.tensors if is_buffer(tensor.name)]
    if tensors:
        what = (
            f"{amount(tensors)} of normalization statistics, as LeRobot 0.3 saved them: later "
            "releases drop them"
        )
        yield about(tensors, what, _unneeded(subject, tensors))


def _unneeded(subject: Subject, tensors: list[Tensor]) -> Remedy:
    """Return how to remove the buffers where both processors have statistics, else to migrate."""
    if not all(any(normalizers(subject, path)) for path in PROCESSORS) or not all(
        normalizer.statistics for path in PROCESSORS for normalizer in normalizers(subject, path)
    ):
        return MIGRATE
    owners = dict.fromkeys(tensor.name.rpartition("buffer_")[0] for tensor in tensors)
    if not all(owners):
        return Remedy(text="the processors have the statistics: nothing needs these")
    globs = (f"{owner}buffer_*.*" for owner in owners)
    return Remedy(
        ("ckpt", "strip", "WHERE", *globs), "the processors have the statistics: {} removes these"
    )
