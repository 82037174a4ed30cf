"""Numbers in the weights that no trained model has. Values of tensors are read with `--values`."""

from __future__ import annotations

import re
from math import hypot, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.dtype import FLOATS, Dtype
from ckpt_tools.checkpoint.names import fold
from ckpt_tools.families.kinds import Kind, name_of
from ckpt_tools.families.lerobot import is_buffer
from ckpt_tools.families.smolvla.components import TEXT, VISION, component
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.values.model import Measurement

LIMIT = 1e5
_SURE, _ROUNDING = 5, 0.01
"""Standard deviations within which a sample stays, and what BF16 adds to its spread."""

_MEASURED = frozenset({Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16})
_DIVERGED = "publish a checkpoint from before the training diverged"


def _by_file(
    subject: Subject,
    is_wrong: Callable[[Tensor, Measurement], bool],
    what: Callable[[list[Measurement]], str],
    remedy: str,
) -> Iterator[Violation]:
    """Yield one violation for each weight file with such tensors, named after `what`."""
    facts = subject.facts or {}
    for file in subject.checkpoint.weights:
        found = [
            tensor
            for tensor in file.tensors
            if tensor.name in facts and is_wrong(tensor, facts[tensor.name])
        ]
        if found:
            names = list(fold(tensor.name for tensor in found))
            tensors = f"{count(len(found), 'tensor')} ({names[0]}{', …' * (len(names) > 1)})"
            text = what([facts[tensor.name] for tensor in found])
            yield Violation(f"{text} {tensors}", file.path, found[0].name, remedy)


def _is_matrix(tensor: Tensor) -> bool:
    """Whether training fills a tensor with many numbers: floats in two dimensions or more.

    A single row does not count: a mask token, the only type of token.
    """
    return tensor.dtype in FLOATS and sum(size > 1 for size in tensor.shape) > 1


@rule("CK401", "nan-values", Severity.ERROR, needs=Need.VALUES)
def nan_values(subject: Subject) -> Iterator[Violation]:
    """NaN in the weights.

    A single NaN is enough: it spreads through every layer, and stock LeRobot loads the file
    silently and outputs only NaN as actions.

    Publish an earlier checkpoint, from before the training diverged.

    Bad:

        model.state_proj.weight    0.013, nan, -0.201

    Good:

        model.state_proj.weight    0.013, 0.094, -0.201
    """
    yield from _by_file(
        subject,
        lambda _, facts: facts.nan > 0,
        lambda found: f"{sum(facts.nan for facts in found):,} NaN in",
        _DIVERGED,
    )


@rule("CK402", "infinite-values", Severity.ERROR, needs=Need.VALUES)
def infinite_values(subject: Subject) -> Iterator[Violation]:
    """Infinity in the weights.

    An infinity becomes NaN at the first subtraction, and then every action is NaN.

    Publish an earlier checkpoint; where a cast to F16 produced the infinities, cast to BF16
    instead.

    Bad:

        model.state_proj.weight    0.013, inf, -0.201

    Good:

        model.state_proj.weight    0.013, 65536.0, -0.201
    """
    yield from _by_file(
        subject,
        lambda tensor, facts: facts.infinite > 0 and not is_buffer(tensor.name),  # CK736
        lambda found: f"{sum(facts.infinite for facts in found):,} infinite values in",
        f"{_DIVERGED}, or one that was not cast to F16",
    )


@rule("CK403", "zero-weights", Severity.WARNING, needs=Need.VALUES)
def zero_weights(subject: Subject) -> Iterator[Violation]:
    """Matrices of zeros.

    A matrix of zeros passes nothing on: it was never trained, never loaded, or written by a script
    that only allocated it. Vectors and single rows may be zero: biases and mask tokens start so.
    Integers are not checked.

    Find out what wrote the checkpoint. A layer that starts at zero on purpose is a reason to
    suppress this finding.

    Bad:

        model.action_out_proj.weight    [[0, 0], [0, 0]]

    Good:

        model.action_out_proj.weight    [[0.02, -0.11], [0.07, 0.04]]
    """
    yield from _by_file(
        subject,
        lambda tensor, facts: _is_matrix(tensor) and facts.constant and facts.low == 0,
        lambda _: "only zeros in",
        "find out what wrote them: they were not trained, or not saved",
    )


@rule("CK404", "constant-weights", Severity.WARNING, needs=Need.VALUES)
def constant_weights(subject: Subject) -> Iterator[Violation]:
    """Matrices with a single value.

    Training never produces such a matrix. It is a placeholder that was saved instead of weights.
    Integers are not checked: the zero points of a symmetric quantization are all the same.

    Find out what wrote the checkpoint.

    Bad:

        model.action_out_proj.weight    [[1, 1], [1, 1]]

    Good:

        model.action_out_proj.weight    [[0.02, -0.11], [0.07, 0.04]]
    """
    yield from _by_file(
        subject,
        lambda tensor, facts: _is_matrix(tensor) and facts.constant and facts.low != 0,
        lambda _: "one single value throughout",
        "find out what wrote them: these are placeholders",
    )


@rule("CK405", "vlm-never-loaded", Severity.ERROR, needs=Need.VALUES, families=(SMOLVLA.name,))
def vlm_never_loaded(subject: Subject) -> Iterator[Violation]:
    """A VLM that was never loaded.

    A VLM that was built from its config and never given weights keeps what it was initialized with:
    every RMSNorm weight of the text model is exactly 1, every bias of the vision tower exactly 0,
    and the matrices of all layers are spread alike around 0. Training in BF16 leaves norm weights
    at 1, too, but neither biases nor matrices. A policy with such a VLM was trained on top of
    noise, with `load_vlm_weights=false` and no checkpoint to start from, or from a VLM that is
    itself untrained; everything else about it looks right.

    Train again from `lerobot/smolvla_base`, or with `--policy.load_vlm_weights=true`.

    Bad:

        model.vlm_with_expert.vlm.model.text_model.norm.weight                    1.0, 1.0, 1.0
        model.vlm_with_expert.vlm.model.vision_model.post_layernorm.bias          0.0, 0.0, 0.0

    Good:

        model.vlm_with_expert.vlm.model.text_model.norm.weight                    1.0, 1.0, 1.0
        model.vlm_with_expert.vlm.model.vision_model.post_layernorm.bias          0.31, -0.02, 0.08
    """
    facts = subject.facts or {}
    text, vision = (
        [tensor for tensor in subject.checkpoint.tensors if component(tensor.name) == part]
        for part in (TEXT, VISION)
    )
    norms = [tensor for tensor in text if tensor.name.endswith("norm.weight")]
    biases = [tensor for tensor in vision if tensor.name.endswith(".bias")]
    matrices = [tensor for tensor in text if ".layers." in tensor.name and _is_matrix(tensor)]
    if (
        all(_only(facts.get(tensor.name), number) for tensor, number in _fresh(norms, biases))
        and norms
        and biases
        and _alike([facts[tensor.name] for tensor in matrices if tensor.name in facts])
    ):
        yield Violation(
            f"all {len(norms)} RMSNorm weights of the text model are exactly 1, all {len(biases)} "
            "biases of the vision tower exactly 0, and the text model's matrices spread alike: the "
            "VLM was initialized and never loaded",
            norms[0].shard,
            norms[0].name,
            "train again from a pretrained VLM (--policy.load_vlm_weights=true)",
        )


def _fresh(norms: list[Tensor], biases: list[Tensor]) -> list[tuple[Tensor, int]]:
    """Return each tensor with the number that it is initialized with."""
    return [*((tensor, 1) for tensor in norms), *((tensor, 0) for tensor in biases)]


def _only(facts: Measurement | None, number: int) -> bool:
    return facts is not None and facts.low == facts.high == number


def _alike(matrices: list[Measurement]) -> bool:
    """Whether matrices can be samples of one normal distribution around 0, by five deviations."""
    count_of_all = sum(matrix.finite for matrix in matrices)
    if not count_of_all:
        return False
    spread = hypot(*(matrix.l2 for matrix in matrices)) / sqrt(count_of_all)
    return all(
        abs(matrix.mean) <= _SURE * spread / sqrt(matrix.finite)
        and abs(matrix.l2 / sqrt(matrix.finite) - spread)
        <= spread * (_SURE / sqrt(2 * matrix.finite) + _ROUNDING)
        for matrix in matrices
        if matrix.finite
    )


@rule("CK406", "huge-values", Severity.WARNING, needs=Need.VALUES)
def huge_values(subject: Subject) -> Iterator[Violation]:
    """Huge values in the weights.

    Weights of a trained network are small; values above a hundred thousand come from a training
    that diverged, a wrong dtype, or bytes that are not weights. F16 ends at 65,504, and BF16 has no
    more than three digits there. Integers and statistics do not count.

    Check the tensors that the finding names.

    Bad:

        model.state_proj.weight    0.013, 3.1e+32, -0.201

    Good:

        model.state_proj.weight    0.013, 0.094, -0.201
    """
    yield from _by_file(
        subject,
        lambda tensor, facts: tensor.dtype in _MEASURED and max(-facts.low, facts.high) > LIMIT,
        lambda found: (
            f"values as large as {max(max(-facts.low, facts.high) for facts in found):.2g} in"
        ),
        "find out what wrote them: trained weights are smaller",
    )


_NORM = re.compile(r"(?:^|[._])(?:\w*norm\w*|ln|ln_\w+)\.weight$", re.IGNORECASE)
_AROUND_ZERO = ("gemma", "qwen3_next", "qwen3_5", "nemotron", "pi0")
"""Models that multiply by one plus the weight of a norm, which starts at 0."""


@rule("CK407", "zero-norms", Severity.ERROR, needs=Need.VALUES)
def zero_norms(subject: Subject) -> Iterator[Violation]:
    """Norm weights that are all zero.

    A norm multiplies by its weight: where every norm weight is 0, every layer passes on zeros or
    its bias, whatever the input. They were allocated and never filled: saved under DeepSpeed
    ZeRO-3 or FSDP, or written by a conversion that did not find them. Models that multiply by one
    plus the weight (Gemma, Qwen3-Next, Nemotron) start at 0 and are left alone, and a model whose
    config names no architecture gets a warning.

    Save or convert the checkpoint again; the run's other files have the norms.

    Bad:

        model.norm.weight    0.0, 0.0, 0.0

    Good:

        model.norm.weight    1.734, 1.609, 1.688
    """
    facts, there = subject.facts or {}, subject.checkpoint
    norms = [
        tensor
        for tensor in there.tensors
        if tensor.dtype in _MEASURED and len(tensor.shape) == 1 and _NORM.search(tensor.name)
    ]
    read = [facts[tensor.name] for tensor in norms if tensor.name in facts]
    if len(norms) < 2 or len(read) < len(norms) or any(one.zeros < one.elements for one in read):  # noqa: PLR2004 - a single norm may start at zero
        return
    called = (name_of(there, subject.family), *(tensor.name for tensor in norms))
    if any(name in one.lower() for one in called for name in _AROUND_ZERO):
        return
    severity = None if Kind.TRANSFORMERS in subject.kinds else Severity.WARNING
    what = f"all {len(norms)} norm weights are exactly 0: the layers pass nothing on"
    yield about(norms, what, "save or convert the checkpoint again", severity)
