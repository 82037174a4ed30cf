"""Start-up of a full-size reflow run against the way it used to be done: wall time and peak memory, side by side, one process each.

    python -m benchmarks.training_startup [--rounds 3]

`before`: the student is built on the base VLM's weights, the teacher by `from_pretrained` (which reads the base VLM again), and the
student takes the teacher's state. `now`: SmolVLAReflowPolicy. Import time is outside of both; memory is the growth over the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent

COMMON = """
import json, sys, time
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from benchmarks import full_size
teacher, vlm = sys.argv[1:3]
peak = lambda: int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]) / 1024  # ru_maxrss would include the parent's
before_rss, start = peak(), time.perf_counter()
"""
WAYS = {
    "before": """
config = full_size.config(vlm)
student = SmolVLAPolicy(config)
teacher = SmolVLAPolicy.from_pretrained(teacher)
student.load_state_dict(teacher.state_dict())
""",
    "now": "student = SmolVLAReflowPolicy(SmolVLAReflowConfig(teacher_model_path=teacher, device='cpu'))",
    "now, share_vlm": "student = SmolVLAReflowPolicy(SmolVLAReflowConfig(teacher_model_path=teacher, device='cpu', share_vlm=True))",
}
TELL = "\nprint(json.dumps({'seconds': time.perf_counter() - start, 'MiB': peak() - before_rss}))"


def run(way: str, teacher: Path, vlm: Path) -> dict[str, float]:
    """Wall seconds and growth of the peak resident set in MiB of one start-up in a fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", COMMON + WAYS[way] + TELL, str(teacher), str(vlm)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    from benchmarks.full_size import make_teacher, make_vlm  # after the arguments: it takes seconds to import

    with tempfile.TemporaryDirectory() as folder:
        vlm = make_vlm(Path(folder) / "vlm", weights=True)
        teacher = make_teacher(Path(folder) / "teacher", vlm)
        results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                results[way].append(run(way, teacher, vlm))
    seconds = {way: median(figures["seconds"] for figures in results[way]) for way in WAYS}
    memory = {way: median(figures["MiB"] for figures in results[way]) for way in WAYS}
    print(f"{'way':<16}{'seconds':>9}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}")
    for way in WAYS:
        print(f"{way:<16}{seconds[way]:>9.2f}{seconds[way] / seconds['before']:>8.2f}{memory[way]:>10.0f}{memory[way] / memory['before']:>8.2f}")


if __name__ == "__main__":
    main()
