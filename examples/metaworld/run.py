"""Compare all objectives on a Meta-World task, offline: demonstrations, teacher, students, success.

    python examples/metaworld/run.py [--task two-ways|three-ways] [--quick] [--out DIR]

The demonstrations come from a scripted expert that chooses its way by chance. A teacher is trained
with stock `lerobot-train`; from it, a one-step student with every objective, for as many steps of
as many rows; all are evaluated with stock `lerobot-eval`.

Interrupt it at any time and run it again: what is done is not done again, and a training continues
from its last checkpoint. Run it twice at the same time to use two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import stock  # type: ignore[import-not-found]  # beside this script
from lerobot_reflow.compare import cache
from lerobot_reflow.compare.errors import CompareError
from plan import (  # type: ignore[import-not-found]  # beside this script
    BLIND,
    FULL,
    QUICK,
    STUDENTS,
    Budget,
    Plan,
)
from steps import complete  # type: ignore[import-not-found]  # beside this script
from tasks import TASKS  # type: ignore[import-not-found]  # beside this script

VLM_FOLDER = Path(__file__).resolve().parents[1] / "quickstart/vlm_folder.py"


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=TASKS, default="two-ways", help="(default: two-ways)")
    parser.add_argument("--out", type=Path, help="(default: in outputs/metaworld)")
    parser.add_argument("--quick", action="store_true", help="little of everything: half an hour")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*STUDENTS, BLIND),
        default=(*STUDENTS, BLIND),
        help="the objectives to train with, and whether a teacher without images is trained",
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="training seeds of the students")
    for field in fields(Budget):
        if field.name != "seeds":
            name = f"--{field.name.replace('_', '-')}"
            parser.add_argument(name, type=int, help="instead of the budget's")
    parser.add_argument("--no-images", action="store_true", help="render nothing: black images")
    parser.add_argument("--device", default="cpu", help="(default: cpu)")
    return parser.parse_args()


def make_plan(options: argparse.Namespace) -> Plan:
    """What to make, with the options in place of the budget's numbers."""
    names = [field.name for field in fields(Budget)]
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    name = f"{options.task}-quick" if options.quick else options.task
    out = options.out or Path("outputs/metaworld") / name
    return Plan(
        out=out.resolve(),
        task_name=options.task,
        budget=replace(QUICK if options.quick else FULL, **given),
        objectives=tuple(name for name in STUDENTS if name in options.only),
        blind=BLIND in options.only and not options.no_images,
        images=not options.no_images,
        device=options.device,
        vlm_folder=VLM_FOLDER,
    )


def check_folder(plan: Plan) -> None:
    """Exit when the folder has results of another budget; more seeds are no other budget."""
    budget = {name: value for name, value in vars(plan.budget).items() if name != "seeds"}
    settings = {"task": plan.task_name, "images": plan.images, **budget}
    file = plan.out / "settings.json"
    if not file.exists():
        cache.write(file, json.dumps(settings, indent=1) + "\n")
    elif (found := json.loads(file.read_text())) != settings:
        other = [name for name, value in settings.items() if found.get(name) != value]
        sys.exit(f"{plan.out} has other settings ({', '.join(other)}); pass another --out")


def main() -> None:
    """Run the command."""
    plan = make_plan(parse())
    try:
        check_folder(plan)
        print(f"results: {plan.out}", flush=True)
        make(plan)
    except (stock.Failed, CompareError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")


def make(plan: Plan) -> None:
    """Make what is missing, and print the tables."""
    stock.prepare(images=plan.images)
    # What it imports takes long, and reads the environment.
    import evaluation  # type: ignore[import-not-found]  # beside this script

    for step in complete(plan.out, evaluation.everything(plan)):
        if step.name.startswith("episodes"):
            evaluation.report(plan)
    print(f"\n{evaluation.report(plan)}\n\nwritten: {plan.out / 'summary.json'}")


if __name__ == "__main__":
    main()
