"""Measure the rows, and write and print the comparison. Imports torch and LeRobot."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch

from lerobot_reflow.compare import cache, environment, offline, plot, table
from lerobot_reflow.compare.document import Measured, make_document
from lerobot_reflow.compare.errors import CompareError
from lerobot_reflow.compare.latency import Latency
from lerobot_reflow.compare.policies import Row
from lerobot_reflow.compare.versions import VERSIONS

Measure = Callable[[Row], Measured]


def run(rows: Sequence[Row], options: argparse.Namespace) -> int:
    """Measure the rows: 0 when every row was measured, else 2.

    Raises CompareError when nothing can be compared.
    """
    options.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if options.threads:
        torch.set_num_threads(options.threads)
    with contextlib.redirect_stdout(sys.stderr):  # LeRobot prints
        prepare = _environment if options.environment else _dataset
        measure, settings = prepare(rows, options)
        measured = [_measure_row(row, measure, reference=row is rows[0]) for row in rows]
        measured, times = _with_latency(measured, options)
    settings = {
        "n_action_steps": options.n_action_steps,
        "versions": VERSIONS,
        "environment": None,
        "dataset": None,
        **settings,
        "latency": times,
    }
    _report(make_document(measured, options.far, settings), options)
    problems = [one for one in measured if one.problem]
    for one in problems:
        sys.stderr.write(f"error: {one.row}: {one.problem}\n")
    return 2 if problems else 0


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _measure_row(row: Row, measure: Measure, *, reference: bool) -> Measured:
    """A row's measurement or problem. Raises CompareError for a problem of the reference."""
    try:
        return measure(row)
    except CompareError as error:
        if reference:
            raise CompareError(f"{row}, which all rows are compared with: {error}") from error
        say(f"{row} cannot be measured; going on with the other rows")
        return Measured(row, problem=str(error))


def _environment(
    _rows: Sequence[Row], options: argparse.Namespace
) -> tuple[Measure, dict[str, Any]]:
    arguments = options.passed_on
    if not any(one.startswith("--eval.batch_size") for one in arguments):
        # LeRobot's own default depends on the machine, and the noise of an episode on it.
        arguments = (*arguments, "--eval.batch_size=1")
    evaluation = environment.Evaluation(
        arguments, options.episodes, options.seed, options.n_action_steps, options.device,
        options.threads,
    )  # fmt: skip

    def measure(row: Row) -> Measured:
        runs = [
            environment.evaluate(row, one, evaluation, options.out, say) for one in row.policy.runs
        ]
        flags = [flag for episodes in runs for flag in episodes.flat]
        say(f"{row}: success in {sum(flags)} of {len(flags)} episodes")
        return Measured(row, episodes=tuple(runs))

    settings = {
        "arguments": list(arguments), "episodes": options.episodes, "seed": options.seed,
        "device": options.device, "threads": options.threads,
    }  # fmt: skip
    return measure, {"mode": "environment", "environment": settings}


def _dataset(rows: Sequence[Row], options: argparse.Namespace) -> tuple[Measure, dict[str, Any]]:
    configs = [run.config for row in rows for run in row.policy.runs if row.steps is not None]
    shape = tuple(
        max(config.get(key, 0) for config in configs) for key in ("chunk_size", "max_action_dim")
    )
    observations = offline.open_observations(
        options.dataset_repo_id, options.dataset_root, options.observations, shape, options.seed
    )
    distances = offline.Distances(
        rows[0], observations, options.n_action_steps, options.device, options.batch_size,
        options.out, say,
    )  # fmt: skip

    def measure(row: Row) -> Measured:
        return Measured(
            row, distances=tuple(distances.measure(row, one) for one in row.policy.runs)
        )

    settings = {
        "repo_id": options.dataset_repo_id, "root": options.dataset_root,
        "frames": observations.dataset.num_frames, "observations": len(observations.indices),
        "seed": options.seed, "far": options.far, "device": options.device,
    }  # fmt: skip
    return measure, {"mode": "dataset", "dataset": settings}


def _with_latency(
    measured: Sequence[Measured], options: argparse.Namespace
) -> tuple[list[Measured], dict[str, Any] | None]:
    """The rows with their latency; the settings and the compiled teacher, for the document."""
    if not options.latency_rounds:
        return list(measured), None
    latency = Latency(options.latency_rounds, options.device, options.compile, options.out, say)
    found: list[Measured] = []
    for policy, group in groupby(measured, key=lambda one: one.row.policy):
        rows = list(group)
        steps = [one.row.steps for one in rows if one.row.steps and not one.problem]
        times = latency.measure(policy.runs[0], steps) if steps else {}
        found += [replace(one, latency=times.get(str(one.row.steps))) for one in rows]
    reference = measured[0].row
    assert reference.steps is not None
    compiled, reason = latency.measure_compiled(reference.policy.runs[0], reference.steps)
    return found, {**latency.settings(), "compiled": compiled, "not_compiled": reason or None}


def _report(document: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the document, the tables and the plot, and print the tables."""
    found, out = table.tables(document), options.out
    cache.write(out / "comparison.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    cache.write(out / "comparison.md", "\n\n".join(map(table.to_markdown, found)) + "\n")
    sys.stdout.write("\n\n".join(map(table.to_text, found)) + "\n")
    drawn = plot.draw(document, [out / "comparison.png", out / "comparison.svg"])
    written = f"{out / 'comparison.json'}, .md" + (", .png and .svg" if drawn else "")
    say(f"written: {written}" if drawn else f"written: {written}; {plot.MISSING}")
