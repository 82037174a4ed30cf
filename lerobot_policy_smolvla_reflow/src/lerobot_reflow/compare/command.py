"""Compare a teacher, its students and baselines at several numbers of sampling steps.

On the observations of a dataset, with the same noise for every row:

    lerobot-reflow-compare --teacher T --policy student=S --dataset.repo_id=user/set --out OUT

Or in an environment, with stock lerobot-eval and the same episodes for every row:

    lerobot-reflow-compare --teacher T --policy student=S --env.type=pusht --episodes 100 --out OUT

Other arguments that start with --env. --eval. or --policy. and those after -- go to lerobot-eval as
they are. Prints tables, and writes comparison.json, comparison.md and comparison.png to OUT. An
interrupted comparison continues when it is started again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lerobot_reflow.compare import cache
from lerobot_reflow.compare.errors import CompareError
from lerobot_reflow.compare.policies import OWN, make_rows

STEPS = (1, 2, 4, 10)
PASSED_ON = ("--env.", "--eval.", "--policy.")
# What the comparison passes to lerobot-eval itself, and the option for it.
SET_HERE = {
    "--policy.path": "--policy NAME=FOLDER",
    "--policy.num_steps": "--steps",
    "--policy.n_action_steps": "--n-action-steps",
    "--policy.device": "--device",
    "--eval.n_episodes": "--episodes",
    "--seed": "--seed",
    "--output_dir": "--out",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when every row was measured, 2 after an error."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        rows = make_rows(options)
        cache.make_folder(options.out)
        # torch and LeRobot take seconds to import, so the arguments are checked before.
        from lerobot_reflow.compare.run import run  # noqa: PLC0415 - see above

        return run(rows, options)
    except CompareError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; finished rows are kept: run the same command to continue\n")
        return 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; `passed_on` has the arguments of lerobot-eval. Raises CompareError."""
    own, rest = _split(arguments)
    options, unknown = _parser().parse_known_args(own)
    options.passed_on = (*_checked(unknown), *rest)
    for argument in options.passed_on:
        name = argument.partition("=")[0]
        if name in SET_HERE:
            raise CompareError(f"{name} is set by the comparison: use {SET_HERE[name]}")
    options.environment = any(one.startswith("--env.") for one in options.passed_on)
    if options.environment == bool(options.dataset_repo_id or options.dataset_root):
        raise CompareError(
            "pass either --dataset.repo_id or --dataset.root, or --env.type and its options"
            + ("; not both" if options.environment else "")
        )
    if options.passed_on and not options.environment:
        raise CompareError(f"{options.passed_on[0]} is an option of lerobot-eval: pass --env.type")
    return options


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before and after `--`."""
    arguments = list(arguments)
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _checked(unknown: Sequence[str]) -> list[str]:
    """Arguments for lerobot-eval and their values. Raises CompareError for any other."""
    value_expected = False
    for argument in unknown:
        if argument.startswith(PASSED_ON):
            value_expected = "=" not in argument
        elif value_expected and not argument.startswith("--"):
            value_expected = False
        else:
            raise CompareError(
                f"unknown argument {argument}; put arguments of lerobot-eval after -- "
                "(--help lists the options)"
            )
    return list(unknown)


def _steps(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers above 0, such as 1,2,4,10")
    return found


def _own_or_steps(text: str) -> list[int] | str:
    return OWN if text == OWN else _steps(text)


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return int(text)


def _rounds(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lerobot-reflow-compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--teacher", required=True, help="folder or Hub repository of the teacher's checkpoint")
    add(
        "--policy", action="append", default=[], metavar="NAME=FOLDER",
        help="a checkpoint to compare with it; a repeated name is another training seed",
    )  # fmt: skip
    add("--out", type=Path, required=True, help="folder of the results")
    add(
        "--steps", type=_steps, default=list(STEPS), metavar="N,N",
        help="numbers of sampling steps (default: 1,2,4,10)",
    )  # fmt: skip
    add(
        "--student-steps", type=_own_or_steps, metavar="N,N|own",
        help="those of all but the teacher; own: what each is saved with (default: --steps)",
    )  # fmt: skip
    add(
        "--reference-steps", type=_count, default=10, metavar="N",
        help="steps of the teacher that all rows are compared with (default: 10)",
    )  # fmt: skip
    add(
        "--n-action-steps", type=_count, metavar="N",
        help="actions executed of each chunk, in all rows (default: the teacher's)",
    )  # fmt: skip
    add("--device", help="device of the policies (default: cuda if available)")
    add("--threads", type=_count, metavar="N", help="CPU threads (default: torch's)")
    add("--seed", type=int, default=1000, help="first seed of episodes and noise (default: 1000)")
    _add_modes(parser)
    _add_latency(parser)
    return parser


def _add_modes(parser: argparse.ArgumentParser) -> None:
    dataset = parser.add_argument_group("on a dataset")
    add = dataset.add_argument
    add("--dataset.repo_id", dest="dataset_repo_id", metavar="ID", help="the LeRobot dataset")
    add("--dataset.root", dest="dataset_root", metavar="FOLDER", help="its local folder")
    add(
        "--observations", type=_count, default=256, metavar="N",
        help="frames, spread over the dataset (default: 256)",
    )  # fmt: skip
    add("--batch-size", type=_count, default=16, metavar="N", help="(default: 16)")
    add(
        "--far", type=float, default=0.5, metavar="X",
        help="distance from which a chunk is far, in normalized units (default: 0.5)",
    )  # fmt: skip
    add = parser.add_argument_group("in an environment").add_argument
    add(
        "--episodes", type=_count, default=50, metavar="N",
        help="episodes per row, task and training seed (default: 50)",
    )  # fmt: skip


def _add_latency(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("latency").add_argument
    add(
        "--latency-rounds", type=_rounds, default=20, metavar="N",
        help="timed chunks per row; 0 turns it off (default: 20)",
    )  # fmt: skip
    add(
        "--compile", default="default", metavar="MODE",
        help="mode of torch.compile for the optimized teacher, or none (default: default)",
    )  # fmt: skip
