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
_ROUTERS = frozenset({"gate", "router", "wg"})
"""Modules that choose experts; their bias may be a correction that is F32 beside a BF16 weight."""

_MANY = 4
"""From so many blocks on, the first and the last are often kept in a wider dtype on purpose."""

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

    Models in mixed precision keep whole modules in F32: every norm, every router, a head. None has
    the weight of a module in one dtype and its bias in another: PyTorch refuses to compute a linear
    layer or a convolution of two dtypes. A script cast a part of the tensors, or they come from two
    files. A loader that converts everything to one dtype hides it, but not what was rounded.

    LeRobot builds, saves and loads some policies in F32 alone, whatever config.json says: ACT,
    diffusion, VQ-BeT and TD-MPC. Weights in BF16 or F16 were rounded, and loading
    does not bring back what they lost. Where all of them are, somebody may have wanted a file of
    half the size: a note.

    The same tensor in two dtypes from block to block is a note too: some trainings freeze the lower
    blocks in BF16 and keep the trained ones in F32. First and last blocks do not count. Quantized
    models are not checked.

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
        elif blocks := list(_blocks(floats)):
            yield _in_blocks(blocks)


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
        if "bias" not in last:
            continue
        weight = named.get(name.removesuffix(last) + last.replace("bias", "weight"))
        if (
            weight
            and bias.dtype is not weight.dtype
            # GPT-2's weights are transposed.
            and bias.shape in (weight.shape[:1], weight.shape[-1:])
            and _ROUTERS.isdisjoint(name.split(".", SEGMENT_LIMIT))
        ):
            found.append((weight, bias))
    return found


def _in_modules(pairs: list[tuple[Tensor, Tensor]]) -> Violation:
    weight, bias = pairs[0]
    narrow = [min(pair, key=lambda one: one.dtype.bits) for pair in pairs]
    what = (
        f"weight and bias of {count(len(pairs), 'module')} in two dtypes, the first {weight.dtype} "
        f"and {bias.dtype}: no training writes that; the {amount(narrow)} in {_dtypes(narrow)} "
        "were probably rounded"
    )
    return about(narrow, what)


def _blocks(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the fewer ones of the tensors that equal blocks have in two dtypes."""
    alike: defaultdict[tuple[str, tuple[int, ...]], list[tuple[int, Tensor]]] = defaultdict(list)
    for tensor in tensors:
        parts = tensor.name.split(".", SEGMENT_LIMIT)
        # A number right before the last part counts the modules of a Sequential, of any kinds.
        numbers = [at for at, part in enumerate(parts[:-2]) if is_index(part)]
        if numbers:
            first = int(parts[numbers[0]])
            for at in numbers:
                parts[at] = "*"
            alike[".".join(parts), tensor.shape].append((first, tensor))
    for held in alike.values():
        usual, times = Counter(tensor.dtype for _, tensor in held).most_common(1)[0]
        if times == len(held):
            continue
        places = {place for place, _ in held}
        fewer = [(place, one) for place, one in held if one.dtype is not usual]
        ends = {min(places), max(places)}
        if len(places) < _MANY or not ends.issuperset(place for place, _ in fewer):
            yield [one for _, one in fewer]


def _in_blocks(blocks: list[list[Tensor]]) -> Violation:
    fewer = [tensor for held in blocks for tensor in held]
    what = (
        f"{amount(fewer)} in {_dtypes(fewer)}, which equal blocks have in another dtype: cast in "
        "part, from two sources, or trained while the others were frozen"
    )
    remedy = "nothing, if it was intended; otherwise take the tensors from one source"
    return about(fewer, what, remedy, Severity.NOTE)


def _dtypes(tensors: Iterable[Tensor]) -> str:
    return ", ".join(sorted({str(tensor.dtype) for tensor in tensors}))
