"""Stored pairs: the same loss as online, and the same pairs for any number of processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.pairs import (
    MANIFEST_NAME,
    PairsManifest,
    StoredPairs,
    open_pairs,
    read_manifest,
    shard_path,
)
from lerobot_policy_smolvla_reflow.processor_smolvla_reflow import (
    make_smolvla_reflow_pre_post_processors,
)
from safetensors.torch import load_file

from lerobot_policy_smolvla_reflow import ReflowError, SmolVLAReflowConfig
from tests.core.support import TWO_RANKS, lerobot_train, make_batch, python, train_arguments

pytestmark = pytest.mark.lerobot

MakeStudent = Callable[..., SmolVLAReflowPolicy]
COMMAND = "lerobot_policy_smolvla_reflow.pairs_command"
FRAMES, SHARD = 40, 16


def arguments(teacher: Path, dataset: Path, out: Path, *more: str) -> list[str]:
    return [
        f"--teacher={teacher}", "--dataset-repo-id=local/tiny", f"--dataset-root={dataset}",
        f"--out={out}", "--draws=2",
        "--batch-size=8", f"--shard-frames={SHARD}", "--device=cpu", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def pairs(
    teacher_folder: Path, dataset_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A complete folder of pairs."""
    out = tmp_path_factory.mktemp("pairs") / "pairs"
    python("-m", COMMAND, *arguments(teacher_folder, dataset_root, out))
    return out


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("pairs-*.safetensors"))}


def test_shards_cover_the_dataset_and_hold_the_manifests_noise(pairs: Path) -> None:
    manifest = read_manifest(pairs)
    assert (manifest.dataset_frames, manifest.shards) == (FRAMES, 3)
    assert [manifest.shape_of(number) for number in range(3)] == [
        [16, 2, 10, 8],
        [16, 2, 10, 8],
        [8, 2, 10, 8],
    ]
    for number in range(3):
        stored = load_file(shard_path(pairs, number))
        assert torch.equal(
            stored["z1"],
            torch.stack([manifest.noise_of(frame) for frame in manifest.frames_of(number)]),
        )
    assert torch.isfinite(stored["z0"]).all()


def test_two_workers_make_the_same_pairs_as_one(
    pairs: Path, teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    python(TWO_RANKS, "-m", COMMAND, *arguments(teacher_folder, dataset_root, tmp_path / "pairs"))
    assert shards(tmp_path / "pairs") == shards(pairs)
    assert (tmp_path / "pairs" / MANIFEST_NAME).read_text() == (pairs / MANIFEST_NAME).read_text()


def test_an_interrupted_run_continues_and_keeps_what_it_had(
    pairs: Path, teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pairs"
    shutil.copytree(pairs, folder)
    shard_path(folder, 1).unlink()
    shard_path(folder, 2).write_bytes(b"half")
    kept = shard_path(folder, 0).stat().st_mtime_ns
    python("-m", COMMAND, *arguments(teacher_folder, dataset_root, folder))
    assert shards(folder) == shards(pairs)
    assert shard_path(folder, 0).stat().st_mtime_ns == kept


def test_other_settings_do_not_continue_a_folder(
    pairs: Path, teacher_folder: Path, dataset_root: Path
) -> None:
    done = python(
        "-m", COMMAND, *arguments(teacher_folder, dataset_root, pairs, "--seed=1"), check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: `policy.pairs_path`: ")
    assert "was started with other settings or another teacher; pass another --out" in done.stderr


def real_batch(student: SmolVLAReflowPolicy, dataset_root: Path) -> dict[str, Any]:
    dataset = LeRobotDataset(
        "local/tiny",
        root=dataset_root,
        delta_timestamps={"action": [number / 10 for number in range(10)]},
    )
    preprocess, _ = make_smolvla_reflow_pre_post_processors(student.config)
    return preprocess(torch.utils.data.default_collate([dataset[index] for index in (0, 17, 39)]))


def test_the_loss_of_stored_pairs_is_the_loss_of_the_same_pairs_online(
    pairs: Path, make_student: MakeStudent, dataset_root: Path
) -> None:
    online, offline = make_student(), make_student(pairs_path=str(pairs))
    batch, time = real_batch(online, dataset_root), torch.tensor([1.0, 0.4, 0.7])
    seen: list[torch.Tensor] = []
    assert offline._pairs is not None
    inner = offline._pairs.lookup

    def spy(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        z0, z1 = inner(*arguments)
        seen.append(z1)
        return z0, z1

    offline._pairs.lookup = spy  # type: ignore[method-assign, assignment]  # a spy
    stored, measured = offline.forward(batch, time=time)
    # The pairs were made in other batches, in BF16.
    torch.testing.assert_close(
        stored, online.forward(batch, noise=seen[0], time=time)[0], rtol=2e-3, atol=0
    )
    assert "straightness_teacher" not in measured


def test_training_on_stored_pairs_holds_no_teacher(pairs: Path, make_student: MakeStudent) -> None:
    assert make_student(pairs_path=str(pairs))._teacher is None


def test_every_draw_of_a_frame_is_used(pairs: Path) -> None:
    stored, generator = StoredPairs(pairs, read_manifest(pairs)), torch.Generator().manual_seed(0)
    found = {
        stored.lookup({"index": torch.tensor([5])}, generator)[1].numpy().tobytes()
        for _ in range(20)
    }
    assert found == {draw.numpy().tobytes() for draw in stored.manifest.noise_of(5)}


def test_lerobot_train_runs_on_stored_pairs(
    pairs: Path, teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    native = (
        "--policy.type=smolvla_reflow",
        f"--policy.teacher_model_path={teacher_folder}",
        f"--policy.pairs_path={pairs}",
    )
    done = lerobot_train(*train_arguments(dataset_root, tmp_path / "run", *native))
    assert "straightness_student:" in done.stdout + done.stderr
    assert (tmp_path / "run/checkpoints/last/pretrained_model/model.safetensors").is_file()


# --- folders that do not fit ----------------------------------------------------------------------


def changed(pairs: Path, out: Path, **fields: Any) -> Path:
    shutil.copytree(pairs, out)
    (out / MANIFEST_NAME).write_text(replace(read_manifest(pairs), **fields).to_json())
    return out


class Metadata:
    total_frames = FRAMES + 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"steps": 50},
            (
                "`policy.teacher_num_steps`: is 10, but .* was made with 50; pass "
                "--policy.teacher_num_steps=50"
            ),
        ),
        ({"solver": "heun"}, "`policy.solver`: is 'euler', but .* was made with 'heun'"),
        ({"teacher_sha256": "0"}, "was made with another teacher"),
        ({"format": "2"}, "this version reads"),
        (
            {"dataset_frames": 100},
            "is missing 5 of 7 shards, such as 2; run lerobot-reflow-pairs again",
        ),
    ],
)
def test_pairs_made_otherwise_are_refused(
    pairs: Path, teacher_folder: Path, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    config = SmolVLAReflowConfig(
        teacher_model_path=str(teacher_folder),
        device="cpu",
        pairs_path=str(changed(pairs, tmp_path / "p", **change)),
    )
    with pytest.raises(ReflowError, match=sentence):
        open_pairs(config, None)


def test_pairs_of_another_dataset_are_refused(pairs: Path, teacher_folder: Path) -> None:
    config = SmolVLAReflowConfig(
        teacher_model_path=str(teacher_folder), device="cpu", pairs_path=str(pairs)
    )
    with pytest.raises(
        ReflowError, match="covers 40 frames, but the dataset has 41; make pairs of this dataset"
    ):
        open_pairs(config, Metadata())


@pytest.mark.parametrize("text", [None, "", "[]", '{"format": 1}'])
def test_a_folder_without_a_manifest_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(
        ReflowError,
        match=f"has no readable {MANIFEST_NAME} .* make the pairs with lerobot-reflow-pairs",
    ):
        read_manifest(tmp_path)


def test_a_batch_that_cannot_be_looked_up_is_refused(
    pairs: Path, make_student: MakeStudent
) -> None:
    student, batch = make_student(pairs_path=str(pairs)), make_batch()
    with pytest.raises(ReflowError, match="covers frames 0 to 39, but the batch has frame 40"):
        student.forward(batch | {"index": torch.tensor([0, 1, 40])})
    del batch["index"]
    with pytest.raises(ReflowError, match="the batch has no 'index'"):
        student.forward(batch)


def test_a_manifest_survives_its_text(pairs: Path) -> None:
    manifest = read_manifest(pairs)
    assert PairsManifest(**json.loads(manifest.to_json())) == manifest
    assert not [path for path in pairs.iterdir() if path.name.startswith((".", "tmp"))]
