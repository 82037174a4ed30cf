"""Two CPU processes with DDP and FSDP: clean checkpoints, equal weights, different noise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.torch import load_file

from tests.core.support import TWO_RANKS, train_arguments
from tests.support import forked

FSDP_ON_CPU = Path(__file__).with_name("fsdp_on_cpu.py")
WEIGHTS = "000004/pretrained_model/model.safetensors"

pytestmark = pytest.mark.lerobot

TRAIN_AND_REPORT = """
import hashlib, json, os, sys
from pathlib import Path
from lerobot.scripts import lerobot_train
from lerobot.utils.import_utils import register_third_party_plugins
from lerobot_policy_smolvla_reflow import modeling_smolvla_reflow as modeling

folder, seen = Path(os.environ["REPORT"]), {"noise": []}
inner_update, inner_draw = lerobot_train.update_policy, modeling.sample_step

def update_policy(metrics, policy, *rest, **named):
    seen["policy"] = policy
    return inner_update(metrics, policy, *rest, **named)

def draw(*arguments):
    drawn = inner_draw(*arguments)
    seen["noise"].append(hashlib.sha256(drawn.z1_BTA.numpy().tobytes()).hexdigest())
    return drawn

lerobot_train.update_policy, modeling.sample_step = update_policy, draw
lerobot_train.main()
rank = int(os.environ["RANK"])
digest = hashlib.sha256()
for name, tensor in sorted(seen["policy"].module.state_dict().items()):
    digest.update(name.encode() + tensor.float().numpy().tobytes())
kind = type(seen["policy"]).__name__
report = {"weights": digest.hexdigest(), "noise": seen["noise"], "kind": kind}
(folder / f"{rank}.json").write_text(json.dumps(report))
"""


def two_processes(script: Path, *arguments: str, **environment: str) -> str:
    """Run a training script in two processes. Returns its log."""
    libraries = forked.libraries()
    done = libraries.run(
        TWO_RANKS, script, *arguments, env={**libraries.environment, **environment}
    )
    forked.checked(done)
    return done.stdout + done.stderr


def test_two_processes_train_one_student(
    teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAIN_AND_REPORT)
    arguments = train_arguments(
        dataset_root, tmp_path / "run", "--policy.type=smolvla", "--policy.use_reflow=True",
        f"--policy.teacher_model_path={teacher_folder}", "--policy.mix_real_data=0.3",
        "--policy.ema_decay=0.9",
    )  # fmt: skip
    two_processes(script, *arguments, REPORT=str(tmp_path))
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["kind"] == "DistributedDataParallel"
    assert first["weights"] == second["weights"]
    assert len(first["noise"]) == 4
    assert not set(first["noise"]) & set(second["noise"])
    saved = tmp_path / "run/checkpoints/last/pretrained_model"
    SmolVLAPolicy.from_pretrained(saved, strict=True)
    assert json.loads((saved / "config.json").read_text())["type"] == "smolvla"


def test_under_fsdp_the_checkpoint_has_the_teachers_dtypes_and_a_resume_is_exact(
    teacher_folder: Path, dataset_root: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = train_arguments(
        dataset_root,
        run,
        "--policy.type=smolvla_reflow",
        f"--policy.teacher_model_path={teacher_folder}",
    )
    log = two_processes(FSDP_ON_CPU, *arguments)
    assert "Student and teacher run the prefix separately" in log
    SmolVLAPolicy.from_pretrained(run / "checkpoints/last/pretrained_model", strict=True)
    straight, teacher = (
        load_file(run / "checkpoints" / WEIGHTS),
        load_file(teacher_folder / "model.safetensors"),
    )
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in straight.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in teacher.items()
    }
    moved = {name for name in straight if not torch.equal(straight[name], teacher[name])}
    assert moved
    assert not any(".vlm." in name for name in moved)
    shutil.copytree(run / "checkpoints/000002", tmp_path / "again/checkpoints/000002")
    config = tmp_path / "again/checkpoints/000002/pretrained_model/train_config.json"
    two_processes(
        FSDP_ON_CPU,
        f"--config_path={config}",
        "--resume=true",
        f"--output_dir={tmp_path / 'again'}",
    )
    assert (tmp_path / "again/checkpoints" / WEIGHTS).read_bytes() == (
        run / "checkpoints" / WEIGHTS
    ).read_bytes()
