"""Weights of which nothing is there, and norms that are all zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.cases import codes
from tests.support.checkpoints import weights
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.checkpoints import Tensors
    from tests.support.models import Shapes

LLAMA = {"config.json": {"model_type": "llama", "architectures": ["LlamaModel"]}}
WEIGHT = "layers.0.mlp.up_proj.weight"
NORMS = ("layers.0.input_layernorm.weight", "norm.weight")


def test_a_weight_without_elements_is_an_error_in_any_model(tmp_path: Path) -> None:
    folder = model(tmp_path / "zero3", {WEIGHT: (0,), "norm.weight": (16,)}, LLAMA)
    (finding,) = api.verify(str(folder)).findings
    assert (finding.code, finding.severity, finding.subject) == ("CK312", "error", WEIGHT)


def test_buffers_that_nothing_filled_are_empty_on_purpose(tmp_path: Path) -> None:
    shapes: Shapes = {
        WEIGHT: (4, 4),
        "act_quantizer.min_val": (0,),
        "layers.0.mlp.up_proj.g_idx": (Dtype.I32, (0,)),
        "layers.0.mlp._extra_state": (Dtype.U8, (0,)),
        "embeddings.register_tokens": (1, 0, 384),
    }
    assert codes(model(tmp_path / "lawful", shapes, LLAMA)) == set()


def test_a_model_without_any_tensor_is_an_error(tmp_path: Path) -> None:
    (finding,) = api.verify(str(model(tmp_path / "none", {}, LLAMA))).findings
    assert (finding.code, finding.severity, finding.path) == (
        "CK326",
        "error",
        "model.safetensors",
    )


def test_an_empty_adapter_and_a_folder_without_weights_are_not_a_model_without_tensors(
    tmp_path: Path,
) -> None:
    adapter = {"adapter_config.json": {"r": 8, "peft_type": "LORA"}}
    folder = model(tmp_path / "adapter", {}, adapter, file="adapter_model.safetensors")
    assert "CK326" not in codes(folder)
    assert codes(model(tmp_path / "scalar", {"step.weight": ()}, LLAMA)) == set()


def _with_norms(folder: Path, config: dict[str, object], **values: bytes) -> set[str]:
    given: Tensors = {name: (Dtype.F32, (4,), values.get("norms", bytes(16))) for name in NORMS}
    given[WEIGHT] = (Dtype.F32, (2, 2), b"\x00\x00\x80?\x00\x00\x00@" * 2)
    model(folder, {}, {"config.json": config} if config else {})
    (folder / "model.safetensors").write_bytes(weights(given))
    return {
        f"{finding.code} {finding.severity}"
        for finding in api.verify(str(folder), values=True).findings
    }


def test_norms_that_are_all_zero_are_an_error(tmp_path: Path) -> None:
    assert _with_norms(tmp_path / "zero", {"model_type": "llama"}) == {"CK407 error"}
    assert "CK407 warning" in _with_norms(tmp_path / "unknown", {})


@pytest.mark.parametrize("kind", ["gemma2", "qwen3_next", "nemotron"])
def test_norms_around_zero_are_left_alone(kind: str, tmp_path: Path) -> None:
    assert _with_norms(tmp_path / kind, {"model_type": kind}) == set()


def test_norms_of_ones_and_a_single_zero_among_them_are_fine(tmp_path: Path) -> None:
    ones = b"\x00\x00\x80?" * 4
    assert _with_norms(tmp_path / "ones", {"model_type": "llama"}, norms=ones) == set()
    one_zero = ones[:12] + bytes(4)
    assert _with_norms(tmp_path / "one", {"model_type": "llama"}, norms=one_zero) == set()
