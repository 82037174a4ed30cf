"""Start-up of a full-size reflow run against the way it used to be done.

Wall time and peak memory, side by side, one process each.

    python -m benchmarks.training_startup [--rounds 3]

`before`: the student is built on the base VLM's weights, the teacher by `from_pretrained` (which
reads the base VLM again), and the student takes the teacher's state. `now`: SmolVLAReflowPolicy.
Import time is outside of both; memory is the growth over the imports. Memory twice: all that is
resident, and what of it is anonymous. The rest maps the checkpoint's file: the kernel may drop it
and read it again.
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
import json, sys, threading, time
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from benchmarks import full_size
teacher, vlm = sys.argv[1:3]
# ru_maxrss would include the parent's.
status = lambda key: int(open('/proc/self/status').read().partition(key + ':')[2].split()[0]) / 1024
anonymous = [status('RssAnon')]
def watch():
    while True:
        anonymous.append(status('RssAnon'))
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
before, start = status('VmHWM'), time.perf_counter()
"""
WAYS = {
    "before": """
config = full_size.config(vlm)
student = SmolVLAPolicy(config)
teacher = SmolVLAPolicy.from_pretrained(teacher)
student.load_state_dict(teacher.state_dict())
""",
    "now": (
        "student = SmolVLAReflowPolicy(SmolVLAReflowConfig(teacher_model_path=teacher,"
        " device='cpu'))"
    ),
    "now, share_vlm": (
        "student = SmolVLAReflowPolicy(SmolVLAReflowConfig(teacher_model_path=teacher,"
        " device='cpu', share_vlm=True))"
    ),
}
TELL = """
seconds, resident = time.perf_counter() - start, status('VmHWM') - before
anonymous = max(anonymous) - anonymous[0]
print(json.dumps({'seconds': seconds, 'resident': resident, 'anonymous': anonymous}))
"""


def run(way: str, teacher: Path, vlm: Path) -> dict[str, float]:
    """Wall seconds and growth of the resident and anonymous peaks in MiB of one start-up."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent),
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMON + WAYS[way] + TELL, str(teacher), str(vlm)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    from benchmarks.full_size import (
        make_teacher,
        make_vlm,
    )  # after the arguments: it takes seconds to import

    with tempfile.TemporaryDirectory() as folder:
        vlm = make_vlm(Path(folder) / "vlm", weights=True)
        teacher = make_teacher(Path(folder) / "teacher", vlm)
        results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                results[way].append(run(way, teacher, vlm))
    print(
        f"{'way':<16}"
        + "".join(
            f"{what:>16}{'ratio':>8}" for what in ("seconds", "resident MiB", "anonymous MiB")
        )
    )
    for way in WAYS:
        medians = {
            what: [median(figures[what] for figures in results[each]) for each in (way, "before")]
            for what in ("seconds", "resident", "anonymous")
        }
        print(
            f"{way:<16}"
            + "".join(f"{ours:>16.2f}{ours / theirs:>8.2f}" for ours, theirs in medians.values())
        )


if __name__ == "__main__":
    main()
