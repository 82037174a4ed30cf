"""What is a checkpoint by the names in folders, and what is not."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.audit.discover import FlatTree, walk
from ckpt_tools.audit.model import FileState
from ckpt_tools.audit.sources import candidates
from ckpt_tools.checkpoint.locate import locate
from ckpt_tools.errors import CkptError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ckpt_tools.audit.model import Candidate


def found(*paths: str) -> dict[str, list[str]]:
    """What is found among these paths: the files of each checkpoint, or why it cannot be judged."""
    tree = FlatTree(tuple(FileState(path, 1) for path in paths))
    return {
        one.path: [one.trouble] if one.trouble else sorted(file.path for file in one.files)
        for one in walk(tree)
    }


def make(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"{}")
    return root


def local(root: Path, only: Iterable[str] = ()) -> dict[str, Candidate]:
    """The candidates below a folder by their paths in it."""
    below = candidates([str(root)], only=only)
    return {os.path.relpath(one.location, root): one for one in below}


# --- by names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("model.safetensors", "config.json", "tokenizer.json"),
        ("model.safetensors.index.json", "model-00001-of-00002.safetensors"),
        ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        ("adapter_model.safetensors", "adapter_config.json"),
        ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"),
        ("model.safetensors", "model.fp16.safetensors", "config.json"),
        ("model.safetensors", "policy_preprocessor_step_0_normalizer.safetensors"),
        ("model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors"),
        ("anything.safetensors", "config.json"),
        ("model.safetensors", "pytorch_model.bin", "original/consolidated.00.pth"),
        ("model.safetensors", "onnx/model.onnx", "assets/a/b.txt"),
    ],
)
def test_a_folder_is_one_checkpoint_with_all_of_its_files(names: tuple[str, ...]) -> None:
    assert found(*(f"a/b/{name}" for name in names)) == {"a/b": sorted(names)}


def test_a_walk_leaves_nothing_to_the_garbage_collector() -> None:
    """The command runs without one at first, and a walk can have a hundred thousand folders."""
    paths = tuple(FileState(f"{at}/model.safetensors", 1) for at in range(100))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in walk(FlatTree(paths))) == 100
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_files_that_no_folder_speaks_for_are_each_its_own() -> None:
    """`ckpt verify` refuses such a folder, and takes each of these."""
    names = ("flux.safetensors", "vae.safetensors", "config.yaml", "._vae.safetensors")
    assert found(*names) == {name: [name] for name in names[:2]}
    assert found("a/x.safetensors", "a/b/data.bin") == {"a/x.safetensors": ["x.safetensors"]}
    index = "{}.safetensors.index.json".format
    shard = "{}-00001-of-00001.safetensors".format
    assert found(index("a"), shard("a"), index("b"), shard("b"), shard("c"), "d.safetensors") == {
        index("a"): sorted([index("a"), shard("a")]),
        index("b"): sorted([index("b"), shard("b")]),
        shard("c"): [shard("c")],
        "d.safetensors": ["d.safetensors"],
    }


def test_a_collection_with_a_file_called_model_has_the_others_too() -> None:
    names = ["model.safetensors", "other.safetensors", "third.safetensors"]
    assert found(*names) == {"": [names[0]], names[1]: [names[1]], names[2]: [names[2]]}
    assert found(*names, "config.json") == {"": sorted([*names, "config.json"])}


def test_a_checkpoint_at_the_top_of_much_else_has_not_all_of_it() -> None:
    files = [f"data/{at}/{number}" for at in range(12) for number in range(1000)]
    (kept,) = found("model.safetensors", *files).values()
    assert 10_000 <= len(kept) <= 11_001


def test_a_pipeline_is_one_checkpoint_and_the_steps_of_its_training_are_others() -> None:
    pipeline = (
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model.safetensors",
    )
    step = "checkpoint-500/unet/diffusion_pytorch_model.safetensors"
    assert found(*pipeline, step) == {
        "": sorted(pipeline),
        "checkpoint-500/unet": ["diffusion_pytorch_model.safetensors"],
    }
    assert found("model_index.json", "unet/config.json") == {}


def test_a_sentence_transformer_is_one_checkpoint() -> None:
    model = ("modules.json", "config_sentence_transformers.json", "model.safetensors")
    modules = ("1_Pooling/config.json", "2_Dense/model.safetensors")
    assert found(*model, *modules) == {"": sorted((*model, *modules))}
    routed = ("query_0_Static/model.safetensors", "document_0_MLM/model.safetensors")
    assert found("modules.json", *routed) == {"": sorted(("modules.json", *routed))}
    other = found("modules.json", "a/model.safetensors", "b/model.safetensors")
    assert list(other) == ["a", "b"]


def test_every_step_of_a_run_is_one_without_its_training_state() -> None:
    run = "outputs/run/checkpoints"
    steps = [f"{run}/{step}/pretrained_model/model.safetensors" for step in ("000100", "000200")]
    state = f"{run}/000100/training_state/optimizer_state.safetensors"
    assert list(found(*steps, state)) == [step.rpartition("/")[0] for step in steps]


def test_a_trainer_s_folder_and_its_steps_do_not_share_files() -> None:
    assert found("model.safetensors", "checkpoint-9/model.safetensors", "runs/events") == {
        "checkpoint-9": ["model.safetensors"],
        "": ["model.safetensors", "runs/events"],
    }


@pytest.mark.parametrize(
    ("names", "at", "words"),
    [
        (("pytorch_model.bin", "config.json"), "", "only pickles such as pytorch_model.bin"),
        (("policy_best.pt", "config.json"), "", "only pickles such as policy_best.pt"),
        (("sd-v1.ckpt",), "", "only pickles such as sd-v1.ckpt"),
        (("consolidated.00.pth", "params.json"), "", "only pickles such as consolidated.00.pth"),
        (("_CHECKPOINT_METADATA", "d/0"), "", "Orbax checkpoint of JAX"),
        (("params/_METADATA", "train_state/_METADATA", "assets/x.json"), "", "Orbax"),
        (("model.safetensors/x",), "", "is a folder, not a file"),
    ],
)
def test_what_cannot_be_judged_is_found_with_the_reason(
    names: tuple[str, ...], at: str, words: str
) -> None:
    assert list(found(*names)) == [at]
    assert words in found(*names)[at][0]
    assert list(found(*(f"x/{name}" for name in names))) == ["x"]


@pytest.mark.parametrize(
    "names",
    [
        ("optimizer.pt", "rng_state.pth.tar", "events.out"),
        ("data.bin", "vocab.pkl"),
        ("config.json", "tokenizer.json"),
        ("model.gguf",),
        ("config.json", "model.bin", "vocabulary.txt"),
        ("config.json", "ggml-model.bin"),
        ("config.json", "optimizer.pt", "training_args.bin"),
        (".git/lfs/model.safetensors", "__pycache__/model.safetensors"),
        (".cache/huggingface/download/model.safetensors", "README.md"),
        ("datasets--a--b/snapshots/x/model.safetensors",),
        (".ckpt-work/model.safetensors", ".x.ckpt-partial/model.safetensors"),
        ("venv/lib/site-packages/p/tests/model.safetensors",),
        ("params/lr.json", "train_state/notes.txt"),
    ],
)
def test_what_is_no_checkpoint_is_not_found(names: tuple[str, ...]) -> None:
    assert found(*names) == {}


# --- this machine ---------------------------------------------------------------------------------


def test_what_is_found_is_what_verify_takes(tmp_path: Path) -> None:
    """Every location is accepted, but for those that are found with the reason."""
    make(
        tmp_path,
        *("a/model.safetensors", "b/x.safetensors", "b/y.safetensors", "c/pytorch_model.bin"),
        *("d/params/_METADATA", "e/m.safetensors.index.json", "e/n.safetensors.index.json"),
        "run/checkpoints/000100/pretrained_model/model.safetensors",
    )
    below = local(tmp_path)
    assert len(below) == 8
    for one in below.values():
        if one.trouble:
            with pytest.raises(CkptError) as refused:
                locate(one.location)
            assert one.trouble == f"{refused.value.what}; {refused.value.next}"
        else:
            locate(one.address)


def test_last_is_a_link_and_counted_once(tmp_path: Path) -> None:
    steps = make(tmp_path, "run/checkpoints/000100/pretrained_model/model.safetensors")
    (steps / "run/checkpoints/last").symlink_to("000100")
    (steps / "run/checkpoints/000050").symlink_to("000100")
    assert list(local(tmp_path)) == ["run/checkpoints/000100/pretrained_model"]


def test_links_are_followed_to_other_folders_and_loops_end(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere", "x/model.safetensors")
    tree = make(tmp_path / "tree", "a/model.safetensors")
    make(tmp_path, "beside/model.safetensors")  # a link to what contains the tree is no wish for it
    (tree / "loop").symlink_to(tree)
    (tree / "up").symlink_to(tmp_path)
    (tree / "itself").symlink_to("itself")
    (tree / "disk").symlink_to(elsewhere)
    (tree / "again").symlink_to(elsewhere / "x")
    (elsewhere / "back").symlink_to(tree)
    assert sorted(os.path.realpath(tree / one) for one in local(tree)) == [
        str(elsewhere / "x"),
        str(tree / "a"),
    ]


def test_a_snapshot_in_the_cache_has_the_hashes_of_its_blobs(tmp_path: Path) -> None:
    sha256, oid, commit = "a" * 64, "b" * 40, "c" * 40
    repository = make(tmp_path / "models--o--n", f"blobs/{sha256}", f"blobs/{oid}", "refs/main")
    for old in ("d" * 40, commit):
        folder = repository / "snapshots" / old
        folder.mkdir(parents=True)
        (folder / "model.safetensors").symlink_to(f"../../blobs/{sha256}")
        (folder / "config.json").symlink_to(f"../../blobs/{oid}")
        (folder / "gone.json").symlink_to("../../blobs/gone")
    below = local(tmp_path)
    assert list(below) == [f"models--o--n/snapshots/{old}" for old in (commit, "d" * 40)]
    one = below[f"models--o--n/snapshots/{commit}"]
    assert (one.owner, one.name, one.revision) == ("o", "o/n", "")
    assert [(file.path, file.size, file.etag, file.sha256) for file in one.files] == [
        ("config.json", 2, oid, ""),
        ("gone.json", 0, "", ""),
        ("model.safetensors", 2, "", sha256),
    ]


def test_names_that_are_not_unicode_are_said_and_do_not_stop_anything(tmp_path: Path) -> None:
    make(tmp_path, "a/model.safetensors", "a/\udcff.txt", "b\udcff/model.safetensors")
    below = {one.name: one for one in local(tmp_path).values()}
    assert [file.path for file in below["a"].files] == ["model.safetensors", r"\udcff.txt"]
    assert "not UTF-8" in below[r"b\udcff"].trouble
    assert all(one.location.isascii() for one in below.values())


def test_a_folder_that_cannot_be_listed_is_a_candidate_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a/model.safetensors", "b/model.safetensors", "a/inside/x")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.path.basename(path) in {"b", "inside"}:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    below = local(tmp_path)
    assert list(below) == ["a", "b"]
    assert (below["a"].trouble, below["a"].listed) == ("", True)
    assert below["b"].trouble.startswith("permission denied; ask for read access")
    assert not below["b"].listed


def test_a_file_is_itself_and_what_is_not_there_says_so(tmp_path: Path) -> None:
    make(tmp_path, "x.safetensors")
    here, gone = str(tmp_path / "x.safetensors"), str(tmp_path / "gone")
    file, missing = candidates([here, gone, here])
    assert (file.location, file.files[0].path, file.trouble) == (here, "x.safetensors", "")
    assert file.modified.endswith("Z")
    assert missing.trouble.startswith("no such file or directory; expected a checkpoint")
    assert not missing.listed


def test_only_what_is_wanted_is_found_and_nested_sources_do_not_repeat_it(tmp_path: Path) -> None:
    make(tmp_path, "a/model.safetensors", "b/model.safetensors")
    assert list(local(tmp_path, only=["*/a", "*/c"])) == ["a"]
    twice = list(candidates([str(tmp_path / "b"), str(tmp_path), str(tmp_path / "a")]))
    assert [os.path.basename(one.location) for one in twice] == ["b", "a"]
