"""Full-size SmolVLA on a GPU: inference at 1 to 10 steps, and training steps by batch size.

    python -m benchmarks.gpu [--rows 8 32 64] [--cameras 2] [--rounds 20] [--compile MODE]
                             [--objectives NAME ...] [--size tiny --device cpu]

Inference is stock `SmolVLAPolicy` with one observation, eager and (`--compile`) as LeRobot compiles
it with `compile_model=true` and this `compile_mode`; its default, max-autotune, takes more than
eight minutes to compile one step. Training is forward, backward and AdamW on what SmolVLA trains;
plain LeRobot training, the ways of the plugin and its other objectives take turns. Random weights:
speed and memory do not depend on their values. A tiny model on a CPU shows that it runs, and
nothing else.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.loading import load_policy
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES

from benchmarks.full_size import batch, make_teacher, make_vlm
from benchmarks.training_step import OnePair
from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig

STEPS = (1, 10, 2, 4)
Way = Callable[[Path, int, str], SmolVLAPolicy]  # (teacher, rows, device) -> what is trained


def wait(device: str) -> None:
    """Wait until the device is idle."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], rounds: int, device: str, warm_up: int = 3) -> list[float]:
    """Wall-clock seconds of each round, with the device idle before and after."""
    for _ in range(warm_up):
        work()
    found = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - start)
    return found


def stock(teacher: Path, device: str) -> SmolVLAPolicy:
    """The checkpoint as stock LeRobot has it on a device."""
    policy = load_policy(str(teacher))[0].to(device)
    assert isinstance(policy, SmolVLAPolicy)
    policy.config.device = device
    return policy


def inference(teacher: Path, cameras: int, rounds: int, device: str, *, mode: str) -> None:
    """Print the time of one chunk of actions by number of Euler steps."""
    policy = stock(teacher, device)
    inputs = {name: value.to(device) for name, value in batch(1, cameras).items()}
    inputs.pop("action")
    eager = policy.model.sample_actions
    print(f"\ninference, one observation, {cameras} cameras, median of {rounds} (minimum)")
    for how in ("eager", *((mode,) if mode else ())):
        totals = {}
        for steps in STEPS:
            policy.config.num_steps = policy.model.config.num_steps = steps
            if how == mode:
                torch._dynamo.reset()
                policy.model.sample_actions = torch.compile(eager, mode=mode)
            start = time.perf_counter()
            with torch.no_grad():
                taken = seconds(lambda: policy.predict_action_chunk(dict(inputs)), rounds, device)
            totals[steps] = median(taken)
            print(
                f"  {how:<16}{steps:>3} steps  {1e3 * median(taken):8.2f} ms"
                f"  ({1e3 * min(taken):.2f})   all {time.perf_counter() - start:.0f} s",
                flush=True,
            )
        step = (totals[10] - totals[1]) / 9
        print(
            f"  {how:<16}a denoising step {1e3 * step:.2f} ms, the rest"
            f" {1e3 * (totals[1] - step):.2f} ms; 10 steps take {totals[10] / totals[1]:.2f} times"
            " one",
            flush=True,
        )
    policy.model.sample_actions = eager


def training(teacher: Path, inputs: dict[str, Tensor], rounds: int, ways: dict[str, Way]) -> None:
    """Print the time and the memory of a training step of each way, each built by itself."""
    rows, device = len(inputs["index"]), inputs["index"].device.type
    print(f"\ntraining, {rows} rows, median of {rounds}, AdamW included")
    base = 0.0
    for way, make in ways.items():
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            taken = _step_seconds(make(teacher, rows, device), inputs, rounds, device)
        except torch.OutOfMemoryError:
            print(f"  {way:<32} does not fit", flush=True)
            continue
        base = base or taken
        memory = torch.cuda.max_memory_allocated() if device == "cuda" else 0
        print(
            f"  {way:<32}{1e3 * taken:8.1f} ms  {taken / base:5.2f}  {rows / taken:7.1f} rows/s"
            f"  {memory / 1e9:6.2f} GB"
            f"  {20_000 * taken / 3600:6.2f} h for 20,000 steps",
            flush=True,
        )


def _step_seconds(
    policy: SmolVLAPolicy, inputs: dict[str, Tensor], rounds: int, device: str
) -> float:
    policy.train()
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)

    def step() -> None:
        loss, _ = policy.forward(dict(inputs))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 10)
        optimizer.step()
        optimizer.zero_grad()

    return median(seconds(step, rounds, device))


def _plain(teacher: Path, _rows: int, device: str) -> SmolVLAPolicy:
    policy = stock(teacher, device)
    policy.requires_grad_(requires_grad=True)
    policy.model.vlm_with_expert.set_requires_grad()
    return policy


def _student(*, share: bool, pairs: bool = False, **fields: Any) -> Way:
    def make(teacher: Path, rows: int, device: str) -> SmolVLAReflowPolicy:
        settings: dict[str, Any] = {} if fields else {"straightness_freq": 0}
        policy = SmolVLAReflowPolicy(
            SmolVLAReflowConfig(
                teacher_model_path=str(teacher), device=device, share_vlm=share,
                share_prefix=share, **settings, **fields,
            )
        ).to(device)  # fmt: skip
        if pairs:
            stored = OnePair(rows)
            stored.z0_BTA, stored.z1_BTA = stored.z0_BTA.to(device), stored.z1_BTA.to(device)
            policy._teacher = None
            policy._pairs = stored  # type: ignore[assignment]  # one pair in place of a folder of them
        return policy

    return make


WAYS: dict[str, Way] = {
    "plain LeRobot SmolVLA": _plain,
    "reflow, a VLM each": _student(share=False),
    "reflow, shared VLM and prefix": _student(share=True),
    "reflow, stored pairs": _student(share=True, pairs=True),
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="*", default=[8, 32, 64])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--compile", default="", metavar="MODE")
    others = [name for name in OBJECTIVES if name != "reflow"]
    parser.add_argument("--objectives", nargs="*", default=[], choices=others)
    parser.add_argument("--size", choices=("real", "tiny"), default="real")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    given = parser.parse_args()
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    print(f"{name}, {given.size} size, torch {torch.__version__}")
    ways = WAYS | {
        f"{objective}, shared VLM and prefix": _student(share=True, objective=objective)
        for objective in given.objectives
    }
    with tempfile.TemporaryDirectory() as folder:
        make_vlm(Path(folder) / "vlm", weights=False, size=given.size)
        teacher = make_teacher(Path(folder) / "teacher", Path(folder) / "vlm", given.cameras)
        for rows in given.rows:
            inputs = {
                name: value.to(given.device) for name, value in batch(rows, given.cameras).items()
            }
            training(teacher, inputs, given.rounds, ways)
        inference(teacher, given.cameras, given.rounds, given.device, mode=given.compile)


if __name__ == "__main__":
    main()
