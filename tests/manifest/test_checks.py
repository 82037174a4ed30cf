"""Checking a checkpoint against a manifest.

Each difference is reported; a different layout is only a remark.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.manifest.compare import check
from tests.support.checkpoints import tensors, written

if TYPE_CHECKING:
    from tests.support.checkpoints import Tensors


def difference_kinds(
    where: str | Path, against: str | Path, **options: Any
) -> list[tuple[str, str]]:
    return [
        (found.kind, found.subject)
        for found in api.check_manifest(str(where), str(against), **options).differences
    ]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest of three tensors and a config."""
    contents: Tensors = {
        "a": (Dtype.U8, (2,), b"12"),
        "b": (Dtype.F16, (1,), b"34"),
        "c": (Dtype.U8, (0,), b""),
    }
    folder = Path(written(tmp_path / "held", contents))
    (folder / "config.json").write_text("{}")
    api.manifest(str(folder), sha256=True, write=str(tmp_path / "m.json"))
    return tmp_path / "m.json"


def other_checkpoint(
    manifest: Path,
    *shards: Tensors,
    config: str | None = "{}",
    metadata: dict[str, str] | None = None,
) -> Path:
    folder = Path(written(manifest.parent / "other", *shards, metadata=metadata))
    if config is not None:
        (folder / "config.json").write_text(config)
    return folder


A, B, C = (Dtype.U8, (2,), b"12"), (Dtype.F16, (1,), b"34"), (Dtype.U8, (0,), b"")


def test_a_copy_has_no_differences(manifest: Path) -> None:
    assert (
        difference_kinds(
            other_checkpoint(manifest, {"a": A, "b": B, "c": C}),
            manifest,
            exact_files=True,
            sha256=True,
        )
        == []
    )


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({"a": (Dtype.U8, (2,), b"13"), "b": B, "c": C}, [("values", "a")]),
        ({"a": A, "b": (Dtype.BF16, (1,), b"34"), "c": C}, [("dtype", "b")]),
        ({"a": (Dtype.U8, (2, 1), b"12"), "b": B, "c": C}, [("shape", "a")]),
        ({"a": A, "b": B}, [("missing", "c")]),
        ({"a": A, "b": B, "c": C, "d": A}, [("extra", "d")]),
        ({"a": A, "x.b": B, "c": C}, [("renamed", "b")]),
        (
            {"b": (Dtype.U8, (2,), b"12"), "a": (Dtype.F16, (1,), b"34"), "c": C},
            [("dtype", "a"), ("dtype", "b")],
        ),
    ],
)
def test_each_tensor_difference_is_reported(
    manifest: Path, contents: Tensors, expected: list[tuple[str, str]]
) -> None:
    found = api.check_manifest(str(other_checkpoint(manifest, contents)), str(manifest))
    assert [(one.kind, one.subject) for one in found.differences] == expected
    assert all(
        one.what and one.next and (one.path == "model.safetensors") == (one.kind != "missing")
        for one in found.differences
    )
    assert found.content[0] != found.content[1]


@pytest.mark.parametrize(
    ("config", "expected"), [("[]", "file"), ("{", "file"), ("{} ", "file"), (None, "file missing")]
)
def test_each_file_difference_is_reported(
    manifest: Path, config: str | None, expected: str
) -> None:
    assert difference_kinds(
        other_checkpoint(manifest, {"a": A, "b": B, "c": C}, config=config), manifest
    ) == [(expected, "config.json")]


def test_an_extra_file_is_reported(manifest: Path) -> None:
    folder = other_checkpoint(manifest, {"a": A, "b": B, "c": C})
    (folder / "README.md").write_text("")
    assert difference_kinds(folder, manifest) == [("file extra", "README.md")]


def test_layout_is_a_remark_or_a_difference_with_exact_files(manifest: Path) -> None:
    cases: list[tuple[list[Tensors], dict[str, str] | None]] = [
        ([{"c": C, "a": A}, {"b": B}], None),
        ([{"a": A, "b": B, "c": C}], {"format": "pt"}),
        ([{"b": B, "a": A, "c": C}], None),
    ]
    for shards, metadata in cases:
        folder = other_checkpoint(manifest, *shards, metadata=metadata)
        found = api.check_manifest(str(folder), str(manifest), sha256=True)
        assert found.same
        assert {remark.kind for remark in found.remarks} == {"layout"}
        assert found.content[0] == found.content[1]
        exact = api.check_manifest(str(folder), str(manifest), exact_files=True)
        assert (exact.differences, exact.remarks) == (found.remarks, ())


def test_a_single_file_is_checked_for_its_tensors_only(manifest: Path) -> None:
    folder = other_checkpoint(manifest, {"a": A, "b": B, "c": C}, config="[]")
    found = api.check_manifest(str(folder / "model.safetensors"), str(manifest))
    assert found.same
    assert "1 other file in the manifest: only a single file was named" in found.unchecked
    api.manifest(str(folder / "model.safetensors"), write=str(folder.parent / "single.json"))
    back = api.check_manifest(str(folder), str(folder.parent / "single.json"))
    assert back.same
    assert back.unchecked == ("1 other file here: the manifest describes a single file",)


def test_sha256_is_checked_only_on_request(manifest: Path) -> None:
    document = json.loads(manifest.read_text())
    for file in document["files"].values():
        file["sha256"] = "0" * 64
    manifest.write_text(json.dumps(document))
    folder = other_checkpoint(manifest, {"a": A, "b": B, "c": C})
    assert difference_kinds(folder, manifest, sha256=True) == [
        ("sha256", "config.json"),
        ("sha256", "model.safetensors"),
    ]
    found = api.check_manifest(str(folder), str(manifest))
    assert found.same
    assert found.unchecked == ("the SHA-256 in the manifest (use --sha256)",)


@given(tensors(), tensors())
def test_no_tensor_differs_if_and_only_if_content_digests_are_equal(
    home: Path, one: Tensors, two: Tensors
) -> None:
    a, b = api.manifest(written(home / "d", one)), api.manifest(written(home / "e", two))
    for left, right in ((a, a), (a, b), (b, a)):
        found = check(left, right.manifest, "m.json")
        assert found.same == (left.manifest.content == right.manifest.content)
