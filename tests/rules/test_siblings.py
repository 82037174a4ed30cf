"""Numbered blocks of which one differs, and models whose blocks differ on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.cases import codes
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding
    from tests.support.models import Shapes

SHAPES = {
    "attn.q.weight": (8, 8),
    "attn.k.weight": (4, 8),
    "mlp.weight": (16, 8),
    "norm.weight": (8,),
}


def blocks(number: int, stem: str = "blocks") -> dict[str, tuple[int, ...]]:
    return {f"{stem}.{at}.{name}": shape for at in range(number) for name, shape in SHAPES.items()}


def found(
    folder: Path, shapes: Shapes, config: Mapping[str, object] | None = None
) -> list[Finding]:
    documents = {"config.json": config} if config else {}
    findings = api.verify(str(model(folder, shapes, documents))).findings
    return [one for one in findings if one.code != "CK214"]  # most have no config.json


def without(shapes: dict[str, tuple[int, ...]], *names: str) -> dict[str, tuple[int, ...]]:
    assert set(names) <= shapes.keys()
    return {name: shape for name, shape in shapes.items() if name not in names}


def test_a_block_that_lacks_what_all_others_have_is_an_error(tmp_path: Path) -> None:
    shapes = without(blocks(8), "blocks.3.attn.q.weight", "blocks.3.attn.k.weight")
    (finding,) = found(tmp_path / "bad", shapes)
    assert (finding.code, finding.severity) == ("CK313", "error")
    assert finding.subject == "blocks.3.attn.q.weight"
    assert finding.what.startswith(
        "2 tensors missing in `blocks.3` that the other 7 blocks of `blocks` have"
    )


def test_two_blocks_that_lack_different_tensors_are_two_findings(tmp_path: Path) -> None:
    shapes = without(blocks(8), "blocks.3.attn.q.weight", "blocks.5.mlp.weight")
    assert [one.subject for one in found(tmp_path / "bad", shapes)] == [
        "blocks.3.attn.q.weight",
        "blocks.5.mlp.weight",
    ]


def test_of_few_blocks_it_is_a_warning_and_of_very_few_nothing(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "four", without(blocks(4), "blocks.1.mlp.weight"))
    assert (finding.code, finding.severity) == ("CK313", "warning")
    assert found(tmp_path / "three", without(blocks(3), "blocks.1.mlp.weight")) == []


@pytest.mark.parametrize("at", [0, 7])
def test_the_first_and_the_last_block_may_differ(at: int, tmp_path: Path) -> None:
    assert found(tmp_path / "lacks", without(blocks(8), f"blocks.{at}.mlp.weight")) == []
    assert found(tmp_path / "shape", blocks(8) | {f"blocks.{at}.mlp.weight": (32, 8)}) == []


def test_a_block_with_parts_of_its_own_is_of_another_kind(tmp_path: Path) -> None:
    shapes = without(blocks(8), "blocks.4.attn.q.weight", "blocks.4.attn.k.weight")
    shapes["blocks.4.mamba.weight"] = (8, 8)
    assert found(tmp_path / "hybrid", shapes) == []


def test_every_second_block_may_lack_something(tmp_path: Path) -> None:
    shapes = without(blocks(8), *(f"blocks.{at}.attn.k.weight" for at in (1, 3, 5)))
    assert found(tmp_path / "alternating", shapes) == []


def test_a_block_that_config_sets_apart_may_differ(tmp_path: Path) -> None:
    config = {"text": {"layer_types": ["full"] * 3 + ["sliding"] + ["full"] * 4}}
    shapes = blocks(8) | {"blocks.3.attn.k.weight": (2, 8)}
    assert found(tmp_path / "apart", shapes, config) == []
    (finding,) = found(tmp_path / "not", shapes, {"text": {"layer_types": ["full"] * 8}})
    assert finding.code == "CK314"


def test_names_of_all_blocks_in_the_config_set_none_apart(tmp_path: Path) -> None:
    config = {"stage_names": ["stem", *(f"stage{at}" for at in range(1, 9))]}
    (finding,) = found(tmp_path / "bad", without(blocks(8), "blocks.3.attn.k.weight"), config)
    assert finding.code == "CK313"


def test_a_shape_that_only_one_block_has_is_an_error(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", blocks(8) | {"blocks.3.attn.k.weight": (2, 8)})
    assert (finding.code, finding.severity) == ("CK314", "error")
    assert finding.subject == "blocks.3.attn.k.weight"
    assert finding.what == (
        "1 tensor of `blocks.3` of another shape than in the other 7 blocks, the first [2, 8] "
        "instead of [4, 8]: a loader rejects it"
    )


def test_a_block_that_is_not_quantized_among_others_is_fine(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...] | tuple[Dtype, tuple[int, ...]]] = {**blocks(8)}
    for at in (0, 1, 2, 4, 5, 6, 7):
        shapes[f"blocks.{at}.mlp.weight"] = (Dtype.U8, (64, 1))
        shapes[f"blocks.{at}.mlp.weight.absmax"] = (4,)
    assert found(tmp_path / "bnb", shapes) == []


def test_widths_that_grow_from_block_to_block_are_fine(tmp_path: Path) -> None:
    shapes = {f"stages.{at}.conv.weight": (2**at, 3) for at in range(6)}
    assert found(tmp_path / "stages", shapes) == []


def test_a_block_that_is_missing_between_equal_ones_is_a_warning(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in blocks(8).items() if ".5." not in name}
    (finding,) = found(tmp_path / "gap", shapes)
    assert (finding.code, finding.severity, finding.subject) == ("CK315", "warning", "blocks.5")


def test_numbers_of_layers_without_weights_are_no_gap(tmp_path: Path) -> None:
    shapes = {f"net.{at}.weight": (4, 4) for at in (0, 1, 2, 4, 5, 6, 7)}
    assert codes(model(tmp_path / "activation", shapes)) == set()


def test_an_adapter_may_leave_out_a_layer(tmp_path: Path) -> None:
    shapes = without(blocks(8, "base_model.model.blocks"), "base_model.model.blocks.3.mlp.weight")
    folder = model(tmp_path / "lora", shapes, file="adapter_model.safetensors")
    assert "CK313" not in codes(folder)


def test_a_wrapper_in_one_block_is_not_a_missing_tensor(tmp_path: Path) -> None:
    shapes = without(blocks(8), "blocks.3.mlp.weight") | {"blocks.3._orig_mod.mlp.weight": (16, 8)}
    assert {one.code for one in found(tmp_path / "wrapped", shapes)} == {"CK302"}


def experts(layers: int, number: int = 4) -> dict[str, tuple[int, ...]]:
    return {
        name: shape
        for at in range(layers)
        for name, shape in blocks(number, f"layers.{at}.experts").items()
    }


def test_a_block_within_a_block_is_compared_with_that_of_the_other_blocks(tmp_path: Path) -> None:
    shapes = without(experts(6), "layers.2.experts.0.mlp.weight")
    (finding,) = found(tmp_path / "bad", shapes)
    assert (finding.code, finding.subject) == ("CK313", "layers.2.experts.0.mlp.weight")
    (finding,) = found(tmp_path / "shape", experts(6) | {"layers.2.experts.0.mlp.weight": (8, 8)})
    assert (finding.code, finding.subject) == ("CK314", "layers.2.experts.0.mlp.weight")


def test_stages_that_grow_and_layers_without_experts_differ_on_purpose(tmp_path: Path) -> None:
    stages = {
        f"stages.{at}.{block}.{name}": (8 * (at + 1), *shape[1:])
        for at in range(5)
        for block in range(2)
        for name, shape in SHAPES.items()
    }
    assert found(tmp_path / "stages", without(stages, "stages.2.0.attn.k.weight")) == []
    some = {name: shape for name, shape in experts(8).items() if "layers.3." not in name}
    assert found(tmp_path / "experts", some) == []


def test_a_block_of_a_timm_network_may_lack_a_whole_module(tmp_path: Path) -> None:
    config: dict[str, object] = {"architecture": "mobilenetv4_conv_aa_medium", "pretrained_cfg": {}}
    assert found(tmp_path / "good", without(blocks(8), "blocks.3.mlp.weight"), config) == []
    (finding,) = found(tmp_path / "bad", without(blocks(8), "blocks.3.attn.k.weight"), config)
    assert finding.code == "CK313"
