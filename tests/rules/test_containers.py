"""Weight files as containers: sets of shards, what is called safetensors and is not, downloads."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.scan import library
from tests.support.checkpoints import weights
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {"config.json": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}}
NAMES = ("model.embed_tokens.weight", "model.norm.weight")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


def found(folder: Path, **options: Any) -> dict[str, str]:
    """What is found, by code; each code once."""
    findings = api.verify(folder, settings=Settings(), **options).findings
    assert len({one.code for one in findings}) == len(findings), findings
    return {one.code: one.what for one in findings}


def refused(folder: Path) -> set[str]:
    verdict = api.gate(folder, settings=Settings())
    return {one.code for one in verdict.refused} - {"CK813", "CK815"}


def sharded(folder: Path, files: tuple[str, ...] = SHARDS) -> Path:
    """A model in two shards with an index."""
    for name, file in zip(NAMES, files, strict=True):
        model(folder, {name: (4, 4)}, CONFIG, file=file)
    (folder / INDEX).write_text(json.dumps({"weight_map": dict(zip(NAMES, files, strict=True))}))
    return folder


# --- shards ---------------------------------------------------------------------------------------


def test_shards_with_their_index_are_fine(tmp_path: Path) -> None:
    assert found(sharded(tmp_path / "m")) == {}


def test_shards_without_index_are_an_error_and_the_command_repairs_them(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    (folder / INDEX).unlink()
    (finding,) = api.verify(folder, settings=Settings()).findings
    assert (finding.code, finding.severity) == ("CK211", "error")
    assert finding.remedy.argv == ("ckpt", "reshard", str(folder), "--in-place")
    transformers = pytest.importorskip("transformers")
    with pytest.raises(OSError, match="no file named"):
        transformers.AutoModel.from_pretrained(folder)


def test_the_only_shard_needs_an_index_too(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {NAMES[0]: (4, 4)}, CONFIG, file=SHARDS[0].replace("2.s", "1.s"))
    assert set(found(folder)) == {"CK211"}


def test_a_single_file_under_another_name_is_not_a_shard(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {NAMES[0]: (4, 4)}, CONFIG, file="lora-00001.safetensors")
    assert "CK211" not in found(folder)


def test_an_index_of_another_number_of_shards_than_their_names_say(tmp_path: Path) -> None:
    files = ("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors")
    assert found(sharded(tmp_path / "m", files)) == {
        "CK212": "lists 2 shards of model, whose names say 3"
    }


def test_an_index_that_lists_nothing_is_an_error_reported_once(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    (folder / INDEX).write_text('{"metadata": {"total_size": 128}, "weight_map": {}}')
    assert found(folder) == {"CK213": "is empty: a loader reads no tensor"}
    assert refused(folder) == {"CK213"}


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({NAMES[0]: (4, 4), NAMES[1]: (4, 4)}, "the shards have the same values"),
        ({NAMES[0]: (4, 4), NAMES[1]: (4, 2)}, "1 tensor of the two differ in name"),
        ({NAMES[0]: (4, 4)}, "1 tensor of the two differ in name"),
    ],
)
def test_a_file_beside_indexed_shards_is_compared_with_them(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    folder = sharded(tmp_path / "m")
    model(folder, shapes, CONFIG)
    what = found(folder)["CK209"]
    assert "model.safetensors, which transformers and LeRobot load" in what
    assert words in what


def test_other_values_beside_indexed_shards_are_counted(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "m")
    model(folder, dict.fromkeys(NAMES, (4, 4)), CONFIG)
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    (finding,) = api.verify(folder, settings=Settings()).findings
    assert "the shards differ from it in 1 tensor" in finding.what
    assert "delete" not in finding.next


def test_diffusers_loads_the_shards_and_not_the_file_beside_them(tmp_path: Path) -> None:
    base = "diffusion_pytorch_model"
    folder = sharded(tmp_path / "m", tuple(name.replace("model", base, 1) for name in SHARDS))
    (folder / INDEX).rename(folder / f"{base}.safetensors.index.json")
    assert found(folder) == {}
    shutil.copy(folder / f"{base}-00001-of-00002.safetensors", folder / f"{base}.safetensors")
    assert "which diffusers loads" in found(folder)["CK209"]


# --- what the files are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GGUF\x03\0\0\0" + b"x" * 40, "is a GGUF model"),
        (b'{"error": "Repository not found"}', "is JSON text"),
        (b"\n\n<!DOCTYPE html><html></html>", "is a web page"),
        (b"<HTML><body>log in</body></HTML>", "is a web page"),
        (b'<?xml version="1.0"?><Error/>', "is XML"),
        (b"Invalid username or password.", "is text"),
        (b"PK\x03\x04\x14\0\x08\x08" + b"x" * 40, "is a zip archive"),
        (b"\x80\x02}q\0X\x04\0\0\0" + b"x" * 9, "is a pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"\0" * 4096, "starts with zeros"),
    ],
)
def test_what_is_not_safetensors_is_called_by_its_name_once(
    tmp_path: Path, content: bytes, words: str
) -> None:
    folder = model(tmp_path / "m", {}, CONFIG)
    (folder / "model.safetensors").write_bytes(content)
    (what,) = found(folder).values()
    assert words in what
    refusals = api.gate(folder, settings=Settings()).refused
    about = [one.code for one in refusals if "model.safetensors" in one.path]
    assert [code for code in about if code != "CK803"] in (["CK102"], ["CK105"])


def test_a_length_that_is_only_too_large_is_still_one(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {}, CONFIG)
    (folder / "model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"x" * 9)
    assert "states a header of 1,099,511,627,776 bytes" in found(folder)["CK102"]


def test_a_truncated_file_whose_length_looks_like_a_pickle_is_truncated(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {}, CONFIG)
    (folder / "model.safetensors").write_bytes((0x280).to_bytes(8, "little") + b'{"a":')
    assert set(found(folder)) == {"CK103"}


# --- config.json ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.layers.0.mlp.weight", "transformer.h.0.ln_1.weight"])
def test_weights_of_a_whole_model_need_a_config(tmp_path: Path, name: str) -> None:
    (finding,) = api.verify(model(tmp_path / "m", {name: (4, 4)}), settings=Settings()).findings
    assert (finding.code, finding.severity) == ("CK214", "error")


@pytest.mark.parametrize("name", ["layers.0.weight", "blocks.2.attn.weight", "model.layers.0.bias"])
def test_weights_that_may_be_a_program_of_ones_own_are_a_note_without_a_config(
    tmp_path: Path, name: str
) -> None:
    (finding,) = api.verify(model(tmp_path / "m", {name: (4, 4)}), settings=Settings()).findings
    assert (finding.code, finding.severity) == ("CK214", "note")
    assert "unless a program of yours knows it; ckpt verify " in finding.next
    (tmp_path / "m" / "tokenizer_config.json").write_text("{}")
    (finding,) = api.verify(tmp_path / "m", settings=Settings()).findings
    assert (finding.code, finding.severity) == ("CK214", "error")
    assert api.verify(finding.remedy.argv[2], settings=Settings()).clean


def test_other_weights_need_none(tmp_path: Path) -> None:
    names = {"model.layers.0.mlp.weight": (4, 4)}
    assert "CK214" not in found(model(tmp_path / "a", names, file="flux-dev.safetensors"))
    assert "CK214" not in found(model(tmp_path / "b", {"embedding": (4, 4)}))
    assert "CK214" not in found(model(tmp_path / "c", names, {"adapter_config.json": {}}))
    folder = model(tmp_path / "d", names)
    assert found(folder / "model.safetensors") == {}


# --- downloads ------------------------------------------------------------------------------------


def test_parts_of_files_from_the_hub_are_a_note(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {NAMES[0]: (4, 4)}, CONFIG)
    kept = folder / ".cache" / "huggingface" / "download"
    kept.mkdir(parents=True)
    (kept / "config.json.metadata").write_text("a\nb\n1\n")
    assert found(folder) == {}
    (kept / "Hk3p.incomplete").write_bytes(b"x")
    (finding,) = api.verify(folder, settings=Settings()).findings
    assert (finding.code, finding.severity) == ("CK140", "note")
    assert finding.path == ".cache/huggingface/download/Hk3p.incomplete"


@pytest.mark.parametrize("ending", ["incomplete", "part", "aria2", "crdownload"])
def test_parts_of_files_are_reported_once(tmp_path: Path, ending: str) -> None:
    folder = model(tmp_path / "m", {NAMES[0]: (4, 4)}, CONFIG)
    (folder / f"tokenizer.json.{ending}").write_bytes(b"x")
    assert set(found(folder)) == {"CK744"}


def values_of(folder: Path, *filled: float, zeros: int = 0, rows: int = 4) -> dict[str, str]:
    """What is found with values if the last bytes of four 4x4 matrices are zero."""
    held = {
        f"layers.{at}.weight": (Dtype.F32, (rows, 4), np.full(rows * 4, value, "<f4").tobytes())
        for at, value in enumerate(filled)
    }
    held = {
        name: (
            dtype,
            shape,
            (np.frombuffer(data, "<f4") + np.arange(rows * 4)).astype("<f4").tobytes(),
        )
        for name, (dtype, shape, data) in held.items()
    }
    model(folder, {}, CONFIG)
    data = weights(held)
    (folder / "model.safetensors").write_bytes(data[: len(data) - zeros] + b"\0" * zeros)
    return found(folder, values=True)


def test_zeros_from_the_middle_of_a_tensor_to_the_end_are_an_unfinished_download(
    tmp_path: Path,
) -> None:
    what = values_of(tmp_path / "a", 1, 2, 3, zeros=64 + 36)["CK141"]
    assert "100 bytes" in what
    assert "1 tensor after it" in what


def test_zeros_that_end_with_a_tensor_or_are_padding_are_no_download(tmp_path: Path) -> None:
    assert "CK141" not in values_of(tmp_path / "a", 1, 2, 3)
    assert "CK141" not in values_of(tmp_path / "b", 1, 2, 3, zeros=36)
    assert "CK141" not in values_of(tmp_path / "c", 1, 2, 3, zeros=64)
    assert "CK141" not in values_of(tmp_path / "d", 1, 2, 3, zeros=128)


# --- the safetensors library ----------------------------------------------------------------------


def test_the_gate_says_what_the_library_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "m", {NAMES[0]: (4, 4)}, CONFIG)
    assert "CK139" not in refused(folder)
    said = {"model.safetensors": "unknown dtype"}
    monkeypatch.setattr("ckpt_tools.api._verify_one.refusals", lambda _root, _paths: said)
    (finding,) = (
        one for one in api.gate(folder, settings=Settings()).refused if one.code == "CK139"
    )
    assert finding.what.endswith("the installed safetensors library rejects it: unknown dtype")
    assert "CK139" not in found(folder)


def test_the_gate_says_what_only_the_library_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "m", {}, CONFIG)
    (folder / "model.safetensors").write_bytes(b"\x09" + b"\0" * 7)
    assert "CK139" not in refused(folder)
    monkeypatch.setattr(
        "ckpt_tools.api._verify.refusals", lambda _root, paths: dict.fromkeys(paths, "")
    )
    assert {"CK103", "CK139"} <= refused(folder)


def test_without_the_library_the_rule_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)  # an import of it fails
    assert library.refusals("", ["x"]) is None
    folder = model(tmp_path / "m", {NAMES[0]: (4, 4)}, CONFIG)
    skipped = dict(api.gate(folder, settings=Settings()).verification.skipped)
    assert skipped["CK139"] == (
        "the safetensors library is not installed (pip install safetensors)"
    )


@pytest.mark.parametrize("small", [0, 1 << 20], ids=["by its header", "whole"])
def test_the_real_library_opens_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    pytest.importorskip("safetensors")
    monkeypatch.setattr(library, "_SMALL", small)
    model(tmp_path, {"a": (4, 4)})
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 20)
    said = library.refusals(str(tmp_path), ["model.safetensors", "bad.safetensors"])
    assert said is not None
    assert said["model.safetensors"] == ""
    assert "header" in said["bad.safetensors"].lower()
    assert importlib.import_module("safetensors") is not None
