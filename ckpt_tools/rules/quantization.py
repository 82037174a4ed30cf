"""What a model's config says about quantization, and which tensors make up a quantized weight."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.shard_index import shard_family
from ckpt_tools.rules.policy_config import is_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

FP8 = frozenset({Dtype.F8_E4M3, Dtype.F8_E5M2, Dtype.F8_E4M3FNUZ, Dtype.F8_E5M2FNUZ})
"""The 8-bit floats that weights are stored in; F8_E8M0 is a scale's."""

_PLAIN = (Dtype.BF16, Dtype.F32, Dtype.F16, Dtype.I64, Dtype.BOOL, Dtype.F64)
"""The dtypes of models that are not quantized, the most frequent first: found by identity."""

_KEYS = ("quantization_config", "compression_config")
_PACKED = ("qweight", "qzeros", "scales", "g_idx")
_STATE = re.compile(r"(.+)\.quant_state\.bitsandbytes__\w+", re.DOTALL)
_PARTS = ("absmax", "quant_map")


def settings_of(subject: Subject) -> dict[str, object]:
    """Return the model's quantization_config, its text model's where that has it, or nothing."""
    config = subject.checkpoint.value(CONFIG)
    inner = [value for value in config.values() if isinstance(value, dict)]
    for place in (config, *inner):
        for key in _KEYS:
            found = place.get(key)
            if isinstance(found, dict) and found:
                return found
    return {}


def method_of(subject: Subject) -> str:
    """Return the method of quantization_config, "" where there is none."""
    found = settings_of(subject).get("quant_method", "")
    return found if isinstance(found, str) else ""


def mentions_quantization(config: Mapping[str, object]) -> bool:
    """Whether config.json, or an object in it, has settings of quantization of any kind."""
    inner = [value for value in config.values() if isinstance(value, dict)]
    return any(
        ("quant" in key.lower() or key in _KEYS) and value is not None
        for place in (config, *inner)
        for key, value in place.items()
    )


def is_quantized(subject: Subject) -> bool:
    """Whether a tensor has a dtype that only quantized models have, in any format."""
    return any(tensor.dtype not in _PLAIN for tensor in subject.checkpoint.tensors)


def is_one_of_several_shards(subject: Subject) -> bool:
    """Whether a single shard is checked, whose weights may have their scales in another."""
    files = subject.checkpoint.weights
    family = shard_family(files[0].path) if len(files) == 1 else None
    return family is not None and family[1] > 1


def scale_names(name: str) -> set[str]:
    """Return the names that the scale of an 8-bit weight may have."""
    stem = name.removesuffix(".weight")
    return {
        f"{name}_scale",
        f"{name}_scale_inv",
        f"{name}_scale_2",
        f"{name}.scale",
        f"{stem}.scale",
        f"{stem}.scales",
        f"{stem}.scale_inv",
        f"{stem}.scale_weight",
        f"{stem}.qscale_weight",
        name.replace("_qdata", "_scale") if "_qdata" in name else "",
        f"{name.removesuffix('._data')}._scale" if name.endswith("._data") else "",
    } - {""}


def evidence(tensors: Iterable[Tensor]) -> list[tuple[str, list[Tensor]]]:
    """Return (format, tensors that only this format has) for formats of packed weights."""
    ends = {
        "GPTQ or AWQ": (".qweight",),
        "bitsandbytes": (
            ".quant_state.bitsandbytes__nf4",
            ".quant_state.bitsandbytes__fp4",
            ".SCB",
        ),
        "compressed-tensors": (".weight_packed",),
    }
    held = list(tensors)
    return [
        (form, [tensor for tensor in held if tensor.name.endswith(suffixes)])
        for form, suffixes in ends.items()
    ]


def groups(
    tensors: Iterable[Tensor], settings: Mapping[str, object]
) -> Iterator[tuple[str, str, Tensor]]:
    """Yield (format, what is missing, a tensor that is there) for incomplete quantized weights."""
    named = {tensor.name: tensor for tensor in tensors}
    yield from _packed(named, settings)
    yield from _bitsandbytes(named)
    for end, other, form in (
        (".weight_packed", ".weight_scale", "compressed-tensors"),
        (".weight_shape", ".weight_packed", "compressed-tensors"),
        (".weight_scale_inv", ".weight", "FP8"),
    ):
        for name, tensor in named.items():
            stem = name.removesuffix(end)
            is_alone = name.endswith(end) and stem + other not in named
            if is_alone and f"{stem}.scale_packed" not in named:  # Marlin's, in an older release
                yield form, other.removeprefix("."), tensor


def _packed(
    named: Mapping[str, Tensor], settings: Mapping[str, object]
) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the incomplete weights of GPTQ and AWQ; scales alone may be another format's."""
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in named.items():
        module, _, leaf = name.rpartition(".")
        if leaf in _PACKED:
            modules.setdefault(module, {})[leaf] = tensor
    packed = {name: held for name, held in modules.items() if held.keys() - {"scales"}}
    needed = {"qweight", "scales"}
    needed |= {"qzeros"} if any("qzeros" in held for held in packed.values()) else set()
    if settings.get("desc_act") is True and any("g_idx" in held for held in packed.values()):
        needed.add("g_idx")
    form = {"gptq": "GPTQ", "awq": "AWQ"}.get(str(settings.get("quant_method")), "GPTQ or AWQ")
    for held in packed.values():
        for leaf in sorted(needed - held.keys()):
            yield form, leaf, next(iter(held.values()))


def packed_columns(settings: Mapping[str, object]) -> int:
    """Return how many numbers GPTQ or AWQ packs into one, 0 where that or the layout is unknown."""
    bits = settings.get("bits", settings.get("w_bit"))
    method = settings.get("quant_method")
    layout = settings.get("checkpoint_format" if method == "gptq" else "version") or method
    known = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm", "awq")}.get(str(method), ())
    is_known = str(layout).lower() in known and not settings.get("dynamic")
    return 32 // bits if is_known and is_integer(bits) and bits in (2, 4, 8) else 0


def _bitsandbytes(named: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the incomplete weights of bitsandbytes in 4 bits, then in 8."""
    states = {match[1]: name for name in named if (match := _STATE.fullmatch(name))}
    for weight, state in states.items():
        nested = any(f"{weight}.nested_{part}" in named for part in _PARTS)
        parts = (*_PARTS, *(f"nested_{part}" for part in _PARTS if nested))
        if weight not in named:
            yield "bitsandbytes", "the weight itself", named[state]
        for part in parts:
            if f"{weight}.{part}" not in named:
                yield "bitsandbytes", part, named[state]
    for name, tensor in named.items():
        weight = name.removesuffix(".absmax")
        if weight != name and f"{weight}.quant_map" in named and weight not in states:
            yield "bitsandbytes", "quant_state", tensor
    yield from _in_8_bits(named)


def _in_8_bits(named: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    scaled = {name.removesuffix(".SCB") for name in named if name.endswith(".SCB")}
    for module in sorted(scaled):
        if f"{module}.weight" not in named:
            yield "bitsandbytes", "the weight itself", named[f"{module}.SCB"]
    for name, tensor in named.items():
        is_8_bit = bool(scaled) and tensor.dtype is Dtype.I8 and name.endswith(".weight")
        if is_8_bit and name.removesuffix(".weight") not in scaled:
            yield "bitsandbytes", "SCB", tensor
