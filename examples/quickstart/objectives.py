"""Train a one-step student with every objective on the quickstart's task, and compare them.

    python examples/quickstart/run.py --out OUT
    python examples/quickstart/objectives.py --out OUT [--only NAME ...] [--seed N]

All students start from the quickstart's teacher and train for as many steps of as many rows. A
student that is there already is not trained again. Prints a table; all numbers are computed here.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from evaluate import (  # type: ignore[import-not-found]  # beside this script
    SAMPLES,
    LoadedPolicy,
    Row,
    shared_frames,
)
from run import STEPS, finish, python, train  # type: ignore[import-not-found]  # beside this script

DRAWS = 8
PAIRS = "--policy.pairs_path={pairs}"  # in place of teacher passes, where an objective can use them
TEACHER_POSITIVES = ("--policy.positives=teacher", PAIRS)
STUDENTS = {
    "reflow": ("--policy.objective=reflow", "--policy.endpoint_mass=0.75", PAIRS),
    "grid": ("--policy.objective=grid", PAIRS),
    "grid, pseudo-huber": ("--policy.objective=grid", "--policy.loss=pseudo_huber", PAIRS),
    "snapflow": ("--policy.objective=snapflow",),
    "consistency": ("--policy.objective=consistency",),
    "drift, demonstrations": ("--policy.objective=drift",),
    "drift, teacher": ("--policy.objective=drift", *TEACHER_POSITIVES),
    "imle, demonstrations": ("--policy.objective=imle",),
    "imle, teacher": ("--policy.objective=imle", *TEACHER_POSITIVES),
    "regression": ("--policy.objective=regression",),
    "flow": ("--policy.objective=flow", "--policy.endpoint_mass=0.75"),
}


def make_pairs(out: Path, teacher: Path) -> Path:
    """Store the teacher's end points of every frame, once for all objectives that use them."""
    pairs = out / "pairs"
    command = (
        "-m", "lerobot_policy_smolvla_reflow.pairs_command", f"--teacher={teacher}",
        "--dataset-repo-id=local/two-goals", f"--dataset-root={out / 'data'}", f"--out={pairs}",
        f"--draws={DRAWS}", "--device=cpu", "--batch-size=64",
    )  # fmt: skip
    with (out / "pairs.log").open("wb") as log:
        if python(*command, stderr=log):
            sys.exit(f"making the pairs failed:\n{(out / 'pairs.log').read_text()[-2000:]}")
    return pairs


def train_student(out: Path, name: str, pairs: Path, steps: int, seed: int) -> tuple[Path, float]:
    """A student's checkpoint, and the seconds of its training; 0 when it was there."""
    folder = out / "objectives" / f"{name.replace(', ', '-')}-{seed}"
    checkpoint = folder / "checkpoints/last/pretrained_model"
    if checkpoint.exists():
        return checkpoint, 0.0
    folder.parent.mkdir(exist_ok=True)
    options = (
        "--policy.type=smolvla_reflow",
        f"--policy.teacher_model_path={out / 'teacher/checkpoints/last/pretrained_model'}",
        "--policy.optimizer_lr=5e-3", "--policy.scheduler_decay_lr=1e-4", f"--seed={seed}",
        *(option.format(pairs=pairs) for option in STUDENTS[name]),
    )  # fmt: skip
    started = time.monotonic()
    finish(name, train(folder, out / "data", steps, *options), folder)
    return checkpoint, time.monotonic() - started


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/quickstart"))
    parser.add_argument("--steps", type=int, default=STEPS, help=f"(default: {STEPS})")
    parser.add_argument("--seed", type=int, default=1000, help="(default: 1000)")
    parser.add_argument("--only", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    options = parser.parse_args()
    out = options.out.resolve()
    teacher_folder = out / "teacher/checkpoints/last/pretrained_model"
    if not teacher_folder.exists():
        sys.exit(f"{out} has no teacher; run run.py --out {options.out} first")
    frames = shared_frames(out / "data")
    teacher = LoadedPolicy("teacher", teacher_folder, frames)
    shape = (SAMPLES, teacher.policy.config.chunk_size, teacher.policy.config.max_action_dim)
    z1_BTA = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    reference_BTA = teacher.act(z1_BTA, 10).z0_BTA
    many, one = (teacher.measure(z1_BTA, steps, reference_BTA) for steps in (10, 1))
    pairs = make_pairs(out, teacher_folder)
    print(f"{'policy':<24}{'steps':>6}{'error':>8}{'share':>8}{'reaches a goal':>16}{'seconds':>9}")

    def show(row: Row, seconds: float = 0.0) -> None:
        print(
            f"{row.policy:<24}{row.steps:>6}{row.error:>8.3f}{row.error / one.error:>8.3f}"
            f"{row.reached:>16.1%}{seconds:>9.0f}",
            flush=True,
        )

    show(many)
    show(one)
    for name in options.only:
        checkpoint, seconds = train_student(out, name, pairs, options.steps, options.seed)
        student = LoadedPolicy(name, checkpoint, frames)
        show(student.measure(z1_BTA, 1, reference_BTA), seconds)


if __name__ == "__main__":
    main()
