"""Success of the policies: episodes with stock `lerobot-eval`, tables as `lerobot-reflow-compare`.

Every row is a step of its own, so it is run once, and shared between processes.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lerobot_reflow.compare.document import Measured, make_document
from lerobot_reflow.compare.environment import Episodes
from lerobot_reflow.compare.policies import Policy, Row, read_checkpoint
from lerobot_reflow.compare.table import tables, to_text
from plan import BLIND_TEACHER, LOG, Plan  # type: ignore[import-not-found]  # beside this script
from steps import Step  # type: ignore[import-not-found]  # beside this script
from stock import run  # type: ignore[import-not-found]  # beside this script
from tasks import TASKS  # type: ignore[import-not-found]  # beside this script

AT_ONCE = 10  # episodes
# The first episode's seed: to choose an objective, and to report. Demonstrations start at 0.
CHOOSING, REPORTING = 3000, 1000


class Line(NamedTuple):
    """A line of a table: a policy, the results that are its runs, and its number of steps."""

    policy: str
    results: tuple[str, ...]
    steps: int


def reported(plan: Plan) -> list[Line]:
    """The lines of the table that is reported, in order."""
    teacher = [Line("teacher", ("teacher",), steps) for steps in (10, 2, 1)]
    blind = [Line("teacher without images", (BLIND_TEACHER,), 10)] if plan.blind else []
    students = [
        Line(objective, tuple(plan.student(objective, seed) for seed in plan.budget.seeds), steps)
        for objective in plan.objectives
        for steps in (1, 10)
    ]
    return [*teacher, *blind, *students]


def chosen_by(plan: Plan) -> list[Line]:
    """The lines that an objective is chosen by: the teacher and one student of each."""
    if not plan.budget.chosen_on:
        return []
    first = plan.budget.seeds[0]
    students = [Line(name, (plan.student(name, first),), 1) for name in plan.objectives]
    return [Line("teacher", ("teacher",), 10), *students]


def episodes(plan: Plan, result: str, steps: int, first_seed: int) -> Step:
    """The episodes of a policy with these seeds."""
    return Step(
        _name(result, steps, first_seed),
        partial(_evaluate, plan, result, steps, first_seed),
        (result,),
    )


def _name(result: str, steps: int, first_seed: int) -> str:
    return f"episodes/{first_seed}/{result.replace('/', '-')}-{steps}"


def _count(plan: Plan, first_seed: int) -> int:
    count: int = plan.budget.chosen_on if first_seed == CHOOSING else plan.budget.episodes
    return count


def _evaluate(plan: Plan, result: str, steps: int, first_seed: int, work: Path) -> Path:
    task, out, count = TASKS[plan.task_name], work / "episodes", _count(plan, first_seed)
    blank = result == BLIND_TEACHER or not plan.images
    run(
        "lerobot.scripts.lerobot_eval",
        (
            f"--policy.path={plan.checkpoint(result)}", f"--policy.num_steps={steps}",
            f"--policy.device={plan.device}", "--env.type=metaworld_light",
            f"--env.task={task.env_task}", f"--env.episode_length={task.episode_length}",
            f"--env.image_every={task.chunk}", f"--env.blank={str(blank).lower()}",
            f"--eval.n_episodes={count}", f"--eval.batch_size={min(AT_ONCE, count)}",
            "--eval.use_async_envs=false", f"--seed={first_seed}", f"--output_dir={out}",
        ),
        work / LOG,
    )  # fmt: skip
    shutil.rmtree(out / "videos", ignore_errors=True)
    return out


def report(plan: Plan) -> str:
    """Write what is known so far to summary.json, and return its tables."""
    found = {
        "reported": _document(plan, reported(plan), REPORTING),
        "chosen_by": _document(plan, chosen_by(plan), CHOOSING),
    }
    summary = {
        "task": plan.task_name,
        "budget": asdict(plan.budget),
        **{name: [_summarize(row) for row in one["rows"]] for name, one in found.items() if one},
    }
    (plan.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    return "\n\n".join(to_text(tables(one)[0]) for one in found.values() if one)


def _document(plan: Plan, wanted: list[Line], first_seed: int) -> dict[str, Any] | None:
    """The comparison of the lines of which there are episodes; None without the first line."""
    measured = [one for line in wanted if (one := _measured(plan, line, first_seed))]
    if not measured or measured[0].row.policy.name != "teacher":
        return None
    environment = {"episodes": _count(plan, first_seed), "seed": first_seed}
    return make_document(
        measured,
        0.0,
        {
            "mode": "environment",
            "environment": environment,
            "n_action_steps": TASKS[plan.task_name].chunk,
        },
    )


def _measured(plan: Plan, line: Line, first_seed: int) -> Measured | None:
    folders = {
        result: plan.out / _name(result, line.steps, first_seed)
        for result in line.results
        if (plan.out / _name(result, line.steps, first_seed)).exists()
    }
    if not folders:
        return None
    runs = tuple(read_checkpoint(str(plan.checkpoint(result))) for result in folders)
    row = Row(Policy(line.policy, runs), line.steps)
    return Measured(row, episodes=tuple(_read(folder) for folder in folders.values()))


def _read(folder: Path) -> Episodes:
    tasks = json.loads((folder / "eval_info.json").read_text())["per_task"]
    successes = (tuple(map(bool, task["metrics"]["successes"])) for task in tasks)
    return Episodes(tuple(task["task_group"] for task in tasks), tuple(successes), folder)


def _summarize(row: dict[str, Any]) -> dict[str, Any]:
    """A row without paths: success, its interval, and the paired test against the teacher."""
    success, paired = row["success"], row["paired"]
    return {
        "policy": row["policy"],
        "steps": row["steps"],
        "successes": [run["successes"] for run in success["runs"]],
        "episodes": success["episodes"],
        "rate": round(success["rate"], 4),
        "interval": [round(end, 4) for end in success["interval"]],
        "difference": paired and round(paired["difference"], 4),
        "p_value": paired and paired["p_value"],
    }


def everything(plan: Plan) -> list[Step]:
    """All steps, in the order of what is worth most."""
    seeds = plan.budget.seeds
    found = [
        *plan.preparation(),
        *(episodes(plan, "teacher", count, REPORTING) for count in (10, 1, 2)),
    ]
    for seed in seeds:
        for objective in plan.objectives:
            student = plan.student(objective, seed)
            found += [plan.train(objective, seed), episodes(plan, student, 1, REPORTING)]
        if seed == seeds[0]:
            found += [
                episodes(plan, line.results[0], line.steps, CHOOSING) for line in chosen_by(plan)
            ]
            if plan.blind:
                found += [*plan.blind_preparation(), episodes(plan, BLIND_TEACHER, 10, REPORTING)]
    students = [plan.student(objective, seed) for seed in seeds for objective in plan.objectives]
    return [*found, *(episodes(plan, student, 10, REPORTING) for student in students)]
