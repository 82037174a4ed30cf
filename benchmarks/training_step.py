"""A full-size reflow step with and without the shared prefix, and on stored pairs.

Against plain LeRobot training, in one process.

    python -m benchmarks.training_step [--cameras 1 3] [--rows 1] [--rounds 3] [--threads 2] [--f32]

A step is forward and backward. The ways take turns, so that a busy machine slows all of them; the
figure is the median. Also printed: how far loss and gradients are apart with and without the shared
prefix (`--f32`: 1e-5 is promised).
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.loading import load_policy
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy

from benchmarks.full_size import batch, make_teacher, make_vlm
from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig

Step = Callable[[], Tensor]


class OnePair:
    """Stands for a folder of stored pairs.

    The same pair for every frame, so that no disk is measured.
    """

    def __init__(self, rows: int) -> None:
        self.z0_BTA, self.z1_BTA = torch.randn(
            2, rows, 50, 32, generator=torch.Generator().manual_seed(0)
        ).unbind()

    def lookup(
        self, _batch: dict[str, Tensor], _generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(z0, z1)."""
        return self.z0_BTA, self.z1_BTA


def ways(
    teacher: Path, rows: int, inputs: dict[str, Tensor], *, f32: bool
) -> tuple[dict[str, Step], SmolVLAReflowPolicy]:
    """The four steps, on one set of weights for the reflow ways, and the student they share."""
    student = SmolVLAReflowPolicy(
        SmolVLAReflowConfig(
            teacher_model_path=str(teacher), device="cpu", share_vlm=True, straightness_freq=0
        )
    )
    stock = load_policy(str(teacher))[0]
    assert isinstance(stock, SmolVLAPolicy)
    stock.requires_grad_(True)
    stock.model.vlm_with_expert.set_requires_grad()
    if f32:
        student.float()
        stock.float()
    noise, time_B = torch.randn(rows, 50, 32), torch.full((rows,), 0.5)

    def reflow(share_prefix: bool, pairs: OnePair | None) -> Step:
        def step() -> Tensor:
            student.config.share_prefix = share_prefix
            student._pairs = pairs  # type: ignore[assignment]  # one pair in place of a folder of them
            student.zero_grad()
            loss, _ = student.forward(inputs, noise, time_B)
            loss.backward()
            return loss.detach()

        return step

    def plain() -> Tensor:
        stock.zero_grad()
        loss, _ = stock.forward(dict(inputs), noise, time_B)
        loss.backward()
        detached: Tensor = loss.detach()
        return detached

    student.train()
    stock.train()
    steps: dict[str, Step] = {
        "reflow, teacher pass + student pass": reflow(False, None),
        "reflow, shared prefix": reflow(True, None),
        "plain LeRobot SmolVLA": plain,
        "reflow, stored pairs": reflow(True, OnePair(rows)),
    }
    return steps, student


def gradients(student: SmolVLAReflowPolicy) -> dict[str, Tensor]:
    """A copy of the student's gradients."""
    return {
        name: parameter.grad.clone()
        for name, parameter in student.named_parameters()
        if parameter.grad is not None
    }


def measure(cameras: int, given: argparse.Namespace, folder: Path) -> None:
    """Prints the figures for one number of cameras."""
    teacher = make_teacher(folder / f"teacher{cameras}", folder / "vlm", cameras)
    inputs = batch(given.rows, cameras)
    steps, student = ways(teacher, given.rows, inputs, f32=given.f32)
    (separate, shared, plain, stored) = steps
    losses = {separate: steps[separate]()}
    first = gradients(student)
    losses[shared] = steps[shared]()
    apart = max(
        float((gradient - first[name]).norm() / (first[name].norm() + 1e-20))
        for name, gradient in gradients(student).items()
    )
    seconds: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(given.rounds):
        for way, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[way].append(time.perf_counter() - start)
    print(
        f"\n{cameras} camera{'s' if cameras > 1 else ''}, {given.rows} rows,"
        f" {'F32' if given.f32 else 'BF16 as trained'}"
    )
    for way, taken in seconds.items():
        print(f"  {way:<38}{median(taken):>8.2f} s   ({min(taken):.2f} to {max(taken):.2f})")
    print(
        "  shared prefix is faster by            "
        f" {median(seconds[separate]) / median(seconds[shared]):>8.2f} times"
    )
    print(
        "  stored pairs, time of a plain step    "
        f" {median(seconds[stored]) / median(seconds[plain]):>8.2f} times"
    )
    print(
        f"  loss apart {abs(float(losses[shared] / losses[separate]) - 1):.1e}, gradients"
        f" apart {apart:.1e} (largest of all tensors, relative)"
    )
    print(
        (
            "  peak resident set so far"
            f" {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
        ),
        flush=True,
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--f32", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        make_vlm(Path(folder) / "vlm", weights=False)
        for cameras in given.cameras:
            measure(cameras, given, Path(folder))


if __name__ == "__main__":
    main()
