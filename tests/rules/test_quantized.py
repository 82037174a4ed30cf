"""Quantized models as their writers save them have no finding; incomplete ones have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.rules.finding import Severity
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding

type Layout = dict[str, Any]

FP8 = {"quant_method": "fp8", "weight_block_size": [4, 4]}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 8, "checkpoint_format": "gptq"}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm"}
BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True}
INT8 = {"quant_method": "bitsandbytes", "load_in_8bit": True}
PACK = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
MODULES = [f"model.layers.{layer}.mlp.{leaf}" for layer in range(2) for leaf in ("up", "down")]


def stacked(one: Callable[[str], Layout]) -> Layout:
    """The tensors of every module, and a norm."""
    tensors: Layout = {"model.norm.weight": (Dtype.BF16, (8,))}
    for module in MODULES:
        tensors.update(one(module))
    return tensors


def fp8(module: str) -> Layout:
    return {
        f"{module}.weight": (Dtype.F8_E4M3, (8, 6)),
        f"{module}.weight_scale_inv": (Dtype.F32, (2, 2)),
    }


def per_row(module: str) -> Layout:
    return {
        f"{module}.weight": (Dtype.F8_E4M3, (8, 6)),
        f"{module}.weight_scale": (Dtype.BF16, (8, 1)),
        f"{module}.input_scale": (Dtype.F32, (1,)),
    }


def stored(module: str) -> Layout:
    return {f"{module}.weight": (Dtype.F8_E4M3, (8, 6))}


def plain(module: str) -> Layout:
    return {f"{module}.weight": (Dtype.BF16, (8, 6))}


def gptq(module: str) -> Layout:
    return {
        f"{module}.qweight": (Dtype.I32, (2, 8)),
        f"{module}.qzeros": (Dtype.I32, (2, 1)),
        f"{module}.scales": (Dtype.F16, (2, 8)),
        f"{module}.g_idx": (Dtype.I32, (16,)),
    }


def awq(module: str) -> Layout:
    return {
        f"{module}.qweight": (Dtype.I32, (16, 1)),
        f"{module}.qzeros": (Dtype.I32, (2, 1)),
        f"{module}.scales": (Dtype.F16, (2, 8)),
    }


def bnb(module: str) -> Layout:
    return {
        f"{module}.weight": (Dtype.U8, (24, 1)),
        f"{module}.weight.absmax": (Dtype.U8, (1,)),
        f"{module}.weight.quant_map": (Dtype.F32, (16,)),
        f"{module}.weight.nested_absmax": (Dtype.F32, (1,)),
        f"{module}.weight.nested_quant_map": (Dtype.F32, (256,)),
        f"{module}.weight.quant_state.bitsandbytes__nf4": (Dtype.U8, (90,)),
    }


def int8(module: str) -> Layout:
    return {f"{module}.weight": (Dtype.I8, (8, 6)), f"{module}.SCB": (Dtype.F32, (8,))}


def packed(module: str) -> Layout:
    return {
        f"{module}.weight_packed": (Dtype.I32, (8, 2)),
        f"{module}.weight_scale": (Dtype.BF16, (8, 2)),
        f"{module}.weight_shape": (Dtype.I64, (2,)),
    }


def marlin_24(module: str) -> Layout:
    return {
        f"{module}.weight_packed": (Dtype.I32, (8, 2)),
        f"{module}.scale_packed": (Dtype.F16, (1, 8)),
        f"{module}.meta": (Dtype.I16, (8, 1)),
    }


def nvfp4(module: str) -> Layout:
    return {
        f"{module}.weight": (Dtype.U8, (8, 3)),
        f"{module}.weight_scale": (Dtype.F8_E4M3, (8, 2)),
        f"{module}.weight_scale_2": (Dtype.F32, ()),
    }


def mlx(module: str) -> Layout:
    return {
        f"{module}.weight": (Dtype.U32, (8, 1)),
        f"{module}.scales": (Dtype.BF16, (8, 1)),
        f"{module}.biases": (Dtype.BF16, (8, 1)),
    }


def without(tensors: Layout, *parts: str) -> Layout:
    return {name: one for name, one in tensors.items() if not any(part in name for part in parts)}


def saved(folder: Path, tensors: Layout, quantization: object = None, **config: Any) -> Path:
    value = {"model_type": "llama", **config}
    if quantization is not None:
        value["quantization_config"] = quantization
    return model(folder, tensors, {"config.json": value})


def found(folder: Path) -> list[Finding]:
    return [one for one in api.verify(str(folder)).findings if one.code.startswith("CK9")]


GOOD: dict[str, tuple[Layout, object]] = {
    "FP8 by block": (stacked(fp8), FP8),
    "FP8 by row": (stacked(per_row), {"quant_method": "compressed-tensors"}),
    "FP8 experts as one": (
        {
            "model.layers.0.mlp.experts.up_proj": (Dtype.F8_E4M3, (2, 8, 6)),
            "model.layers.0.mlp.experts.up_proj_scale_inv": (Dtype.F32, (2, 2, 2)),
        },
        FP8,
    ),
    "8 bits without scales": (stacked(stored), None),
    "8 bits without scales outside the layers": (
        {**stacked(per_row), "embed.weight": (Dtype.F8_E4M3, (9, 6))},
        {"quant_method": "modelopt"},
    ),
    "NVFP4": (stacked(nvfp4), {"quant_method": "modelopt"}),
    "GPTQ": (stacked(gptq), GPTQ),
    "GPTQ without g_idx": (without(stacked(gptq), "g_idx"), GPTQ),
    "GPTQ without g_idx in one": (without(stacked(gptq), "0.mlp.up.g_idx"), GPTQ),
    "AWQ": (stacked(awq), AWQ),
    "AWQ symmetric": (without(stacked(awq), "qzeros"), AWQ),
    "AWQ in another layout": (stacked(gptq), {**AWQ, "version": "gemv"}),
    "bitsandbytes": (stacked(bnb), BNB),
    "bitsandbytes, not nested": (without(stacked(bnb), "nested"), BNB),
    "bitsandbytes in 8 bits": (stacked(int8), INT8),
    "compressed-tensors": (stacked(packed), PACK),
    "Marlin": (stacked(marlin_24), PACK),
    "MLX": (stacked(mlx), {"group_size": 64, "bits": 4}),
    "quantized at loading": (stacked(plain), {"quant_method": "torchao"}),
    "not quantized": (stacked(plain), None),
}


@pytest.mark.parametrize(("tensors", "quantization"), GOOD.values(), ids=GOOD)
def test_what_a_quantizer_saves_has_no_finding(
    tensors: Layout, quantization: object, tmp_path: Path
) -> None:
    assert found(saved(tmp_path / "m", tensors, quantization)) == []


ONE = MODULES[1]
BAD: dict[str, tuple[str, str, Layout, object]] = {
    "one FP8 weight without scale": (
        "CK920",
        "which 3 others have",
        without(stacked(fp8), f"{ONE}.weight_scale_inv"),
        FP8,
    ),
    "no scale at all": ("CK920", "4 tensors", stacked(stored), FP8),
    "one row scale missing": (
        "CK920",
        "which 3",
        without(stacked(per_row), f"{ONE}.weight_scale"),
        {"quant_method": "compressed-tensors"},
    ),
    "FP8 without config": ("CK921", "FP8 with scales", stacked(fp8), None),
    "GPTQ without config": ("CK921", "GPTQ or AWQ", stacked(gptq), None),
    "bitsandbytes without config": ("CK921", "bitsandbytes", stacked(bnb), None),
    "8 bits without config": ("CK921", "bitsandbytes", stacked(int8), None),
    "packed without config": ("CK921", "compressed-tensors", stacked(packed), None),
    "plain weights of GPTQ": ("CK922", "says gptq", stacked(plain), GPTQ),
    "plain weights of FP8": ("CK922", "says fp8", stacked(plain), FP8),
    "FP8 scale without weight": (
        "CK923",
        "FP8 without weight",
        {name: one for name, one in stacked(fp8).items() if name != f"{ONE}.weight"},
        FP8,
    ),
    "no qweight": ("CK923", "GPTQ without qweight", without(stacked(gptq), f"{ONE}.qw"), GPTQ),
    "no scales": ("CK923", "AWQ without scales", without(stacked(awq), f"{ONE}.sc"), AWQ),
    "no zeros": ("CK923", "without qzeros", without(stacked(awq), f"{ONE}.qz"), AWQ),
    "no order": (
        "CK923",
        "without g_idx",
        without(stacked(gptq), f"{ONE}.g_"),
        {**GPTQ, "desc_act": True},
    ),
    "no absmax": ("CK923", "without absmax", without(stacked(bnb), f"{ONE}.weight.absmax"), BNB),
    "no state": (
        "CK923",
        "without quant_state",
        without(stacked(bnb), f"{ONE}.weight.quant_s"),
        BNB,
    ),
    "half nested": (
        "CK923",
        "nested_quant_map",
        without(stacked(bnb), f"{ONE}.weight.nested_quant_map"),
        BNB,
    ),
    "no SCB": ("CK923", "without SCB", without(stacked(int8), f"{ONE}.SCB"), INT8),
    "no packed weight": (
        "CK923",
        "without weight_packed",
        without(stacked(packed), f"{ONE}.weight_packed"),
        PACK,
    ),
    "no packed scale": (
        "CK923",
        "without weight_scale",
        without(stacked(packed), f"{ONE}.weight_scale"),
        PACK,
    ),
    "too few blocks": (
        "CK924",
        "[1, 2] instead of [2, 2]",
        {**stacked(fp8), f"{ONE}.weight_scale_inv": (Dtype.F32, (1, 2))},
        FP8,
    ),
    "scales of another width": (
        "CK924",
        "`scales`",
        {**stacked(gptq), f"{ONE}.scales": (Dtype.F16, (2, 4))},
        GPTQ,
    ),
    "zeros of other groups": (
        "CK924",
        "`qzeros`",
        {**stacked(awq), f"{ONE}.qzeros": (Dtype.I32, (3, 1))},
        AWQ,
    ),
}


@pytest.mark.parametrize(("code", "words", "tensors", "quantization"), BAD.values(), ids=BAD)
def test_what_is_incomplete_or_unannounced_is_one_finding(
    code: str, words: str, tensors: Layout, quantization: object, tmp_path: Path
) -> None:
    findings = found(saved(tmp_path / "m", tensors, quantization))
    assert [one.code for one in findings] == [code]
    assert words in findings[0].what
    assert findings[0].severity is not Severity.NOTE


def test_settings_in_another_place_are_found(tmp_path: Path) -> None:
    inner = {"text_config": {"quantization_config": FP8}}
    assert found(saved(tmp_path / "a", stacked(fp8), **inner)) == []
    older = saved(tmp_path / "b", stacked(gptq))
    (older / "quantize_config.json").write_text("{}", encoding="utf-8")
    (finding,) = found(older)
    assert finding.severity is Severity.WARNING
    assert "quantize_config.json" in finding.next


def test_one_shard_is_not_judged_for_what_another_may_have(tmp_path: Path) -> None:
    folder = model(
        tmp_path, without(stacked(gptq), f"{ONE}.qw"), file="model-00001-of-00002.safetensors"
    )
    assert found(folder / "model-00001-of-00002.safetensors") == []


def test_the_config_of_an_adapters_base_model_is_not_the_adapters(tmp_path: Path) -> None:
    adapter = {
        "peft_type": "LORA",
        "r": 2,
        "base_model_name_or_path": "example/base",
        "target_modules": ["q_proj"],
    }
    name = "base_model.model.layers.0.q_proj"
    folder = model(
        tmp_path,
        {f"{name}.lora_A.weight": (2, 4), f"{name}.lora_B.weight": (4, 2)},
        {
            "config.json": {"model_type": "llama", "quantization_config": BNB},
            "adapter_config.json": adapter,
        },
        file="adapter_model.safetensors",
    )
    assert [one for one in found(folder) if one.severity is not Severity.NOTE] == []
