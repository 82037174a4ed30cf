"""Compare the three checkpoints of the quickstart on the same observations and noise.

    python evaluate.py --teacher T --student S --baseline B --dataset-root DATA --out OUT

Prints a table and draws a picture of the drives. All numbers are computed here, from the
checkpoints, with stock LeRobot classes and the plugin's straightness.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.observation import observe
from lerobot_policy_smolvla_reflow.prefix import solve_ode
from make_dataset import CAMERA, GOALS  # type: ignore[import-not-found]  # beside this script
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow

SAMPLES = 256
NEAR = (
    0.4  # a drive that ends within this distance of a goal has reached it; the goals are 2.8 apart
)
EDGE, SCALE = 230, 80.0  # size of a panel in pixels, pixels per unit


class Row(NamedTuple):
    """A row of the table.

    `error` is to the teacher's ten steps; `reached` is the share of drives that reach a goal.
    """

    policy: str
    steps: int
    error: float
    reached: float
    straightness: float | None
    path_BT2: Tensor


class LoadedPolicy:
    """A checkpoint loaded with stock LeRobot, and the shared observations, preprocessed by it."""

    def __init__(self, name: str, folder: Path, frames: dict[str, Any]) -> None:
        self.name = name
        with contextlib.redirect_stdout(sys.stderr):  # LeRobot prints its progress
            self.policy = SmolVLAPolicy.from_pretrained(folder, strict=True)
        preprocess, self.postprocess = make_pre_post_processors(
            self.policy.config, pretrained_path=str(folder)
        )
        self.observation = observe(self.policy, preprocess(dict(frames)))
        self.starts_BS: Tensor = frames["observation.state"]

    def act(self, z1_BTA: Tensor, steps: int) -> flow.Solution:
        """Its chunks for the shared noise."""
        return solve_ode(self.policy.model, self.observation, z1_BTA, steps, "euler")

    def measure(self, z1_BTA: Tensor, steps: int, reference_BTA: Tensor) -> Row:
        """Its row of the table for one number of steps."""
        solution = self.act(z1_BTA, steps)
        difference = (solution.z0_BTA - reference_BTA)[:, :, :2]
        path = self.postprocess(solution.z0_BTA[:, :, :2]).cumsum(dim=1)
        path_BT2 = self.starts_BS[:, None] + torch.cat([torch.zeros_like(path[:, :1]), path], dim=1)
        distance = (
            torch.cdist(path_BT2[:, -1], torch.tensor(GOALS, dtype=torch.float32)).min(dim=1).values
        )
        # One step is straight by construction.
        straightness = float(flow.straightness(z1_BTA, solution)) if steps > 1 else None
        error = float(difference.square().mean(dim=(1, 2)).sqrt().mean())
        return Row(
            self.name, steps, error, float((distance < NEAR).float().mean()), straightness, path_BT2
        )


def shared_frames(root: Path) -> dict[str, Any]:
    """SAMPLES raw frames, spread over the dataset."""
    dataset = LeRobotDataset("local/two-goals", root=root)
    frames = [
        dataset[index] for index in torch.linspace(0, len(dataset) - 1, SAMPLES).long().tolist()
    ]
    tensors = {
        key: torch.stack([frame[key] for frame in frames]) for key in (CAMERA, "observation.state")
    }
    return {**tensors, "task": [frame["task"] for frame in frames]}


def table(rows: list[Row]) -> str:
    """The rows as text.

    The error is the mean over samples of a chunk's RMS to the teacher's ten steps, in normalized
    units.
    """
    lines = [f"{'policy':<26}{'steps':>6}{'error':>9}{'reaches a goal':>17}{'straightness':>15}"]
    for row in rows:
        straightness = "" if row.straightness is None else f"{row.straightness:.3f}"
        lines.append(
            f"{row.policy:<26}{row.steps:>6}{row.error:>9.3f}{row.reached:>16.0%} "
            f"{straightness:>14}"
        )
    return "\n".join(lines)


def picture(rows: list[Row]) -> str:
    """An SVG with one panel per row: the drives from the center, and the goals as circles."""
    panels = []
    for number, row in enumerate(rows):
        left = 10 + number * (EDGE + 10)
        lines = "".join(
            f'<polyline points="{" ".join(f"{_x(left, x):.1f},{_y(y):.1f}" for x, y in path)}"/>'
            for path in row.path_BT2[:96].tolist()
        )
        goals = "".join(
            f'<circle cx="{_x(left, x):.1f}" cy="{_y(y):.1f}" r="{NEAR * SCALE}"/>'
            for x, y in GOALS.tolist()
        )
        steps = f"{row.steps} step{'s' if row.steps > 1 else ''}"
        title = f'<text x="{left + 4}" y="20">{row.policy}, {steps}</text>'
        panels.append(f'<g class="goals">{goals}</g><g class="drives">{lines}</g>{title}')
    width = 10 + len(rows) * (EDGE + 10)
    style = (
        ".goals{fill:#cfe8cf;stroke:#4a4}"
        ".drives{fill:none;stroke:#1f4e9c;stroke-opacity:.35}"
        "text{font:13px sans-serif}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{EDGE + 40}">'
        f"<style>{style}</style>{''.join(panels)}</svg>\n"
    )


def _x(left: int, value: float) -> float:
    return left + EDGE / 2 + value * SCALE


def _y(value: float) -> float:
    return 30 + EDGE / 2 - value * SCALE


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("teacher", "student", "baseline", "dataset-root", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    frames = shared_frames(options.dataset_root)
    teacher = LoadedPolicy("teacher", options.teacher, frames)
    shape = (SAMPLES, teacher.policy.config.chunk_size, teacher.policy.config.max_action_dim)
    z1_BTA = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    reference_BTA = teacher.act(z1_BTA, 10).z0_BTA
    rows = [teacher.measure(z1_BTA, steps, reference_BTA) for steps in (10, 1)]
    baseline = LoadedPolicy("high-noise flow matching", options.baseline, frames)
    rows += [baseline.measure(z1_BTA, steps, reference_BTA) for steps in (1, 10)]
    student = LoadedPolicy("reflow student", options.student, frames)
    rows += [student.measure(z1_BTA, steps, reference_BTA) for steps in (1, 2, 10)]
    print(table(rows))
    options.out.mkdir(parents=True, exist_ok=True)
    shown = [
        row
        for row in rows
        if (row.policy, row.steps)
        in {("teacher", 10), ("teacher", 1), ("high-noise flow matching", 1), ("reflow student", 1)}
    ]
    (options.out / "drives.svg").write_text(picture(shown))
    results = [
        {name: value for name, value in row._asdict().items() if name != "path_BT2"} for row in rows
    ]
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nPicture of the drives: {os.path.relpath(options.out / 'drives.svg')}")


if __name__ == "__main__":
    main()
