"""Two CPU processes under accelerate (gloo): a clean checkpoint, equal weights, different noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from tests.core.surroundings import python, train_arguments

pytestmark = pytest.mark.lerobot

TRAIN_AND_TELL = """
import hashlib, json, os, sys
from pathlib import Path
from lerobot.scripts import lerobot_train
from lerobot.utils.import_utils import register_third_party_plugins
from lerobot_policy_smolvla_reflow import modeling_smolvla_reflow as modeling

folder, seen = Path(os.environ["TELL"]), {"noise": []}
inner_update, inner_draw = lerobot_train.update_policy, modeling.draw

def update_policy(metrics, policy, *rest, **named):
    seen["policy"] = policy
    return inner_update(metrics, policy, *rest, **named)

def draw(*arguments):
    drawn = inner_draw(*arguments)
    seen["noise"].append(hashlib.sha256(drawn.z1_BTA.numpy().tobytes()).hexdigest())
    return drawn

lerobot_train.update_policy, modeling.draw = update_policy, draw
lerobot_train.main()
rank = int(os.environ["RANK"])
digest = hashlib.sha256()
for name, tensor in sorted(seen["policy"].module.state_dict().items()):
    digest.update(name.encode() + tensor.float().numpy().tobytes())
(folder / f"{rank}.json").write_text(json.dumps({"weights": digest.hexdigest(), "noise": seen["noise"], "kind": type(seen["policy"]).__name__}))
"""


def two_processes(script: Path, *arguments: str, env: dict[str, str]) -> None:
    # `accelerate launch` starts several processes for GPUs only; on the CPU torch's own launcher does what it would do.
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    python(*launch, script, *arguments, env={"ACCELERATE_USE_CPU": "true", **env})


def test_two_processes_train_one_student(teacher_folder: Path, dataset_root: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAIN_AND_TELL)
    arguments = train_arguments(
        dataset_root, tmp_path / "run", "--policy.type=smolvla", "--policy.use_reflow=True",
        f"--policy.teacher_model_path={teacher_folder}", "--policy.mix_real_data=0.3", "--policy.ema_decay=0.9",
    )  # fmt: skip
    two_processes(script, *arguments, env={"TELL": str(tmp_path)})
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["kind"] == "DistributedDataParallel"
    assert first["weights"] == second["weights"]
    assert len(first["noise"]) == 4
    assert not set(first["noise"]) & set(second["noise"])
    saved = tmp_path / "run/checkpoints/last/pretrained_model"
    SmolVLAPolicy.from_pretrained(saved, strict=True)
    assert json.loads((saved / "config.json").read_text())["type"] == "smolvla"
