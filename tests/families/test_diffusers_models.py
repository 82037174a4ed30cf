"""Models of diffusers: the published ones have as many tensors as their config.json asks for.

The numbers are those of the models that diffusers 0.39 builds. A pipeline is judged by component.
"""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.family_file import load
from ckpt_tools.rules.coverage import Question
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"
XL: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": [PLAIN, CROSS, CROSS],
    "up_block_types": [CROSS_UP, CROSS_UP, PLAIN_UP],
    "transformer_layers_per_block": [1, 2, 10],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "projection_class_embeddings_input_dim": 2816,
}
AUTOENCODER: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}


def of(name: str, config: dict[str, Any]) -> Expectation | Unknown:
    file = load("diffusers", name)
    assert file is not None
    return expected(file, config)


def shapes_of(name: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return shapes by name as a new release writes them."""
    found = of(name, config)
    assert isinstance(found, Expectation)
    old = {one for _, one in found.ties}
    return {n: one.shape or () for n, one in found.tensors.items() if n not in old}


@pytest.mark.parametrize(
    ("name", "config", "tensors", "millions"),
    [
        ("UNet2DConditionModel", {"cross_attention_dim": 768}, 686, 859.5),
        ("UNet2DConditionModel", XL, 1680, 2567.5),
        ("AutoencoderKL", AUTOENCODER, 248, 83.7),
        ("FluxTransformer2DModel", {"guidance_embeds": True}, 1160, 11901.4),
    ],
)
def test_published_models_have_the_tensors_that_are_known(
    name: str, config: dict[str, Any], tensors: int, millions: float
) -> None:
    shapes = shapes_of(name, config)
    assert len(shapes) == tensors
    assert sum(map(prod, shapes.values())) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    "config",
    [
        {"down_block_types": ["SimpleCrossAttnDownBlock2D"] * 4},
        {"block_out_channels": [8] * 5},
        {"encoder_hid_dim_type": "image_proj"},
        {"attention_type": "gated"},
        {"layers_per_block": [1, 2, 2, 2]},
        {"class_embed_type": "projection"},
    ],
)
def test_what_is_outside_of_what_is_described_is_unknown(config: dict[str, Any]) -> None:
    assert isinstance(of("UNet2DConditionModel", config), Unknown)


def test_a_null_mid_block_is_none_and_an_absent_one_is_the_usual() -> None:
    without = shapes_of("UNet2DConditionModel", {"mid_block_type": None})
    usual = shapes_of("UNet2DConditionModel", {})
    assert {name.split(".")[0] for name in usual.keys() - without.keys()} == {"mid_block"}


SMALL_UNET = {
    "_class_name": "UNet2DConditionModel",
    "block_out_channels": [8, 16],
    "down_block_types": [PLAIN, CROSS],
    "up_block_types": [CROSS_UP, PLAIN_UP],
    "cross_attention_dim": 12,
}
SMALL_AUTOENCODER = {"_class_name": "AutoencoderKL", "block_out_channels": [8]}
SCHEDULER = ["diffusers", "DDIMScheduler"]


def pipeline(folder: Path, variant: str = "") -> dict[str, dict[str, tuple[int, ...]]]:
    """Write a pipeline of a U-Net and an autoencoder; return the shapes by component."""
    folder.mkdir(exist_ok=True)
    listed: dict[str, Any] = {"_class_name": "Made", "scheduler": SCHEDULER}
    written = {}
    for part, config in (("unet", SMALL_UNET), ("vae", SMALL_AUTOENCODER)):
        name = str(config["_class_name"])
        listed[part] = ["diffusers", name]
        written[part] = shapes_of(name, config)
        save(folder / part, written[part], config, variant)
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    (folder / "model_index.json").write_text(json.dumps(listed))
    return written


def save(
    folder: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any], variant: str = ""
) -> None:
    model(
        folder,
        shapes,
        {"config.json": config},
        file=f"diffusion_pytorch_model{variant}.safetensors",
    )


def found(folder: Path) -> tuple[list[str], str]:
    result = api.verify(folder)
    findings = [
        f"{one.code} {one.path} {one.subject}"
        for one in result.findings
        if one.code in {"CK305", "CK306", "CK307", "CK308", "CK316"}
    ]
    state = next(one.state for one in result.coverage if one.question is Question.COMPLETENESS)
    return findings, str(state)


def test_a_pipeline_is_complete_if_its_components_are(tmp_path: Path) -> None:
    pipeline(tmp_path)
    pipeline(tmp_path, ".fp16")
    assert found(tmp_path) == ([], "checked")


def test_a_tensor_that_the_unet_lacks_is_named(tmp_path: Path) -> None:
    written = pipeline(tmp_path)
    gone = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    del written["unet"][gone]
    save(tmp_path / "unet", written["unet"], SMALL_UNET)
    findings, _ = found(tmp_path)
    assert findings == [f"CK305 unet/diffusion_pytorch_model.safetensors {gone}"]


def test_attention_under_its_names_of_2022_is_complete(tmp_path: Path) -> None:
    written = pipeline(tmp_path)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    shapes = {}
    for name, shape in written["vae"].items():
        for new, before in old.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")  # noqa: PLW2901
        shapes[name] = shape
    save(tmp_path / "vae", shapes, SMALL_AUTOENCODER)
    assert found(tmp_path) == ([], "checked")
    del shapes["encoder.mid_block.attentions.0.key.bias"]
    save(tmp_path / "vae", shapes, SMALL_AUTOENCODER)
    findings, _ = found(tmp_path)
    assert len(findings) == 1
    assert findings[0].startswith("CK305 vae/")
