"""The checkpoints to compare, by name, and the rows of the table. Reads files, imports no model."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lerobot_reflow.compare.errors import CompareError

CONFIG_NAME = "config.json"
NOT_THE_POLICY = ("train_config.json",)  # it says how the policy was trained
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
NESTED = ("pretrained_model", "checkpoints", "last", "model")
TEACHER = "teacher"
OWN = "own"  # in place of numbers of steps: those that a policy is saved with


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's folder and the fields of its config.json."""

    folder: Path
    config: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the policy, in hexadecimal."""
        digest = hashlib.sha256()
        for file in sorted(self.folder.iterdir()):
            if file.suffix in {".json", ".safetensors"} and file.name not in NOT_THE_POLICY:
                with file.open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                digest.update(f"{file.name}\0{content}\n".encode())
        return digest.hexdigest()

    @property
    def num_steps(self) -> int | None:
        """The sampling steps of its config; None for a policy that has none."""
        return self.config.get("num_steps")


@dataclass(frozen=True)
class Policy:
    """What one name stands for: a checkpoint, or one of each training seed."""

    name: str
    runs: tuple[Checkpoint, ...]


@dataclass(frozen=True)
class Row:
    """A policy at a number of sampling steps; None for a policy that has no steps."""

    policy: Policy
    steps: int | None

    def __str__(self) -> str:
        """A phrase for messages."""
        if self.steps is None:
            return self.policy.name
        return f"{self.policy.name}, {self.steps} step{'' if self.steps == 1 else 's'}"


def read_checkpoint(where: str) -> Checkpoint:
    """Read a checkpoint folder, or download a Hub repository. Raises CompareError."""
    folder = Path(where).expanduser()
    if not folder.is_dir():
        if not HUB_NAME.fullmatch(where) or folder.exists():
            raise CompareError(f"{where}: no such folder")
        folder = _download(where)
    file = folder / CONFIG_NAME
    if not file.is_file():
        nested = [path.parent for path in sorted(folder.glob(f"**/pretrained_model/{CONFIG_NAME}"))]
        raise CompareError(
            f"{where} has no {CONFIG_NAME}; pass "
            + (str(nested[-1]) if nested else "the pretrained_model folder of a checkpoint")
        )
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise CompareError(
            f"{file} is not valid JSON ({error}); pass an intact checkpoint"
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("type"), str):
        raise CompareError(f"{file} states no policy type; pass a checkpoint of a policy")
    return Checkpoint(folder.resolve(), config)


def _download(where: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - slow to import
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 - as above

    try:
        return Path(snapshot_download(where))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise CompareError(
            f"{where} is neither a folder nor a Hub repository that can be downloaded "
            f"({type(error).__name__}); pass the pretrained_model folder of a checkpoint"
        ) from error


def read_policies(teacher: str, others: Iterable[str]) -> list[Policy]:
    """The teacher, then the policies of `NAME=FOLDER` arguments, in order. Raises CompareError.

    A name that is given again stands for another training seed of the same policy.
    """
    runs: dict[str, list[Checkpoint]] = {TEACHER: [read_checkpoint(teacher)]}
    for argument in others:
        name, folder = _split(argument)
        if name == TEACHER:
            raise CompareError(f"--policy {argument}: the name {TEACHER} is that of --teacher")
        runs.setdefault(name, []).append(read_checkpoint(folder))
    return [Policy(name, tuple(found)) for name, found in runs.items()]


def _split(argument: str) -> tuple[str, str]:
    """The name and the folder of `NAME=FOLDER`, or of `FOLDER`, named by its last useful part."""
    name, equals, folder = argument.partition("=")
    if equals and name and not Path(argument).is_dir():
        return name, folder
    parts = Path(argument).parts
    useful = [part for part in parts if part not in NESTED and not part.isdigit()]
    return (useful or parts or (argument,))[-1], argument


def make_rows(options: argparse.Namespace) -> list[Row]:
    """The rows of the table, first the reference: the teacher at `reference_steps`.

    Sets the option `n_action_steps` to the number that all rows execute. Raises CompareError.
    """
    policies = read_policies(options.teacher, options.policy)
    options.n_action_steps = executed_steps(policies, options.n_action_steps)
    teacher, *others = policies
    if teacher.runs[0].num_steps is None:
        raise CompareError(
            f"the teacher {teacher.runs[0].folder} has the type "
            f"{teacher.runs[0].config['type']} and no num_steps; pass a SmolVLA checkpoint"
        )
    reference = options.reference_steps
    more = [count for count in sorted({*options.steps}, reverse=True) if count != reference]
    rows = [Row(teacher, count) for count in (reference, *more)]
    for policy in others:
        own = policy.runs[0].num_steps
        steps = options.steps if options.student_steps is None else options.student_steps
        counts = [own] if own is None or steps == OWN else sorted({*steps})
        rows += [Row(policy, count) for count in counts]
    return rows


def executed_steps(policies: Iterable[Policy], given: int | None) -> int:
    """`n_action_steps` for all rows: the one given, or the teacher's. Raises CompareError."""
    policies = list(policies)
    teacher = policies[0].runs[0]
    count = int(given or teacher.config.get("n_action_steps", 1))
    for policy in policies:
        for run in policy.runs:
            longest = run.config.get("chunk_size", count)
            if count > longest:
                raise CompareError(
                    f"{policy.name} predicts {longest} actions, so it cannot execute {count} of "
                    f"them: pass --n-action-steps={longest} for all policies"
                )
    return count
