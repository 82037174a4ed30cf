"""Float dtypes that a script mixed, and models that are in mixed precision on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Expectation
from ckpt_tools.families.family_file import load
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.registry import rule_of
from ckpt_tools.rules.rule import Subject
from tests.support.policies import checkpoint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckpt_tools.rules.finding import Finding

F32, F16, BF16 = Dtype.F32, Dtype.F16, Dtype.BF16
FEATURES: dict[str, Any] = {
    "input_features": {
        "observation.state": {"type": "STATE", "shape": [14]},
        "observation.images.top": {"type": "VISUAL", "shape": [3, 96, 96]},
    },
    "output_features": {"action": {"type": "ACTION", "shape": [7]}},
}
FIXED = ("act", "diffusion", "tdmpc", "vqbet")
BLOCK = {
    "attn.q.weight": (8, 8),
    "attn.q.bias": (8,),
    "mlp.0.weight": (8,),  # a norm
    "mlp.0.bias": (8,),
    "mlp.1.weight": (16, 8),  # a linear layer
    "mlp.1.bias": (16,),
    "norm.weight": (8,),
    "norm.bias": (8,),
}
type Shapes = dict[str, tuple[int, ...]]


def blocks(number: int = 6) -> Shapes:
    return {f"blocks.{at}.{name}": shape for at in range(number) for name, shape in BLOCK.items()}


def found(
    shapes: Mapping[str, tuple[int, ...]],
    dtype: Callable[[str], Dtype],
    config: dict[str, Any] | None = None,
) -> list[Finding]:
    members = [
        Tensor(name, dtype(name), shape, "model.safetensors", 0, header.nbytes(dtype(name), shape))
        for name, shape in shapes.items()
    ]
    there = checkpoint_of(members, config)
    rule = rule_of("CK317")
    assert rule is not None
    return list(check_rules([rule], Subject(there, family_of(there))).findings)


def policy(kind: str) -> tuple[dict[str, Any], dict[str, tuple[Dtype, tuple[int, ...]]]]:
    """Return the config of a policy of LeRobot, and dtype and shape of its tensors."""
    file = load("lerobot", kind)
    assert file is not None
    config = {"type": kind, **FEATURES}
    given = {field.name: 8 for field in file.fields.values() if field.infers}
    model = expected(file, config, given=given)
    assert isinstance(model, Expectation)
    return config, {name: (one.dtype, one.shape or ()) for name, one in model.tensors.items()}


def narrowed(kind: str, is_narrow: Callable[[int], bool], dtype: Dtype = BF16) -> list[Finding]:
    """What is found in a policy of which some tensors were cast, by their place."""
    config, tensors = policy(kind)
    floats = [name for name, (one, _) in tensors.items() if one is F32]
    cast = {name for place, name in enumerate(floats) if is_narrow(place)}
    shapes = {name: shape for name, (_, shape) in tensors.items()}
    return found(shapes, lambda name: dtype if name in cast else tensors[name][0], config)


@pytest.mark.parametrize("kind", FIXED)
def test_a_policy_that_lerobot_saves_in_f32_is_clean_in_f32(kind: str) -> None:
    assert narrowed(kind, lambda _: False) == []


@pytest.mark.parametrize("dtype", [BF16, F16])
@pytest.mark.parametrize("kind", FIXED)
def test_such_a_policy_stored_narrower_throughout_is_a_note(kind: str, dtype: Dtype) -> None:
    (finding,) = narrowed(kind, lambda _: True, dtype)
    assert (finding.severity, finding.subject) == (Severity.NOTE, "")
    assert finding.what == (
        f"all weights are {dtype}: stock LeRobot builds, saves and loads this model in F32, so "
        "they were rounded"
    )


@pytest.mark.parametrize("is_narrow", [lambda at: at % 2 == 0, lambda at: at < 9])
@pytest.mark.parametrize("kind", FIXED)
def test_such_a_policy_that_was_cast_in_part_is_a_warning(
    kind: str, is_narrow: Callable[[int], bool]
) -> None:
    (finding,) = narrowed(kind, is_narrow)
    assert finding.severity is Severity.WARNING
    assert " are BF16 instead of F32 (" in finding.what
    assert finding.what.endswith("so these were rounded")


def test_such_a_policy_of_other_sizes_than_lerobot_builds_is_judged_too() -> None:
    shapes = {"model.backbone.conv1.weight": (4, 3, 7, 7), "model.action_head.bias": (7,)}
    config = {"type": "act", **FEATURES}
    (finding,) = found(shapes, lambda name: BF16 if "head" in name else F32, config)
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize("kind", ["pi0", "pi05", "pi0_fast", "xvla"])
def test_a_policy_whose_config_chooses_the_dtype_is_clean_in_either(kind: str) -> None:
    file = load("lerobot", kind)
    assert file is not None
    assert file.fixed_float is None


def test_weight_and_bias_of_one_module_in_two_dtypes_are_a_warning() -> None:
    (finding,) = found(blocks(), lambda name: F32 if name.endswith("weight") else BF16)
    assert finding.severity is Severity.WARNING
    assert finding.subject == "blocks.{0..5}.attn.q.bias"
    assert finding.what == (
        "weight and bias of 24 modules in two dtypes, the first F32 and BF16: cast in part, from "
        "two sources, or only one of the two was trained; probably rounded: 24 tensors, 480 bytes "
        "in BF16"
    )


def test_of_two_dtypes_of_equal_size_both_are_named() -> None:
    shapes: Shapes = {"fc.weight": (8, 8), "fc.bias": (8,)}
    (finding,) = found(shapes, lambda name: F16 if name.endswith("bias") else BF16)
    assert finding.what.endswith("probably rounded: 2 tensors, 144 bytes in BF16, F16")


@pytest.mark.parametrize(
    ("weight", "bias"),
    [((8, 8), (9, 4)), ((8, 8), (3,)), ((8, 8), ())],
)
def test_a_bias_that_is_not_of_the_outputs_of_its_weight_may_have_another_dtype(
    weight: tuple[int, ...], bias: tuple[int, ...]
) -> None:
    shapes = {"attn.position_weight": weight, "attn.position_bias": bias}
    assert found(shapes, lambda name: F32 if name.endswith("bias") else BF16) == []


@pytest.mark.parametrize(
    ("weight", "bias", "shape"),
    [
        ("h.attn.in_proj_weight", "h.attn.in_proj_bias", (24, 8)),
        ("lstm.weight_ih_l0", "lstm.bias_ih_l0", (24, 8)),
        ("h.c_attn.weight", "h.c_attn.bias", (8, 24)),
        ("weight", "bias", (24, 8)),
    ],
)
def test_modules_of_every_spelling_have_one_dtype(
    weight: str, bias: str, shape: tuple[int, ...]
) -> None:
    shapes = {weight: shape, bias: (24,)}
    assert [one.code for one in found(shapes, lambda name: F16 if name == bias else F32)] == [
        "CK317"
    ]
    assert found(shapes, lambda _: F16) == []


@pytest.mark.parametrize(
    ("number", "f32", "tensors"),
    [
        (4, "1", "16 tensors, 1,488 bytes in BF16, F32 have"),
        (6, "345", "32 tensors, 2,976 bytes in BF16, F32 have"),
        (5, "34", "8 tensors, 992 bytes in F32 have"),
        (5, "0134", "8 tensors, 496 bytes in BF16 have"),
    ],
)
def test_equal_blocks_in_two_dtypes_are_a_note(number: int, f32: str, tensors: str) -> None:
    (finding,) = found(blocks(number), lambda name: F32 if name[7] in f32 else BF16)
    assert finding.severity is Severity.NOTE
    assert finding.what.startswith(f"{tensors} another dtype in equal blocks: ")


@pytest.mark.parametrize("number", [2, 3, 4, 5, 10])
@pytest.mark.parametrize("ends", [(0,), (-1,), (0, -1)])
def test_first_and_last_blocks_in_another_dtype_are_clean(
    number: int, ends: tuple[int, ...]
) -> None:
    wide = {str(range(number)[at]) for at in ends}
    assert found(blocks(number), lambda name: F32 if name[7] in wide else BF16) == []
    assert found(blocks(number), lambda name: BF16 if name[7] in wide else F32) == []


def test_the_last_block_is_the_one_of_the_highest_number() -> None:
    shapes = dict(sorted(blocks(12).items()))
    ends = ("blocks.0.", "blocks.11.")
    assert found(shapes, lambda name: F32 if name.startswith(ends) else BF16) == []


@pytest.mark.parametrize(
    "odd", [{"conditioner.2.logit_scale": ()}, {"conditioner.2.fc.bias": (8,)}]
)
def test_numbered_modules_of_other_tensors_are_no_equal_blocks(odd: Shapes) -> None:
    alike: Shapes = {f"conditioner.{at}.fc.weight": (8, 8) for at in range(4)}
    assert found(alike, lambda name: F32 if ".2." in name else BF16)
    assert found(alike | odd, lambda name: F32 if ".2." in name else BF16) == []
    other = alike | {"conditioner.2.fc.weight": (8, 9)}
    assert found(other, lambda name: F32 if ".2." in name else BF16) == []


def test_numbered_modules_within_a_block_are_compared_too() -> None:
    shapes: Shapes = {f"0.net.{at}.weight": (8, 8) for at in range(5)}
    (finding,) = found(shapes, lambda name: F32 if name == "0.net.2.weight" else BF16)
    assert (finding.severity, finding.subject) == (Severity.NOTE, "0.net.2.weight")


@pytest.mark.parametrize(
    "kept",
    [
        ("norm",),
        ("norm", "mlp.0"),  # of a Sequential, whose bias has the shape of the linear layer's
        ("attn",),
        ("mlp.1",),
    ],
)
def test_whole_modules_in_f32_are_clean(kept: tuple[str, ...]) -> None:
    def dtype(name: str) -> Dtype:
        return F32 if any(f".{one}." in name for one in kept) else BF16

    assert found(blocks(), dtype) == []


@pytest.mark.parametrize(
    "f32",
    [
        "layers.3.mlp.gate.e_score_correction_bias",  # DeepSeek V3, of transformers
        "layers.3.ffn.gate.bias",  # DeepSeek V3, as published
        "layers.3.mlp.router.classifier.weight",  # LongCat
        "layers.3.moe.gating.bias",
        "layers.3.moe.router_proj.bias",
        "layers.3.mixer.dt_proj.bias",  # Mamba
        "layers.3.mixer.dt_bias",  # Mamba 2
        "layers.3.mixer.A_log",
        "encoder.block.0.layer.1.DenseReluDense.wo.weight",  # T5
        "blocks.0.scale_shift_table",  # Wan, PixArt
        "h.0.attn.masked_bias",  # GPT-Neo
        "fc.bias_mask",  # pruned by PyTorch
    ],
)
def test_what_libraries_keep_in_f32_is_clean(f32: str) -> None:
    shapes: Shapes = {
        "layers.3.mlp.gate.weight": (8, 16),
        "layers.3.mlp.gate.e_score_correction_bias": (8,),
        "layers.3.ffn.gate.weight": (8, 16),
        "layers.3.ffn.gate.bias": (8,),
        "layers.3.mlp.router.classifier.weight": (8, 16),
        "layers.3.mlp.router.classifier.bias": (8,),
        "layers.3.moe.gating.weight": (8, 16),
        "layers.3.moe.gating.bias": (8,),
        "layers.3.moe.router_proj.weight": (8, 16),
        "layers.3.moe.router_proj.bias": (8,),
        "layers.3.mixer.dt_proj.weight": (8, 16),
        "layers.3.mixer.dt_proj.bias": (8,),
        "layers.3.mixer.dt_bias": (8,),
        "layers.3.mixer.A_log": (8,),
        "encoder.block.0.layer.0.SelfAttention.o.weight": (8, 8),
        "encoder.block.0.layer.1.DenseReluDense.wo.weight": (8, 8),
        "blocks.0.scale_shift_table": (6, 8),
        "h.0.attn.masked_bias": (),
        "fc.weight_mask": (8, 8),
        "fc.bias_mask": (8,),
    }
    assert f32 in shapes
    assert found(shapes, lambda name: F32 if name == f32 else BF16) == []


def test_quantized_models_are_not_checked() -> None:
    shapes = blocks()

    def mixed(name: str) -> Dtype:
        return F32 if name.endswith("weight") else BF16

    quantized = shapes | {"head.weight": (8, 8)}
    assert found(quantized, lambda name: Dtype.I8 if "head" in name else mixed(name)) == []
    config = {"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}
    assert found(shapes, mixed, config) == []
