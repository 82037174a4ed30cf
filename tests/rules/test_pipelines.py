"""Models of several components: each is verified as a checkpoint of its own."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.errors import NotACheckpoint, UnknownSelection
from ckpt_tools.gate.verdict import Settings
from tests.support.models import model
from tests.support.pipelines import (
    UNET,
    UNET_CONFIG,
    pipeline,
    put_nan,
    sentence_model,
    unet,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding


def found(folder: Path, **options: Any) -> list[tuple[str, str]]:
    """(code, path) of every finding that is not a note."""
    return [(one.code, one.path) for one in faults(folder, **options)]


def faults(folder: Path, **options: Any) -> list[Finding]:
    verified = api.verify(folder, settings=Settings(), **options)
    return [one for one in verified.findings if one.severity != "note"]


def notes(folder: Path) -> set[str]:
    return {one.code for one in api.verify(folder, settings=Settings()).findings}


def codes(folder: Path) -> set[str]:
    return {one.code for one in api.gate(folder, settings=Settings()).refused}


@pytest.mark.parametrize("make", [pipeline, sentence_model])
def test_a_complete_model_of_several_components_is_clean(tmp_path: Path, make: Any) -> None:
    folder = make(tmp_path / "model")
    verified = api.verify(folder, values=True, settings=Settings())
    assert verified.findings == ()
    assert verified.checkpoint is not None
    assert len(verified.checkpoint.weights) == 2


def test_values_of_every_component_are_checked(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    put_nan(folder / "unet" / UNET)
    assert found(folder, values=True) == [("CK401", f"unet/{UNET}")]
    assert found(folder) == []


def test_values_below_the_transformer_of_the_top_folder_are_checked(tmp_path: Path) -> None:
    folder = sentence_model(tmp_path / "model")
    put_nan(folder / "2_Dense" / "model.safetensors")
    assert found(folder, values=True) == [("CK401", "2_Dense/model.safetensors")]
    (folder / "2_Dense" / "model.safetensors").unlink()
    put_nan(folder / "model.safetensors")
    assert found(folder, values=True) == [("CK401", "model.safetensors"), ("CK950", "2_Dense")]


def test_the_remedy_names_the_folder_of_the_component(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    shutil.rmtree(folder / "unet")
    shapes = {f"_orig_mod.{name}": shape for name, shape in unet().items()}
    model(folder / "unet", shapes, {"config.json": UNET_CONFIG}, file=UNET)
    commands = [one.remedy.argv for one in faults(folder) if one.remedy.argv]
    assert commands
    assert all(f"{folder}/unet" in argv for argv in commands)


@pytest.mark.parametrize(
    ("removed", "path"),
    [(f"unet/{UNET}", "unet"), ("text_encoder", "text_encoder"), ("scheduler", "scheduler")],
)
def test_a_component_without_weights_or_folder_is_an_error(
    tmp_path: Path, removed: str, path: str
) -> None:
    folder = pipeline(tmp_path / "model")
    gone = folder / removed
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert found(folder) == [("CK950", path)]
    assert "CK950" in codes(folder)


def test_what_has_no_weights_by_its_nature_is_no_fault(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model", guider=["diffusers", "ClassifierFreeGuidance"])
    (folder / "guider").mkdir()
    (folder / "guider" / "guider_config.json").write_text("{}")
    assert found(folder) == []
    other = sentence_model(tmp_path / "other")
    shutil.rmtree(other / "1_Pooling")  # git keeps no empty folder
    assert found(other) == []


def test_an_index_without_its_shards_is_reported_once(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    (folder / "unet" / UNET).unlink()
    index = {"weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00002.safetensors"}}
    (folder / "unet" / f"{UNET}.index.json").write_text(json.dumps(index))
    assert found(folder) == [("CK202", f"unet/{UNET}.index.json")]
    assert {"CK202"} == codes(folder) - {"CK813", "CK815"}


def test_a_file_that_is_not_weights_is_reported_once(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A pipeline\n")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 9\n"
    (folder / "unet" / UNET).write_text(pointer)
    assert codes(folder) == {"CK102"}


def test_a_pickle_is_said_not_to_be_checked(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    (folder / "unet" / UNET).rename(folder / "unet" / "diffusion_pytorch_model.bin")
    assert found(folder) == [("CK951", "unet/diffusion_pytorch_model.bin")]


def test_variants_are_checked_and_alone_are_a_note(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    variant = folder / "unet" / UNET.replace(".s", ".fp16.s")
    shutil.copy(folder / "unet" / UNET, variant)
    assert notes(folder) == set()
    (folder / "unet" / UNET).unlink()
    assert notes(folder) == {"CK952"}
    put_nan(variant)
    assert found(folder, values=True) == [("CK401", f"unet/{variant.name}")]


def test_weights_that_no_component_names_are_a_note(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    model(folder / "unet_ema", {"conv_in.weight": (2,)}, file=UNET)
    shutil.copy(folder / "unet" / UNET, folder / "v1-5-pruned.safetensors")
    (folder / "docs").mkdir()
    verified = api.verify(folder, settings=Settings())
    assert [(one.code, one.path) for one in verified.findings] == [
        ("CK953", "unet_ema/"),
        ("CK953", "v1-5-pruned.safetensors"),
    ]


def test_a_list_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    folder = sentence_model(tmp_path / "model")
    (folder / "modules.json").write_text(
        '[{"path": "../other", "type": "sentence_transformers.models.Dense"}]'
    )
    assert [code for code, _ in found(folder)] == ["CK801"]


def test_a_list_of_something_else_is_no_list_of_components(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", {"a": (2,)}, {"modules.json": {"a": 1}, "config.json": {}})
    assert found(folder) == []


def test_a_reference_is_compared_component_by_component(tmp_path: Path) -> None:
    folder, other = pipeline(tmp_path / "model"), pipeline(tmp_path / "other")
    model(folder / "unet", {"conv_in.weight": (8, 4, 3, 3)}, file=UNET)
    assert {path.split("/")[0] for _, path in found(folder, reference=other)} == {"unet"}
    with pytest.raises(UnknownSelection, match="is one model"):
        api.verify(folder, reference=other / "unet", settings=Settings())


def test_show_lists_the_components_and_others_refuse_by_name(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "model")
    summary = api.show(folder)
    assert summary.family == "diffusers pipeline"
    assert [(one.title, one.tensors) for one in summary.components] == [
        ("unet (UNet2DConditionModel)", len(unet())),
        ("text_encoder (CLIPTextModel)", 36),
        ("scheduler (DDIMScheduler)", 0),
        ("tokenizer (CLIPTokenizer)", 0),
    ]
    assert api.show(folder / "unet").tensors == len(unet())
    with pytest.raises(NotACheckpoint, match="is a diffusers pipeline of several models"):
        api.manifest(folder)


def test_real_pipelines_load_and_are_clean(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", exc_type=ImportError)
    net = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    made = diffusers.DDPMPipeline(unet=net, scheduler=diffusers.DDPMScheduler())
    folder = tmp_path / "model"
    made.save_pretrained(folder)
    assert found(folder, values=True) == []
    (folder / "unet" / UNET).unlink()
    assert found(folder) == [("CK950", "unet")]
    with pytest.raises(OSError, match="no file named"):
        diffusers.DDPMPipeline.from_pretrained(folder)
