"""A complete run in two minutes on a CPU, offline: teacher, student, baseline, diff, table.

    python examples/quickstart/run.py [--out DIR] [--steps N]

All training is stock `lerobot-train`. The student and the baseline start from the teacher and train
for the same number of steps.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

HERE = Path(__file__).resolve().parent
STEPS, BATCH = 190, 16

ENVIRONMENT = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",  # the model is tiny: more threads would only wait for each other
    "PYTHONWARNINGS": "ignore",
}


def train(out: Path, data: Path, steps: int, *options: str) -> subprocess.Popen[bytes]:
    """Start stock `lerobot-train`, with its log in a file next to the run's folder."""
    command = [
        sys.executable, "-m", "lerobot.scripts.lerobot_train", "--dataset.repo_id=local/two-goals",
        f"--dataset.root={data}", f"--output_dir={out}", f"--steps={steps}",
        f"--batch_size={BATCH}", "--save_freq=0", "--log_freq=50", "--num_workers=1",
        "--dataloader_multiprocessing_context=fork", "--wandb.enable=false",
        "--policy.push_to_hub=false", "--policy.device=cpu", *options,
    ]  # fmt: skip
    with out.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)


def finish(name: str, run: subprocess.Popen[bytes], out: Path) -> Path:
    """Wait for a training run and return its checkpoint.

    When it failed, print the end of its log and exit.
    """
    if run.wait():
        sys.exit(f"training the {name} failed:\n{out.with_suffix('.log').read_text()[-2000:]}")
    return out / "checkpoints/last/pretrained_model"


def python(*arguments: object, stderr: BinaryIO | None = None) -> int:
    """Run a script with this Python. Returns its exit status."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=ENVIRONMENT, check=False, stderr=stderr
    ).returncode


def make_inputs(out: Path) -> None:
    """Make the VLM folder and the dataset, at the same time."""
    scripts = {"vlm_folder.py": out / "vlm", "make_dataset.py": out / "data"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / name), str(folder)],
            env=ENVIRONMENT,
            stderr=subprocess.DEVNULL,
        )
        for name, folder in scripts.items()
    ]
    if any(process.wait() for process in processes):
        sys.exit(
            "making the VLM folder or the dataset failed; run vlm_folder.py and make_dataset.py to "
            "see the error"
        )


def train_teacher(out: Path, steps: int) -> Path:
    """Train the teacher from random weights, and return its checkpoint."""
    architecture = (
        "--policy.type=smolvla", f"--policy.vlm_model_name={out / 'vlm'}",
        "--policy.load_vlm_weights=true", "--policy.num_vlm_layers=2",
        "--policy.resize_imgs_with_padding=[64,64]", "--policy.chunk_size=4",
        "--policy.n_action_steps=4", "--policy.max_action_dim=4",
        "--policy.optimizer_lr=8e-3", "--policy.scheduler_decay_lr=2e-4",
    )  # fmt: skip
    folder = out / "teacher"
    return finish("teacher", train(folder, out / "data", steps, *architecture), folder)


def train_students(out: Path, teacher: Path, steps: int) -> tuple[Path, Path]:
    """Train the student and the baseline, at the same time, and return their checkpoints.

    The baseline learns from the dataset's actions, as often at high noise as the student.
    """
    reflow = (
        "--policy.type=smolvla", "--policy.use_reflow=True",
        f"--policy.teacher_model_path={teacher}", "--policy.endpoint_mass=0.75",
        "--policy.optimizer_lr=5e-3", "--policy.scheduler_decay_lr=1e-4",
    )  # fmt: skip
    high_noise = (
        "--policy.mix_real_data=1",
        "--policy.real_time_sampling=endpoint_mixture",
        "--policy.straightness_freq=0",
    )
    student, baseline = out / "student", out / "baseline"
    student_run = train(student, out / "data", steps, *reflow)
    baseline_run = train(baseline, out / "data", steps, *reflow, *high_noise)
    return finish("student", student_run, student), finish("baseline", baseline_run, baseline)


def compare(teacher: Path, student: Path) -> None:
    """Print what `ckpt diff` shows of the two checkpoints."""
    if python("-m", "ckpt_tools", "diff", os.path.relpath(teacher), os.path.relpath(student)) > 1:
        sys.exit("ckpt diff could not compare the two checkpoints")


def evaluate(out: Path, teacher: Path, student: Path, baseline: Path) -> None:
    """Print the table of the evaluation. Its other output goes to a file."""
    compared = (
        f"--teacher={teacher}", f"--student={student}", f"--baseline={baseline}",
        f"--dataset-root={out / 'data'}", f"--out={out}",
    )  # fmt: skip
    with (out / "evaluate.log").open("wb") as log:
        if python(HERE / "evaluate.py", *compared, stderr=log):
            sys.exit(f"the evaluation failed:\n{(out / 'evaluate.log').read_text()[-2000:]}")


def gate(student: Path) -> None:
    """Print the gate's verdict on the student, which is not one to upload."""
    verdict = python("-m", "ckpt_tools", "gate", os.path.relpath(student))
    if verdict > 1:
        sys.exit("ckpt gate could not check the student")
    if verdict:
        print(
            "The gate is right about this toy: its VLM has random weights, and is a folder of this "
            "machine. A\nstudent of a pretrained VLM on the Hub passes.\n"
        )


def quickstart(out: Path, steps: int) -> None:
    """Run everything in the new folder `out`, with trainings of this many steps."""
    started = time.monotonic()

    def report(step: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {step}", flush=True)

    out.mkdir(parents=True)
    report("making a tiny VLM folder and a dataset of drives to two goals")
    make_inputs(out)
    report(f"training the teacher: stock lerobot-train --policy.type=smolvla, {steps} steps")
    teacher = train_teacher(out, steps)
    report(
        f"training the student and a baseline without a teacher, {steps} steps each, in parallel"
    )
    student, baseline = train_students(out, teacher, steps)
    report("comparing the checkpoints: ckpt diff teacher student")
    compare(teacher, student)
    report("evaluating all three on the same observations and noise")
    evaluate(out, teacher, student, baseline)
    report("asking the gate about the student: ckpt gate student")
    gate(student)
    report("done")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/quickstart"),
        help="output folder; an earlier quickstart in it is replaced (default: outputs/quickstart)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=STEPS,
        help=f"steps of each training; with fewer, the student has learned less (default: {STEPS})",
    )
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    if (out / "vlm/config.json").exists():
        shutil.rmtree(out)
    elif out.exists():
        sys.exit(f"{out} exists and is not an earlier quickstart; pass another --out")
    quickstart(out, arguments.steps)


if __name__ == "__main__":
    main()
