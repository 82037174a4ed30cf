"""Success in an environment: stock `lerobot-eval`, one process per checkpoint and number of steps.

A finished run is a folder with its eval_info.json; it gets its name only when it is complete, so
that neither an interruption nor kill -9 leaves a part of one. The lock of a run is inherited by
lerobot-eval: it lasts as long as the slower of the two, and a second command waits for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lerobot_reflow.compare import cache
from lerobot_reflow.compare.errors import CompareError
from lerobot_reflow.compare.policies import Checkpoint, Row
from lerobot_reflow.compare.versions import VERSIONS

INFO, IDENTITY, LOG = "eval_info.json", "run.json", "log.txt"
COMMAND = ("-m", "lerobot.scripts.lerobot_eval")
TAIL = 12  # lines of a failed run's log in its error


@dataclass(frozen=True)
class Evaluation:
    """What all rows have in common. `arguments` go to lerobot-eval as they are."""

    arguments: tuple[str, ...]
    episodes: int
    seed: int
    n_action_steps: int
    device: str
    threads: int | None


@dataclass(frozen=True)
class Episodes:
    """The successes of a run, by task and in the order of the seeds, and where it is stored."""

    tasks: tuple[str, ...]
    successes: tuple[tuple[bool, ...], ...]
    folder: Path

    @property
    def flat(self) -> list[bool]:
        """The successes of all tasks, one after the other."""
        return [one for task in self.successes for one in task]


def evaluate(
    row: Row, run: Checkpoint, evaluation: Evaluation, out: Path, say: Callable[[str], None]
) -> Episodes:
    """The episodes of a checkpoint: those of an earlier run, or new ones. Raises CompareError."""
    identity = _identity(row, run, evaluation)
    folder = out / "runs" / cache.key(identity)
    partial, lock_file = folder.with_suffix(".partial"), folder.with_suffix(".lock")
    cache.make_folder(folder.parent)
    with _locked(lock_file, say) as lock:
        found = _read(folder, evaluation.episodes)
        if found is None and _read(partial, evaluation.episodes) is None:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            described = {"policy": str(row), "folder": str(run.folder), **identity}
            (partial / IDENTITY).write_text(json.dumps(described, indent=2) + "\n")
            say(f"{row}: lerobot-eval is running, its output is in {partial / LOG}")
            _run(_arguments(row, run, evaluation, partial), partial, evaluation, lock)
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
            found = _read(folder, evaluation.episodes)
    if found is None:
        raise CompareError(
            f"lerobot-eval ended, but {folder / INFO} does not have {evaluation.episodes} "
            f"successes for every task; see {folder / LOG}"
        )
    return found


def _identity(row: Row, run: Checkpoint, evaluation: Evaluation) -> dict[str, Any]:
    """Everything that determines the episodes."""
    return {
        "checkpoint": run.digest,
        "num_steps": row.steps,
        **asdict(evaluation),
        "arguments": list(evaluation.arguments),
        "versions": VERSIONS,
    }


def _arguments(row: Row, run: Checkpoint, evaluation: Evaluation, output: Path) -> list[str]:
    """The command of lerobot-eval. The checkpoint is not changed: these override its config."""
    overrides = {
        "num_steps": row.steps,
        "n_action_steps": evaluation.n_action_steps if "n_action_steps" in run.config else None,
        "device": evaluation.device,
    }
    return [
        sys.executable,
        *COMMAND,
        f"--policy.path={run.folder}",
        *(f"--policy.{key}={value}" for key, value in overrides.items() if value is not None),
        f"--eval.n_episodes={evaluation.episodes}",
        f"--seed={evaluation.seed}",
        f"--output_dir={output}",
        *evaluation.arguments,
    ]


def _run(arguments: Sequence[str], folder: Path, evaluation: Evaluation, lock: int) -> None:
    """Run lerobot-eval to its end. Raises CompareError with the end of its log."""
    environment = dict(os.environ)
    if evaluation.threads is not None:
        environment["OMP_NUM_THREADS"] = str(evaluation.threads)
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - LeRobot's own command, without a shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[lock],
        )
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        lines = (folder / LOG).read_text(errors="replace").strip().splitlines()
        tail = "\n".join(f"  {line[:300]}" for line in lines[-TAIL:])
        raise CompareError(
            f"lerobot-eval ended with status {status}; the end of {folder / LOG}:\n{tail}"
        )


def _read(folder: Path, episodes: int) -> Episodes | None:
    """The episodes of a complete run; None for any other folder, and for none."""
    try:
        tasks = json.loads((folder / INFO).read_bytes())["per_task"]
        found = {
            f"{task['task_group']}/{task['task_id']}": tuple(
                bool(one) for one in task["metrics"]["successes"]
            )
            for task in tasks
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not found or any(len(one) != episodes for one in found.values()):
        return None
    names = tuple(sorted(found))
    return Episodes(names, tuple(found[name] for name in names), folder)


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the lock file `path`, when nobody else holds it any more."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that runs this row (it holds {path})")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)
