"""Which paths are accepted as WHERE, and which are rejected.

Files, folders, LeRobot runs, Hugging Face caches. Folders are listed, no file is opened.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.locate import locate

if TYPE_CHECKING:
    from collections.abc import Callable

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


def write_files(folder: Path, *names: str) -> Path:
    """Return `folder` with empty files of these names in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


# --- accepted -------------------------------------------------------------------------------------


def test_a_folder_with_a_single_file(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        "model.safetensors",
        "config.json",
        "policy_preprocessor_step_5_normalizer_processor.safetensors",
    )
    found = locate(str(tmp_path))
    assert (found.root, found.weights, found.index_file, found.whole_folder) == (
        str(tmp_path),
        ("model.safetensors",),
        None,
        True,
    )
    assert found.names == (
        "config.json",
        "model.safetensors",
        "policy_preprocessor_step_5_normalizer_processor.safetensors",
    )


def test_a_single_file_is_read_alone(tmp_path: Path) -> None:
    write_files(tmp_path, "other.safetensors", "model.safetensors", "config.json")
    found = locate(str(tmp_path / "other.safetensors"))
    assert (found.root, found.weights, found.names, found.index_file, found.whole_folder) == (
        str(tmp_path),
        ("other.safetensors",),
        (),
        None,
        False,
    )


def test_a_bare_file_name_has_the_current_folder_as_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, "model.safetensors")
    monkeypatch.chdir(tmp_path)
    assert locate("model.safetensors").root == "."
    assert locate(".").weights == ("model.safetensors",)
    assert locate("./").root == "./"


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    write_files(tmp_path / "real", "model.safetensors")
    (tmp_path / "file.safetensors").symlink_to("real/model.safetensors")
    (tmp_path / "folder").symlink_to("real")
    assert locate(str(tmp_path / "file.safetensors")).weights == ("file.safetensors",)
    assert locate(str(tmp_path / "folder")).weights == ("model.safetensors",)


def test_a_sharded_folder_is_read_by_its_index(tmp_path: Path) -> None:
    write_files(tmp_path, *SHARDS, INDEX)
    found = locate(str(tmp_path))
    assert (found.weights, found.index_file) == ((), INDEX)


def test_an_index_file_can_be_passed(tmp_path: Path) -> None:
    write_files(tmp_path, *SHARDS, INDEX, "model.safetensors")
    found = locate(str(tmp_path / INDEX))
    assert (found.root, found.weights, found.index_file, found.whole_folder) == (
        str(tmp_path),
        (),
        INDEX,
        False,
    )


def test_shards_without_an_index_are_read_by_their_names(tmp_path: Path) -> None:
    write_files(tmp_path, *SHARDS)
    assert locate(str(tmp_path)).weights == SHARDS


def test_the_one_weight_file_of_a_folder_may_have_any_name(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        "adapter_model.safetensors",
        "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
    )
    assert locate(str(tmp_path)).weights == ("adapter_model.safetensors",)


def test_a_single_file_takes_precedence_over_shards(tmp_path: Path) -> None:
    write_files(tmp_path, "model.safetensors", *SHARDS, INDEX)
    assert locate(str(tmp_path)).weights == ("model.safetensors",)


def test_a_step_folder_resolves_to_its_pretrained_model(tmp_path: Path) -> None:
    write_files(tmp_path / "000100" / "pretrained_model", "model.safetensors")
    write_files(tmp_path / "000100" / "training_state", "optimizer_state.safetensors")
    assert locate(str(tmp_path / "000100")).root == str(tmp_path / "000100" / "pretrained_model")


def test_a_run_folder_resolves_to_the_checkpoint_named_last(tmp_path: Path) -> None:
    for step in ("000100", "000200"):
        write_files(tmp_path / "checkpoints" / step / "pretrained_model", "model.safetensors")
    (tmp_path / "checkpoints" / "last").symlink_to("000100")
    found = locate(str(tmp_path))
    assert found.root == str(tmp_path / "checkpoints" / "last" / "pretrained_model")


def test_a_run_folder_without_last_resolves_to_the_numerically_highest_step(
    tmp_path: Path,
) -> None:
    for step in ("9", "000100", "20", "backup"):
        write_files(tmp_path / "checkpoints" / step / "pretrained_model", "model.safetensors")
    assert locate(str(tmp_path)).root == str(
        tmp_path / "checkpoints" / "000100" / "pretrained_model"
    )


@pytest.mark.parametrize("target", ["000300", "last"], ids=["to nowhere", "to itself"])
def test_a_run_folder_with_a_broken_last_resolves_to_the_highest_step(
    target: str, tmp_path: Path
) -> None:
    write_files(tmp_path / "checkpoints" / "000100" / "pretrained_model", "model.safetensors")
    (tmp_path / "checkpoints" / "last").symlink_to(target)
    assert locate(str(tmp_path)).root == str(
        tmp_path / "checkpoints" / "000100" / "pretrained_model"
    )


def test_two_dots_after_a_link_resolve_as_the_system_resolves_them(tmp_path: Path) -> None:
    write_files(tmp_path / "elsewhere" / "sub")
    write_files(tmp_path / "elsewhere" / "pretrained_model", "model.safetensors", "config.json")
    write_files(tmp_path / "pretrained_model", "model.safetensors")
    (tmp_path / "link").symlink_to("elsewhere/sub")
    assert locate(f"{tmp_path}/link/..").names == ("config.json", "model.safetensors")


@pytest.mark.parametrize("name", ["²", "①", "٣", "last²", "1e5", "-1"])
def test_a_step_folder_with_a_non_ascii_number_is_ignored(name: str, tmp_path: Path) -> None:
    write_files(tmp_path / "checkpoints" / name / "pretrained_model", "model.safetensors")
    write_files(tmp_path / "checkpoints" / "000100" / "pretrained_model", "model.safetensors")
    assert locate(str(tmp_path)).root == str(
        tmp_path / "checkpoints" / "000100" / "pretrained_model"
    )


def test_an_interrupted_step_without_weights_is_skipped(tmp_path: Path) -> None:
    write_files(tmp_path / "checkpoints" / "000100" / "pretrained_model", "model.safetensors")
    write_files(tmp_path / "checkpoints" / "000200" / "pretrained_model", "config.json")
    assert locate(str(tmp_path)).root == str(
        tmp_path / "checkpoints" / "000100" / "pretrained_model"
    )


def cache(folder: Path, *commits: str) -> Path:
    """Return a Hugging Face cache folder with these snapshots, each a link into the blobs."""
    write_files(folder / "blobs", "b10b")
    for commit in commits:
        write_files(folder / "snapshots" / commit)
        (folder / "snapshots" / commit / "model.safetensors").symlink_to("../../blobs/b10b")
    return folder


def test_a_cache_folder_resolves_to_the_snapshot_of_main(tmp_path: Path) -> None:
    folder = cache(tmp_path / "models--a--b", "aaaa", "bbbb")
    write_files(folder / "refs")
    (folder / "refs" / "main").write_text("aaaa\n")
    assert locate(str(folder)).root == str(folder / "snapshots" / "aaaa")


def test_a_cache_folder_without_refs_resolves_to_its_only_snapshot(tmp_path: Path) -> None:
    folder = cache(tmp_path / "models--a--b", "aaaa")
    assert locate(str(folder)).root == str(folder / "snapshots" / "aaaa")


def test_a_snapshot_of_links_can_be_passed(tmp_path: Path) -> None:
    snapshot = cache(tmp_path / "models--a--b", "aaaa") / "snapshots" / "aaaa"
    assert locate(str(snapshot)).weights == ("model.safetensors",)
    assert locate(str(snapshot / "model.safetensors")).weights == ("model.safetensors",)


def test_weights_in_a_folder_take_precedence_over_its_subfolders(tmp_path: Path) -> None:
    write_files(tmp_path, "model.safetensors")
    write_files(tmp_path / "checkpoints" / "000100" / "pretrained_model", "model.safetensors")
    assert locate(str(tmp_path)).root == str(tmp_path)


# --- refused --------------------------------------------------------------------------------------


def refusal(where: Path | str, error: type[errors.CkptError]) -> str:
    """Return the message for `where`, whose error must be exactly `error`."""
    with pytest.raises(errors.CkptError) as raised:
        locate(str(where))
    assert type(raised.value) is error
    assert raised.value.next
    assert str(raised.value).isprintable()
    return str(raised.value)


def test_a_missing_path_is_rejected_with_what_is_expected(tmp_path: Path) -> None:
    line = refusal(tmp_path / "none", errors.PathNotFound)
    assert line.startswith(f"{tmp_path}/none: no such file or directory; expected a ")


def test_an_empty_path_is_rejected() -> None:
    assert "no such file or directory" in refusal("", errors.PathNotFound)


def test_a_path_through_a_file_is_rejected(tmp_path: Path) -> None:
    write_files(tmp_path, "a.safetensors")
    assert "no such file or directory" in refusal(
        tmp_path / "a.safetensors" / "b", errors.PathNotFound
    )


def test_a_broken_link_is_distinguished_from_a_missing_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("gone")
    assert "is a broken link" in refusal(tmp_path / "a", errors.PathNotFound)


def test_a_link_to_itself_and_a_name_too_long_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    assert "symbolic links" in refusal(tmp_path / "a", errors.Unreadable)
    assert "name too long" in refusal(tmp_path / ("a" * 300), errors.Unreadable)


def test_a_name_with_nul_is_rejected() -> None:
    refusal("a\0b", errors.PathNotFound)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    # A socket's address holds 108 bytes, and a test folder's name may hold more.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("make", "words"),
    [(pipe, "is a named pipe"), (listening, "is a socket")],
    ids=["pipe", "socket"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint"])
def test_special_files_are_rejected_by_their_type(
    make: Callable[[Path], None], words: str, name: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    assert f"{name}: {words}, not a checkpoint; " in refusal(tmp_path / name, errors.NotAFile)


def test_a_device_is_rejected() -> None:
    assert refusal("/dev/zero", errors.NotAFile).startswith(
        "/dev/zero: is a device, not a checkpoint; "
    )


def test_an_empty_folder_is_rejected(tmp_path: Path) -> None:
    assert "contains no .safetensors file; expected a folder with .safetensors weights" in refusal(
        tmp_path, errors.NotACheckpoint
    )


@pytest.mark.parametrize(
    ("below", "meant"),
    [
        ("policy/model.safetensors", "policy"),
        ("runs/act/checkpoints/0010/pretrained_model/model.safetensors", "runs/act"),
        ("a/b/model-00001-of-00002.safetensors", "a/b"),
    ],
)
def test_a_folder_above_a_checkpoint_says_where_it_is(
    tmp_path: Path, below: str, meant: str
) -> None:
    (tmp_path / below).parent.mkdir(parents=True)
    (tmp_path / below).touch()
    said = refusal(tmp_path, errors.NotACheckpoint)
    assert f"contains no .safetensors file itself; did you mean {tmp_path}/{meant}?" in said


def test_a_folder_above_several_checkpoints_says_how_many(tmp_path: Path) -> None:
    for name in ("a", "b", "other/c", "other/d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.safetensors").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("a")
    assert refusal(tmp_path, errors.NotACheckpoint).endswith(
        f": contains no .safetensors file itself, but 4 folders below it do;"
        f" name one, such as {tmp_path}/a"
    )


def test_a_folder_below_that_cannot_be_read_hides_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(errno.EACCES, "")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert f"2 folders below it do; name one, such as {tmp_path}/b" in refusal(
        tmp_path, errors.NotACheckpoint
    )


def test_a_checkpoint_far_below_is_not_looked_for(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/c"
    deep.mkdir(parents=True)
    (deep / "model.safetensors").touch()
    assert "did you mean" not in refusal(tmp_path, errors.NotACheckpoint)


def test_a_folder_named_like_the_weights_is_rejected(tmp_path: Path) -> None:
    write_files(tmp_path / "model.safetensors")
    line = refusal(tmp_path, errors.NotAFile)
    assert line.startswith(f"{tmp_path}/model.safetensors: is a folder, not a file; ")


def test_a_folder_of_pickles_is_rejected_with_the_reason(tmp_path: Path) -> None:
    write_files(tmp_path, "pytorch_model.bin", "config.json")
    assert (
        "only pickles such as pytorch_model.bin, which are never opened; save the model as"
        " safetensors"
    ) in refusal(tmp_path, errors.NotACheckpoint)


@pytest.mark.parametrize("name", ["params/_METADATA", "manifest.ocdbt", "_CHECKPOINT_METADATA"])
def test_a_checkpoint_of_jax_is_rejected_by_its_name(name: str, tmp_path: Path) -> None:
    write_files((tmp_path / name).parent, Path(name).name)
    line = refusal(tmp_path, errors.NotACheckpoint)
    assert "is an Orbax checkpoint of JAX, such as OpenPI writes, which is not read" in line
    assert line.endswith("convert it first: OpenPI has examples/convert_jax_model_to_pytorch.py")


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "last.ckpt", "policy.pkl", "a.pth"])
def test_a_pickle_is_rejected_by_its_name(name: str, tmp_path: Path) -> None:
    write_files(tmp_path, name)
    assert "pickles can run code and are never opened; save it as safetensors first" in refusal(
        tmp_path / name, errors.NotACheckpoint
    )


def test_a_config_is_rejected_and_its_folder_suggested(tmp_path: Path) -> None:
    write_files(tmp_path, "config.json")
    assert refusal(tmp_path / "config.json", errors.NotACheckpoint).endswith(
        f"is a configuration file, not a checkpoint; pass its folder: {tmp_path}"
    )


def test_any_other_file_is_rejected(tmp_path: Path) -> None:
    write_files(tmp_path, "README.md")
    assert "README.md: is not a .safetensors file; " in refusal(
        tmp_path / "README.md", errors.NotACheckpoint
    )


def test_two_indexes_are_rejected_by_name(tmp_path: Path) -> None:
    write_files(tmp_path, INDEX, "ema.safetensors.index.json")
    line = refusal(tmp_path, errors.NotACheckpoint)
    assert (
        f"contains 2 shard indexes: ema.safetensors.index.json, {INDEX}; pass the index file to use"
        in line
    )


def test_several_files_none_named_like_the_model_are_rejected(tmp_path: Path) -> None:
    write_files(tmp_path, "a.safetensors", "b.safetensors", "c.safetensors", "d.safetensors")
    line = refusal(tmp_path, errors.NotACheckpoint)
    assert (
        "contains 4 .safetensors files, none of them called model.safetensors: "
        "a.safetensors, b.safetensors, c.safetensors, …; pass the file" in line
    )


def test_shards_of_two_models_without_an_index_are_rejected(tmp_path: Path) -> None:
    write_files(tmp_path, *SHARDS, "ema-00001-of-00001.safetensors")
    assert "pass the file to use" in refusal(tmp_path, errors.NotACheckpoint)


@pytest.mark.parametrize("main", ["../../outside", "/", "..", "a\0b", "", "\ufffd"], ids=repr)
def test_a_cache_whose_main_has_no_snapshot_resolves_to_no_other(main: str, tmp_path: Path) -> None:
    write_files(tmp_path / "outside", "model.safetensors")
    folder = cache(tmp_path / "models--a--b", "aaaa", "bbbb")
    write_files(folder / "refs")
    (folder / "refs" / "main").write_text(main)
    with pytest.raises((errors.NotACheckpoint, errors.PathEscapes)):
        locate(str(folder))


@pytest.mark.parametrize(
    ("name", "meant"),
    [("norml", "normal"), ("normal/model.safetensor", "normal/model.safetensors")],
)
def test_a_misspelled_path_is_answered_with_the_one_beside_it(
    tmp_path: Path, name: str, meant: str
) -> None:
    write_files(tmp_path / "normal", "model.safetensors", "config.json")
    with pytest.raises(errors.PathNotFound) as caught:
        locate(str(tmp_path / name))
    assert str(caught.value).endswith(f"; did you mean {tmp_path / meant}?")


def test_a_path_like_no_other_is_answered_with_what_is_expected(tmp_path: Path) -> None:
    write_files(tmp_path, ".zzz-hidden", "normal")
    with pytest.raises(errors.PathNotFound) as caught:
        locate(str(tmp_path / "zzz-hidden"))
    assert "; expected a checkpoint folder" in str(caught.value)
