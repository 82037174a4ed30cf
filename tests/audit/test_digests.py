"""Digests of structures, contents and parts, free digests of files, and declared bases."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.audit.digests import (
    cached_sha256,
    contents_of,
    structure_of,
    weight_paths,
    with_free_digests,
)
from ckpt_tools.audit.lineage import declared_bases
from ckpt_tools.audit.model import Candidate, FileState
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.errors import ChangedDuringRead
from tests.support import blobs
from tests.support.fleet import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

SHA = "ab" * 32


@pytest.mark.parametrize("name", ["normal", "sharded", "language-model"])
def test_the_payload_is_the_content_digest_of_a_manifest(name: str) -> None:
    checkpoint = api.read(FIXTURES / name)
    found = contents_of(checkpoint)
    assert found.payload.hex() == api.manifest(FIXTURES / name).manifest.content
    assert sum(one.nbytes for one in found.tensors) == sum(t.nbytes for t in checkpoint.tensors)


def test_shards_change_neither_structure_nor_payload(tmp_path: Path) -> None:
    tensors = {f"{name}.weight": (Dtype.F32, bytes([*range(8)])) for name in "abcde"}
    one = blobs.written(tmp_path / "one", tensors)
    other = blobs.sharded(tmp_path / "other", tensors, 3)
    assert structure_of(one) == structure_of(other)
    found, again = contents_of(one), contents_of(other)
    assert (found.payload, found.parts) == (again.payload, again.parts)
    assert sorted(found.tensors) == sorted(again.tensors)
    assert len({one.digest for one in found.tensors}) == 1  # a name is not part of the content


def test_dtype_and_shape_are_part_of_a_tensors_content(tmp_path: Path) -> None:
    tensors = {"a": (Dtype.F32, bytes(8)), "b": (Dtype.I32, bytes(8)), "c": (Dtype.F32, bytes(4))}
    found = contents_of(blobs.written(tmp_path / "one", tensors))
    assert len({one.digest for one in found.tensors}) == 3
    assert {len(one.digest) for one in found.tensors} == {16}
    assert found.parts == ()  # of an unknown family


def test_a_checkpoint_without_tensors_has_no_structure() -> None:
    assert structure_of(Checkpoint("a", "a", ())) is None


def test_the_345_tensors_of_the_vlm_are_parts_of_a_smolvla() -> None:
    normal, reflow = (contents_of(api.read(FIXTURES / name)).parts for name in ("normal", "reflow"))
    assert sum(one.tensors for one in normal if one.title.startswith("VLM ")) == 345
    known = {one.title: one.digest for one in normal}
    assert {one.title for one in reflow if known.get(one.title) == one.digest} >= {"VLM text model"}
    assert known["action expert"] not in {one.digest for one in reflow if "expert" in one.title}


def test_a_folder_of_a_pipeline_is_a_part_of_it(tmp_path: Path) -> None:
    weights = {"w": (Dtype.F32, bytes(8))}
    unet, vae = (blobs.written(tmp_path / name, weights) for name in ("unet", "vae"))
    below = [
        file._replace(
            path=f"{name}/{file.path}",
            tensors=tuple(t._replace(shard=f"{name}/{file.path}") for t in file.tensors),
        )
        for name, one in (("unet", unet), ("vae", vae))
        for file in one.weights
    ]
    found = contents_of(Checkpoint(str(tmp_path), str(tmp_path), tuple(below)))
    assert [(one.title, one.digest) for one in found.parts] == [
        ("unet", contents_of(unet).payload),
        ("vae", contents_of(vae).payload),
    ]


def test_a_file_that_became_another_is_no_content(tmp_path: Path) -> None:
    folder = shutil.copytree(FIXTURES / "normal", tmp_path / "a")
    checkpoint = api.read(folder)
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ChangedDuringRead, match=r"model\.safetensors"):
        contents_of(checkpoint)


@pytest.mark.parametrize(
    ("target", "sha256"),
    [
        (f"../../blobs/{SHA}", SHA),
        (f"/cache/models--a--b/blobs/{SHA}", SHA),
        (f"blobs/{SHA[:40]}", ""),  # git's id of a small file
        (f"../other/{SHA}", ""),
        ("", ""),
    ],
)
def test_the_digest_in_the_name_of_a_cached_file(target: str, sha256: str) -> None:
    assert cached_sha256(target) == sha256


def test_inodes_and_cached_digests_of_weight_files_are_free(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / SHA
    blob.parent.mkdir()
    blob.write_bytes(b"12")
    (tmp_path / "snapshot").mkdir()
    for name in ("a.safetensors", "b.safetensors", "config.json"):
        (tmp_path / "snapshot" / name).symlink_to(f"../blobs/{SHA}")
    os.link(blob, tmp_path / "snapshot" / "c.safetensors")
    names = ("a.safetensors", "b.safetensors", "c.safetensors", "config.json", "gone.safetensors")
    files = tuple(FileState(name, 2) for name in names)
    location = str(tmp_path / "snapshot")
    one, two, linked, config, gone = with_free_digests(
        Candidate(location, "s", location, files)
    ).files
    assert one.inode == two.inode == linked.inode == f"{blob.stat().st_dev}:{blob.stat().st_ino}"
    assert [one.sha256, two.sha256, linked.sha256] == [SHA, SHA, ""]
    assert config == files[3]
    assert gone == files[4]
    remote = Candidate("hf://a/b", "hf://a", "hf://a/b@1", files)
    assert with_free_digests(remote) == remote


def test_weight_files_are_named_from_the_location() -> None:
    checkpoint = api.read(FIXTURES / "normal")
    root = checkpoint.root
    assert weight_paths(checkpoint, root) == ("model.safetensors",)
    assert weight_paths(checkpoint, os.path.dirname(root)) == ("normal/model.safetensors",)
    assert weight_paths(checkpoint, f"{root}/model.safetensors") == ("model.safetensors",)


def documents(**values: Any) -> Checkpoint:
    found = tuple(Document(f"{name}.json", "", value) for name, value in values.items())
    return Checkpoint("a", "a", (), documents=found)


@pytest.mark.parametrize(
    ("checkpoint", "card", "bases"),
    [
        (documents(), "", ()),
        (documents(adapter_config={"base_model_name_or_path": "a/b"}), "", ("a/b",)),
        (documents(adapter_config={"base_model_name_or_path": "/base/c"}), "", ("/base/c",)),
        (documents(adapter_config={"base_model_name_or_path": None}), "", ()),
        (
            documents(config={"pretrained_path": "lerobot/smolvla_base"}),
            "",
            ("lerobot/smolvla_base",),
        ),
        (documents(config={"pretrained_path": "outputs/train"}), "", ()),
        (documents(config={"pretrained_path": "/home/u/x"}), "", ()),
        (documents(), "---\nbase_model: a/b\n---\n# x\n", ("a/b",)),
        (documents(), "---\r\nbase_model: a/b\r\n---\r\n", ("a/b",)),
        (documents(), "---\nbase_model:\n- a/b\n- c/d\ntags: [x]\n---\n", ("a/b", "c/d")),
        (documents(), "---\ntags:\n- x\nbase_model: [a/b, c/d]\n---\n", ("a/b", "c/d")),
        (documents(), "---\nbase_model: ???\n---\n", ()),
        (documents(), "---\nbase_model: &a [*a]\n---\n", ()),
        (documents(), "---\nbase_model: a/b\n", ()),  # not closed
        (documents(), "# base_model: a/b\n", ()),
        (
            documents(adapter_config={"base_model_name_or_path": "a/b"}),
            "---\nbase_model: a/b\nlicense: mit\n---\n",
            ("a/b",),
        ),
    ],
)
def test_declared_bases(checkpoint: Checkpoint, card: str, bases: tuple[str, ...]) -> None:
    assert declared_bases(checkpoint, card) == bases


def test_what_the_hub_says_comes_last() -> None:
    config = documents(adapter_config={"base_model_name_or_path": "a/b"})
    assert declared_bases(config, "", ("c/d", "a/b")) == ("a/b", "c/d")
