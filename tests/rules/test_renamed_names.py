"""Names that an older library gave: PaliGemma's before transformers 4.52, Florence-2's of X-VLA."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from tests.support.cases import codes
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

START = "model.paligemma_with_expert.paligemma."
OLD = {
    f"{START}language_model.model.layers.0.mlp.up_proj.weight": (4, 4),
    f"{START}language_model.model.norm.weight": (4,),
    f"{START}language_model.lm_head.weight": (8, 4),
    f"{START}vision_tower.vision_model.embeddings.patch_embedding.weight": (4, 3, 2, 2),
    f"{START}multi_modal_projector.linear.weight": (4, 4),
    "model.paligemma_with_expert.gemma_expert.model.norm.weight": (4,),
}
NEW = {
    f"{START}model.language_model.layers.0.mlp.up_proj.weight",
    f"{START}model.language_model.norm.weight",
    f"{START}lm_head.weight",
    f"{START}model.vision_tower.vision_model.embeddings.patch_embedding.weight",
    f"{START}model.multi_modal_projector.linear.weight",
    "model.paligemma_with_expert.gemma_expert.model.norm.weight",
}


def config(kind: str) -> dict[str, object]:
    return {"config.json": {"type": kind, "input_features": {}, "output_features": {}}}


@pytest.mark.parametrize("kind", ["pi0", "pi05", "pi0_fast"])
def test_the_command_gives_old_names_those_that_the_loader_finds(kind: str, tmp_path: Path) -> None:
    folder = model(tmp_path / "old", OLD, config(kind))
    (finding,) = (one for one in api.verify(folder).findings if one.code == "CK327")
    assert (finding.severity, finding.path) == ("error", "model.safetensors")
    assert finding.what == (
        "5 tensors under the names of transformers before 4.52: LeRobot 0.4 and later find none of"
        " them, and the policy stays random"
    )
    program, *words = shlex.split(finding.next)
    assert program == "ckpt"
    assert main([*words, "-o", str(tmp_path / "renamed")]) == 0
    after = api.verify(tmp_path / "renamed")
    assert after.checkpoint is not None
    assert {tensor.name for tensor in after.checkpoint.tensors} == NEW
    assert "CK327" not in {one.code for one in after.findings}


def test_names_without_the_outer_module_are_old_too(tmp_path: Path) -> None:
    bare = {name.removeprefix("model."): shape for name, shape in OLD.items()}
    assert "CK327" in codes(model(tmp_path / "bare", bare, config("pi0")))


def test_two_copies_get_no_command(tmp_path: Path) -> None:
    both = OLD | {f"{START}model.language_model.norm.weight": (4,)}
    findings = api.verify(model(tmp_path / "both", both, config("pi0"))).findings
    (finding,) = (one for one in findings if one.code == "CK327")
    assert finding.next == "the new names are there too: compare the two copies, and drop one"


def test_names_of_today_and_of_other_models_are_right(tmp_path: Path) -> None:
    today = dict.fromkeys(NEW, (4, 4))
    assert "CK327" not in codes(model(tmp_path / "today", today, config("pi05")))
    assert "CK327" not in codes(model(tmp_path / "plugin", OLD, config("another")))


def test_the_old_layout_of_florence_is_noted_in_an_xvla_alone(tmp_path: Path) -> None:
    old = {
        "model.vlm.image_projection": (4, 4),
        "model.vlm.language_model.model.encoder.layers.0.fc1.weight": (4, 4),
    }
    findings = api.verify(model(tmp_path / "old", old, config("xvla"))).findings
    assert [one.severity for one in findings if one.code == "CK327"] == ["note"]
    new = {"model.vlm.language_model.encoder.layers.0.fc1.weight": (4, 4)}
    assert "CK327" not in codes(model(tmp_path / "new", new, config("xvla")))
    assert "CK327" not in codes(model(tmp_path / "pi0", old, config("pi0")))
