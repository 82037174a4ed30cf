"""Quantized models: weights and their scales, complete groups, and `quantization_config`.

Formats by their tensors: FP8 with scales (transformers' `fp8`, compressed-tensors, ModelOpt), GPTQ
and AWQ, bitsandbytes, packed weights of compressed-tensors, MXFP4. What is in another format, or in
8 bits without any scale, is not judged. FP8 is measured on transformers 5.5.4, the others are as
their writers document them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import is_numbered
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount, first
from ckpt_tools.rules.lora import is_adapter
from ckpt_tools.rules.policy_config import is_integer
from ckpt_tools.rules.quantization import (
    FP8,
    evidence,
    groups,
    is_one_of_several_shards,
    is_quantized,
    mentions_quantization,
    method_of,
    packed_columns,
    scale_names,
    settings_of,
)
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_KINDS = (Kind.TRANSFORMERS, Kind.DIFFUSERS)
_AGAIN = "quantize the model again, or take the missing tensors from where it was quantized"
_OTHER_SETTINGS = frozenset({"quantize_config.json", "quant_config.json", "hf_quant_config.json"})
"""Files in which AutoGPTQ, AutoAWQ and ModelOpt keep the settings; transformers reads none."""

_STORED = {"gptq": Severity.ERROR, "awq": Severity.ERROR, "fp8": None, "bitsandbytes": None}
"""Methods whose loader expects quantized tensors; with None it may quantize at loading."""


@rule("CK920", "fp8-scales", Severity.ERROR, needs=Need.HEADERS)
def fp8_scales(subject: Subject) -> Iterator[Violation]:
    """8-bit floats without their scale.

    An FP8 weight is stored divided by a scale, for the whole tensor, a row or a block. transformers
    loads one without its scale and says nothing: the weight is then thousands of times too large.
    Weights that were stored in 8 bits without any scale are another format, and are right.

    Quantize the model again, or take the scales from where it was quantized.

    Bad:

        model.layers.0.mlp.up_proj.weight              F8_E4M3 [8192, 2048]
        model.layers.1.mlp.up_proj.weight              F8_E4M3 [8192, 2048]
        model.layers.1.mlp.up_proj.weight_scale_inv    F32 [64, 16]

    Good:

        model.layers.0.mlp.up_proj.weight              F8_E4M3 [8192, 2048]
        model.layers.0.mlp.up_proj.weight_scale_inv    F32 [64, 16]
    """
    if not is_quantized(subject) or is_one_of_several_shards(subject):
        return
    names = {tensor.name for tensor in subject.checkpoint.tensors}
    weights = list(_fp8_weights(subject.checkpoint.tensors))
    bare = [tensor for tensor in weights if names.isdisjoint(scale_names(tensor.name))]
    needs_all = method_of(subject) in ("fp8", "fbgemm_fp8")
    scaled = len(weights) - len(bare)
    if not needs_all:  # a few tensors outside the layers may be stored without a scale
        bare = [tensor for tensor in bare if is_numbered(tensor.name)] if scaled else []
        bare = bare if len(bare) <= scaled else []
    if bare:
        others = f", which {scaled:,} others have" if scaled else ""
        what = f"{amount(bare)} in 8 bits without a scale{others}: loaded as other values"
        yield about(bare, what, _AGAIN)


def _fp8_weights(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield weights in 8-bit floats; a scale may itself be one."""
    for tensor in tensors:
        is_weight = tensor.dtype in FP8 and len(tensor.shape) > 1
        if is_weight and "scale" not in tensor.name.rpartition(".")[2]:
            yield tensor


@rule(
    "CK921",
    "quantization-config",
    Severity.ERROR,
    needs=(Need.HEADERS, Need.CONFIG),
    kinds=_KINDS,
)
def quantization_config(subject: Subject) -> Iterator[Violation]:
    """Quantized tensors, but no `quantization_config` in config.json.

    transformers and diffusers decide by this key alone. Without it they read the stored numbers as
    the weights themselves: FP8 weights come out thousands of times too large, without a word, and
    packed ones do not fit or are not found and stay at random values.

    Add the `quantization_config` with which the model was quantized.

    Bad (the weights are F8_E4M3, with weight_scale_inv):

        {"model_type": "qwen3"}

    Good:

        {"model_type": "qwen3", "quantization_config": {"quant_method": "fp8"}}
    """
    config = subject.checkpoint.value(CONFIG)
    if not is_quantized(subject) or mentions_quantization(config) or is_adapter(subject):
        return
    tensors = subject.checkpoint.tensors
    names = {tensor.name for tensor in tensors}
    kept = sorted(file.path for file in subject.checkpoint.others if file.path in _OTHER_SETTINGS)
    scaled = [
        tensor for tensor in _fp8_weights(tensors) if not names.isdisjoint(scale_names(tensor.name))
    ]
    found = [("FP8 with scales", scaled), *evidence(tensors)]
    for form, members in found:
        if members:
            name = first(tensor.name for tensor in members)
            what = f"has no quantization_config, but {amount(members)} are {form}: {name}"
            remedy = (
                f"add the settings of {kept[0]} to config.json as quantization_config"
                if kept
                else "add the quantization_config with which the model was quantized"
            )
            is_certain = not kept and "auto_map" not in config
            severity = None if is_certain else Severity.WARNING
            yield Violation(what, CONFIG, "/quantization_config", remedy, severity)


@rule(
    "CK922",
    "quantized-tensors-missing",
    Severity.WARNING,
    needs=(Need.HEADERS, Need.CONFIG),
    kinds=_KINDS,
)
def quantized_tensors_missing(subject: Subject) -> Iterator[Violation]:
    """`quantization_config` is set, but no tensor is quantized.

    Usually the model was dequantized or merged in full precision, and its config kept the key. With
    GPTQ and AWQ transformers looks for packed weights, finds none, and leaves them at random values
    (an error). With FP8 and bitsandbytes it needs a library or a GPU for nothing, and rounds the
    weights again or fails, by version and machine.

    Remove the key if these are the weights to publish.

    Bad (all tensors are BF16):

        {"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 4}}

    Good:

        {"model_type": "llama"}
    """
    method, tensors = method_of(subject), subject.checkpoint.tensors
    if method not in _STORED or is_one_of_several_shards(subject) or is_adapter(subject):
        return
    if tensors and not is_quantized(subject):
        what = f"says {method}, but none of the {count(len(tensors), 'tensor')} is quantized"
        remedy = "remove the key if the weights are meant to be unquantized"
        yield Violation(what, CONFIG, "/quantization_config", remedy, _STORED[method])


@rule("CK923", "quantized-groups", Severity.ERROR, needs=Need.HEADERS)
def quantized_groups(subject: Subject) -> Iterator[Violation | Covered]:
    """A quantized weight that lacks one of its tensors.

    A quantized weight is several tensors: with GPTQ and AWQ `qweight`, `qzeros` and `scales`, with
    bitsandbytes the weight and its `absmax`, `quant_map` and `quant_state`, with compressed-tensors
    `weight_packed` and `weight_scale`. Where one is missing, the others are useless: the loader
    fails, or computes with zeros or random values.

    Quantize the model again, or take the missing tensors from where it was quantized.

    Bad:

        model.layers.0.mlp.up_proj.qzeros
        model.layers.0.mlp.up_proj.scales

    Good:

        model.layers.0.mlp.up_proj.qweight
        model.layers.0.mlp.up_proj.qzeros
        model.layers.0.mlp.up_proj.scales
    """
    if not is_quantized(subject) or is_one_of_several_shards(subject):
        return
    yield Covered(Question.COMPLETENESS, "groups of quantized weights")
    missing: defaultdict[tuple[str, str], list[Tensor]] = defaultdict(list)
    filled = [tensor for tensor in subject.checkpoint.tensors if tensor.parameters]
    for form, lacking, tensor in groups(filled, settings_of(subject)):
        missing[form, lacking].append(tensor)
    for (form, lacking), members in missing.items():
        what = f"{count(len(members), 'weight')} of {form} without {lacking}"
        yield about(members, what, _AGAIN)


@rule("CK924", "quantized-shapes", Severity.ERROR, needs=Need.HEADERS)
def quantized_shapes(subject: Subject) -> Iterator[Violation | Covered]:
    """Tensors of a quantized weight whose shapes do not fit together.

    `scales` and `qzeros` of GPTQ and AWQ have a row for each group and a column for each output, as
    many as `qweight`; an FP8 weight has a scale for each block of `weight_block_size`. Loaders
    reject other shapes, or apply a scale to weights that it does not belong to.

    Quantize the model again. If the settings in config.json are another run's, correct them.

    Bad (256 by 128 weights in blocks of 128 by 128):

        model.layers.0.mlp.up_proj.weight_scale_inv    F32 [1, 1]

    Good:

        model.layers.0.mlp.up_proj.weight_scale_inv    F32 [2, 1]
    """
    if not is_quantized(subject):
        return
    named = {tensor.name: tensor for tensor in subject.checkpoint.tensors}
    if settings_of(subject):
        yield Covered(Question.AGREEMENT, "quantization_config")
    yield from _blocks(subject, named)
    wrong: defaultdict[str, list[Tensor]] = defaultdict(list)
    for name, weight in named.items():
        scales = named.get(f"{name.removesuffix('.qweight')}.scales")
        if name.endswith(".qweight") and scales:
            zeros = named.get(f"{name.removesuffix('.qweight')}.qzeros")
            for tensor, why in _unfit(weight, scales, zeros, settings_of(subject)):
                wrong[why].append(tensor)
    for why, members in wrong.items():
        tensor = members[0]
        yield about(members, f"{amount(members)} {why}, the first of shape {list(tensor.shape)}")


def _blocks(subject: Subject, named: dict[str, Tensor]) -> Iterator[Violation]:
    """Yield the FP8 scales that are not one for each block of their weight."""
    block = settings_of(subject).get("weight_block_size")
    if not isinstance(block, list) or [is_integer(one) and one > 0 for one in block] != [True] * 2:
        return
    wrong = []
    for tensor in _fp8_weights(named.values()):
        scale = named.get(f"{tensor.name}_scale_inv")
        *outer, rows, columns = tensor.shape
        wanted = (*outer, -(-rows // block[0]), -(-columns // block[1]))
        if scale and scale.shape != wanted:
            wrong.append((scale, wanted))
    if wrong:
        scale, wanted = wrong[0]
        what = (
            f"{amount([one for one, _ in wrong])} not one for each block of {shown(block)}, the "
            f"first {list(scale.shape)} instead of {list(wanted)}"
        )
        yield about([one for one, _ in wrong], what, _AGAIN)


def _unfit(
    weight: Tensor, scales: Tensor, zeros: Tensor | None, settings: dict[str, object]
) -> Iterator[tuple[Tensor, str]]:
    """Yield what does not fit of one weight of GPTQ or AWQ, where its layout is known."""
    packed = packed_columns(settings)
    if not packed or len(weight.shape) != 2 or len(scales.shape) != 2:  # noqa: PLR2004 - a matrix
        return
    outputs = weight.shape[1] * (1 if settings.get("quant_method") == "gptq" else packed)
    if scales.shape[1] != outputs:
        yield scales, "of `scales` without a column for each output of qweight"
    elif zeros and zeros.shape != (scales.shape[0], -(-outputs // packed)):
        yield zeros, "of `qzeros` without a zero for each of the scales"
