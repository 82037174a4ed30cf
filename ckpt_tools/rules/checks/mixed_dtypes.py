"""Float dtypes that differ where a model has one: all of it, a module, or equal blocks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, is_index
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount
from ckpt_tools.rules.quantization import is_quantized, mentions_quantization
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_FLOATS = (Dtype.BF16, Dtype.F16, Dtype.F32)
_WIDE_BIAS = frozenset({"gate", "wg", "dt_proj"})
"""Modules that keep their bias in F32 beside a BF16 weight: routers of experts, Mamba's steps."""

_ROUTERS = ("router", "gating")
"""What the names of other routers contain."""

_INTENDED = (
    "nothing, if the file was to be half as large; otherwise take the tensors from where the model "
    "was trained"
)


@rule(
    "CK317",
    "mixed-dtypes",
    Severity.WARNING,
    needs=Need.HEADERS,
    fix="take the tensors from where the model was trained",
)
def mixed_dtypes(subject: Subject) -> Iterator[Violation]:
    """Weights in two float dtypes where a model has one.

    Models in mixed precision keep whole modules in F32: every norm, every router, a head. The
    weight of a module and its bias have one dtype: PyTorch refuses to compute a linear layer or a
    convolution of two. Otherwise a script cast a part of the tensors, they come from two files, or
    only the biases were trained. A loader that converts everything to one dtype hides it, but not
    what was rounded. The biases of routers and of Mamba's steps may be wider.

    LeRobot builds, saves and loads some policies in F32 alone, whatever config.json says: ACT,
    diffusion, VQ-BeT and TD-MPC. Weights in BF16 or F16 were rounded, and loading
    does not bring back what they lost. Where all of them are, somebody may have wanted a file of
    half the size: a note.

    The same tensor in two dtypes from block to block is a note too: some trainings freeze the lower
    blocks in BF16 and keep the trained ones in F32. Blocks are equal if their tensors have the same
    names and shapes. The first and the last of them do not count: they are often kept wider.
    Quantized models are not checked.

    Take the tensors from where the model was trained.

    Bad:

        encoder.layers.0.linear1.weight    F32
        encoder.layers.0.linear1.bias      BF16

    Good:

        encoder.layers.0.linear1.weight    BF16
        encoder.layers.0.linear1.bias      BF16
        encoder.layers.0.norm1.weight      F32
        encoder.layers.0.norm1.bias        F32
    """
    floats = [one for one in subject.checkpoint.tensors if one.dtype in _FLOATS and one.parameters]
    file = subject.family.file
    if not floats or _is_mixed_by_design(subject):
        return
    if file and file.fixed_float:
        yield from _rounded(subject, floats, file.fixed_float)
    elif len({tensor.dtype for tensor in floats}) > 1:
        if pairs := _pairs(floats):
            yield _in_modules(pairs)
        elif fewer := _in_equal_blocks(floats):
            yield _in_blocks(fewer)


def _is_mixed_by_design(subject: Subject) -> bool:
    """Whether dtypes differ by design, or a rule of the family judges them."""
    return (
        subject.family.cleaning is not None
        or is_quantized(subject)
        or mentions_quantization(subject.checkpoint.value(CONFIG))
    )


def _rounded(subject: Subject, floats: list[Tensor], fixed: Dtype) -> Iterator[Violation]:
    """Yield the violation of weights that are narrower than the one dtype of their library."""
    rounded = [tensor for tensor in floats if tensor.dtype.bits < fixed.bits]
    if not rounded:
        return
    library, dtypes = subject.family.loader.name, _dtypes(rounded)
    if len(rounded) == len(floats) and len({tensor.dtype for tensor in rounded}) == 1:
        what = (
            f"all weights are {dtypes}: {library} builds, saves and loads this model in {fixed}, "
            "so they were rounded"
        )
        yield about(rounded, what, _INTENDED, Severity.NOTE)._replace(subject="")
    else:
        part = subject.family.parts(tensor.name for tensor in rounded)
        nbytes = sum(tensor.nbytes for tensor in rounded)
        what = (
            f"{len(rounded):,} of {count(len(floats), 'tensor')}, {count(nbytes, 'byte')}, are "
            f"{dtypes} instead of {fixed} ({part}): {library} builds, saves and loads this model "
            f"in {fixed}, so these were rounded"
        )
        yield about(rounded, what)


def _pairs(tensors: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return (weight, bias) of the modules that have them in two dtypes."""
    named = {tensor.name: tensor for tensor in tensors}
    found = []
    for name, bias in named.items():
        last = name.rpartition(".")[2]
        if "bias" not in last or "mask" in last or _has_wide_bias(name):
            continue
        weight = named.get(name.removesuffix(last) + last.replace("bias", "weight"))
        if (
            weight
            and bias.dtype is not weight.dtype
            # GPT-2's weights are transposed.
            and bias.shape in (weight.shape[:1], weight.shape[-1:])
        ):
            found.append((weight, bias))
    return found


def _has_wide_bias(name: str) -> bool:
    return any(word in name for word in _ROUTERS) or not _WIDE_BIAS.isdisjoint(
        name.split(".", SEGMENT_LIMIT)
    )


def _in_modules(pairs: list[tuple[Tensor, Tensor]]) -> Violation:
    weight, bias = pairs[0]
    narrow = [
        one
        for pair in pairs
        for one in pair
        if one.dtype.bits == min(other.dtype.bits for other in pair)
    ]
    what = (
        f"weight and bias of {count(len(pairs), 'module')} in two dtypes, the first {weight.dtype} "
        f"and {bias.dtype}: cast in part, from two sources, or only one of the two was trained; "
        f"probably rounded: {amount(narrow)} in {_dtypes(narrow)}"
    )
    return about(narrow, what)


def _in_equal_blocks(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return the tensors that most of the equal blocks have in another dtype.

    Where as many have one dtype as the other, the tensors of both.
    """
    found: dict[str, Tensor] = {}
    for blocks in _equal_blocks(tensors):
        for alike in zip(*blocks, strict=True):
            usual = Counter(tensor.dtype for tensor in alike).most_common(2)
            if len(usual) > 1:
                is_tie = usual[0][1] == usual[1][1]
                fewer = (one for one in alike if is_tie or one.dtype is not usual[0][0])
                found.update((one.name, one) for one in fewer)
    return list(found.values())


def _equal_blocks(tensors: Iterable[Tensor]) -> Iterator[list[list[Tensor]]]:
    """Yield blocks of the same names and shapes without the first and the last, in one order."""
    blocks: defaultdict[tuple[str, ...], dict[str, Tensor]] = defaultdict(dict)
    for tensor in tensors:
        parts = tuple(tensor.name.split(".", SEGMENT_LIMIT))
        for at, part in enumerate(parts[:-1]):
            if is_index(part):
                blocks[parts[: at + 1]][".".join(parts[at + 1 :])] = tensor
    equal: defaultdict[tuple[object, ...], list[tuple[int, list[Tensor]]]] = defaultdict(list)
    for path, block in blocks.items():
        held = sorted(block.items())
        shapes = tuple((inner, tensor.shape) for inner, tensor in held)
        equal[path[:-1], shapes].append((int(path[-1]), [tensor for _, tensor in held]))
    for numbered in equal.values():
        numbered.sort(key=lambda one: one[0])
        yield [block for _, block in numbered[1:-1]]


def _in_blocks(fewer: list[Tensor]) -> Violation:
    what = (
        f"{amount(fewer)} in {_dtypes(fewer)} have another dtype in equal blocks: cast in part, "
        "from two sources, or trained while the others were frozen"
    )
    remedy = "nothing, if it was intended; otherwise take the tensors from one source"
    return about(fewer, what, remedy, Severity.NOTE)


def _dtypes(tensors: Iterable[Tensor]) -> str:
    return ", ".join(sorted({str(tensor.dtype) for tensor in tensors}))
