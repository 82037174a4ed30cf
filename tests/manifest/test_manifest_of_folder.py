"""Manifests of checkpoint folders: which files count, and where the manifest is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.errors import (
    ChangedDuringRead,
    CkptError,
    ManifestInvalid,
    NotAFile,
    PathNotFound,
    RemoteNotSupported,
    ShardMissing,
    Unwritable,
)
from ckpt_tools.manifest import build as manifest_build
from ckpt_tools.manifest import digests
from ckpt_tools.manifest.format import text

if TYPE_CHECKING:
    from collections.abc import Callable


ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


# --- writing --------------------------------------------------------------------------------------


def test_only_an_older_manifest_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    for where in ("normal", "reflow"):
        found = api.manifest(str(FIXTURES / where), write=str(path)).manifest
        assert path.read_text() == text(found)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.json"]
    path.write_text("{}")
    with pytest.raises(
        ManifestInvalid,
        match=(
            r"m.json: already exists and is not a manifest: missing field 'content'; choose"
            r" another file"
        ),
    ):
        api.manifest(str(FIXTURES / "normal"), write=str(path))
    assert path.read_text() == "{}"


def test_an_unwritable_output_is_reported_before_hashing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(digests, "digest_files", never)
    monkeypatch.setattr(manifest_build, "digest_files", never)
    with pytest.raises(Unwritable, match="its folder does not exist"):
        api.manifest(str(FIXTURES / "normal"), write=str(tmp_path / "no" / "m.json"))
    with pytest.raises(NotAFile, match="is a folder"):
        api.manifest(str(FIXTURES / "normal"), write=str(tmp_path))


def test_a_manifest_inside_the_checkpoint_is_not_listed_in_it(tmp_path: Path) -> None:
    folder = shutil.copytree(FIXTURES / "normal", tmp_path / "normal")
    path = str(folder / "m.json")
    before = text(api.manifest(str(folder)).manifest)
    assert text(api.manifest(str(folder), write=path).manifest) == before == Path(path).read_text()
    assert text(api.manifest(str(folder), write=path).manifest) == before
    assert api.check_manifest(str(folder), path).same


# --- what is in the folder ------------------------------------------------------------------------


def nested(folder: Path) -> None:
    (folder / "assets" / "deep").mkdir(parents=True)
    (folder / "assets" / "deep" / "vocab.txt").write_text("a")
    for ignored in (".git", ".cache/huggingface", "assets/.git"):
        (folder / ignored).mkdir(parents=True)
        (folder / ignored / "config").write_text("x")
    (folder / ".cache" / "mine").write_text("y")


def test_nested_files_count_but_git_and_client_caches_do_not(tmp_path: Path) -> None:
    folder = shutil.copytree(FIXTURES / "language-model", tmp_path / "m")
    nested(folder)
    found = [file.path for file in api.manifest(str(folder)).manifest.files]
    assert found == sorted(
        {".cache/mine", "assets/deep/vocab.txt", *os.listdir(FIXTURES / "language-model")}
    )


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    for path in (FIXTURES / "normal").iterdir():
        (folder / path.name).symlink_to(path)
    assert (
        api.manifest(str(folder)).manifest._replace(written_from="normal")
        == api.manifest(str(FIXTURES / "normal")).manifest
    )


def changed_copy(act: Callable[[Path], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        copy = shutil.copytree(FIXTURES / "normal", folder / "normal")
        act(copy)
        return copy

    return build


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (
            changed_copy(lambda folder: os.mkfifo(folder / "pipe")),
            NotAFile,
            "normal/pipe: is a named pipe, not a file; ",
        ),
        (
            changed_copy(lambda folder: os.mkfifo(folder / "sub.safetensors")),
            CkptError,
            "is a named pipe, not a file; ",
        ),
        (
            changed_copy(lambda folder: (folder / "gone").symlink_to("nowhere")),
            PathNotFound,
            "normal/gone: is a broken link; ",
        ),
        (
            changed_copy(lambda folder: (folder / "loop").symlink_to(folder)),
            NotAFile,
            "normal/loop: a symbolic link to a folder; ",
        ),
        (
            changed_copy(lambda folder: (folder / os.fsdecode(b"\xff")).write_text("")),
            NotAFile,
            "the file name is not UTF-8; rename it",
        ),
        (lambda folder: folder / "none", PathNotFound, "no such file or directory; "),
        (lambda _: Path("hf://me/policy"), CkptError, "hf:/me/policy: no such file or directory"),
    ],
)
def test_inputs_that_cannot_be_hashed_are_rejected(
    build: Callable[[Path], Path], kind: type[CkptError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as raised:
        api.manifest(str(build(tmp_path)))
    assert words in str(raised.value)


def test_a_hub_name_is_rejected_with_the_download_command() -> None:
    with pytest.raises(
        RemoteNotSupported,
        match=(
            r"hf://me/policy@v1: is a Hub repository, but this command needs local files;"
            r" download it first: hf download me/policy --rev"
        ),
    ):
        api.manifest("hf://me/policy@v1")


def test_a_file_replaced_after_its_header_was_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = changed_copy(lambda _: None)(tmp_path)
    reading = api.read

    def meddling(where: str) -> Any:
        found = reading(where)
        shutil.copy(FIXTURES / "normal" / "model.safetensors", folder / "new")
        (folder / "new").replace(folder / "model.safetensors")
        return found

    monkeypatch.setattr(manifest_build, "read", meddling)
    with pytest.raises(ChangedDuringRead, match=r"model.safetensors: changed while it was read"):
        api.manifest(str(folder))


def test_an_incomplete_checkpoint_has_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "model-00002-of-00003.safetensors").write_bytes(
        (FIXTURES / "sharded" / "model-00002-of-00003.safetensors").read_bytes()
    )
    with pytest.raises(ShardMissing):
        api.manifest(str(tmp_path))
