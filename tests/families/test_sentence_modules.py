"""Models of sentence-transformers: each module is judged by its own config.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

DENSE: dict[str, Any] = {
    "in_features": 8,
    "out_features": 4,
    "bias": True,
    "activation_function": "torch.nn.modules.activation.Tanh",
}
LINEAR = {"linear.weight": (4, 8), "linear.bias": (4,)}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    {
        "idx": 3,
        "name": "3",
        "path": "3_Normalize",
        "type": "sentence_transformers.models.Normalize",
    },
]


def saved(tmp_path: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> Path:
    whole = model(
        tmp_path / "m", {"embeddings.weight": (9, 8)}, {"config.json": {"model_type": "made_up"}}
    )
    (whole / "modules.json").write_text(json.dumps(MODULES))
    (whole / "1_Pooling").mkdir()
    (whole / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 8}')
    model(whole / "2_Dense", shapes, {"config.json": config})
    return whole


def codes(whole: Path) -> list[str]:
    wanted = {"CK305", "CK306", "CK307"}
    return [
        f"{one.code} {one.path} {one.subject}"
        for one in api.verify(whole).findings
        if one.code in wanted
    ]


@pytest.mark.parametrize(
    ("change", "shapes"),
    [
        ({}, LINEAR),
        ({"bias": False}, {"linear.weight": (4, 8)}),
        ({"use_residual": True}, {**LINEAR, "residual.weight": (4, 8)}),
        ({"use_residual": True, "out_features": 8}, {"linear.weight": (8, 8), "linear.bias": (8,)}),
    ],
)
def test_a_dense_layer_that_fits_its_config_has_no_finding(
    tmp_path: Path, change: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> None:
    assert codes(saved(tmp_path, shapes, DENSE | change)) == []


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        ({"linear.weight": (4, 8)}, "CK305 2_Dense/model.safetensors linear.bias"),
        ({**LINEAR, "linear.scale": (4,)}, "CK306 2_Dense/model.safetensors linear.scale"),
        ({**LINEAR, "linear.bias": (5,)}, "CK307 2_Dense/model.safetensors linear.bias"),
    ],
)
def test_damage_is_named_with_its_module(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], wanted: str
) -> None:
    assert codes(saved(tmp_path, shapes, DENSE)) == [wanted]


def test_a_size_that_is_no_number_is_no_error(tmp_path: Path) -> None:
    assert codes(saved(tmp_path, LINEAR, DENSE | {"in_features": "8"})) == []
