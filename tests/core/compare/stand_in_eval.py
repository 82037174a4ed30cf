"""In place of lerobot-eval: reads its arguments and writes an eval_info.json without a policy.

An episode succeeds if its seed is not divisible by 10 / num_steps. A line is added to $CALLS at
the start. With $UNTIL, it waits until that file exists. It fails at 3 steps.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

arguments = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
with Path(os.environ["CALLS"]).open("a") as calls:
    calls.write(json.dumps(arguments) + "\n")
while os.environ.get("UNTIL") and not Path(os.environ["UNTIL"]).exists():
    time.sleep(0.05)
steps, seed = int(arguments["policy.num_steps"]), int(arguments["seed"])
if steps == 3:
    sys.exit("RuntimeError: no three steps")
successes = [
    steps == 10 or number % (10 // steps) != 0
    for number in range(seed, seed + int(arguments["eval.n_episodes"]))
]
info = {"per_task": [{"task_group": "toy", "task_id": 0, "metrics": {"successes": successes}}]}
(Path(arguments["output_dir"]) / "eval_info.json").write_text(json.dumps(info))
