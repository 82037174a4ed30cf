"""Two checkpoints side by side: the settings that decide how a policy runs, and normalization."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.diff.summary import summarize
from ckpt_tools.doctor.model import SettingPair, StatisticPair
from ckpt_tools.doctor.step_causes import step_pairs
from ckpt_tools.rules.processors import POST, PRE, WANTED, alike, normalizers, read_at_inference
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.processors import Normalizer, Read, Statistic
    from ckpt_tools.rules.rule import Subject

DEFAULTS: dict[str, object] = {
    "num_steps": 10,
    "n_action_steps": 50,
    "chunk_size": 50,
    "compile_model": False,
    "use_amp": False,
    "use_cache": True,
}
"""LeRobot's defaults for keys that config.json does not have."""

SHOWN = """
    load_vlm_weights use_cache num_steps chunk_size n_action_steps device compile_model use_amp
    resize_imgs_with_padding num_vlm_layers tokenizer_max_length pad_language_to empty_cameras
"""
"""Keys of config.json that decide how fast a policy is, or whether it runs."""


def setting(checkpoint: Checkpoint, key: str) -> object:
    """Return a value of config.json, else LeRobot's default, else ABSENT."""
    return checkpoint.value(CONFIG).get(key, DEFAULTS.get(key, ABSENT))


def settings(normal: Checkpoint, reflow: Checkpoint) -> Iterator[SettingPair]:
    """Yield the settings that decide how a policy runs, steps that differ, and stored dtypes."""
    for key in SHOWN.split():
        values = (setting(normal, key), setting(reflow, key))
        if any(value is not ABSENT for value in values):
            yield SettingPair(key, *map(_spelled, values))
    yield from step_pairs(normal, reflow)
    stored = [
        {
            group.title: " and ".join(sorted(dtype for dtype, _ in group.dtypes))
            for group in summarize(side).components
        }
        for side in (normal, reflow)
    ]
    for title in dict.fromkeys((*stored[0], *stored[1])):
        yield SettingPair(
            f"stored: {title}", stored[0].get(title, "absent"), stored[1].get(title, "absent")
        )


def _spelled(value: object) -> str:
    return "absent" if value is ABSENT else json.dumps(value)


def modes(subject: Subject, path: str) -> dict[str, str]:
    """Return how a processor normalizes each kind of feature; empty without a step."""
    for normalizer in normalizers(subject, path):
        kinds = (
            {"ACTION"}
            if path == POST
            else {feature.kind for name, feature in normalizer.features.items() if name != "action"}
        )
        return {kind: normalizer.modes.get(kind, "IDENTITY") for kind in sorted(kinds)}
    return {}


def statistics(normal: Subject, reflow: Subject) -> Iterator[StatisticPair]:
    """Yield every statistic that inference reads for one of the two checkpoints."""
    for path in (PRE, POST):
        sides = [_read(side, path) for side in (normal, reflow)]
        for feature in dict.fromkeys((*sides[0], *sides[1])):
            reads = [side.get(feature) for side in sides]
            mode = next(read.mode for read in reads if read)
            for kind in WANTED[mode]:
                a, b = (read.statistics.get(kind) if read else None for read in reads)
                if a or b:
                    same = a is not None and b is not None and alike(a, b)
                    yield StatisticPair(path, feature, kind, mode, _numbers(a), _numbers(b), same)


def _read(subject: Subject, path: str) -> dict[str, Read]:
    return {
        read.feature: read
        for normalizer in normalizers(subject, path)
        for read in read_at_inference(subject, normalizer)
    }


def _numbers(statistic: Statistic | None) -> tuple[float, ...] | None:
    return statistic.numbers if statistic else None


def _of_action(subject: Subject) -> tuple[Normalizer, Mapping[str, Statistic]] | None:
    return next(
        ((found, found.statistics.get("action", {})) for found in normalizers(subject, POST)), None
    )


def scale(subject: Subject) -> tuple[float, ...]:
    """Return the size of a normalized unit of the action for the robot, by dimension.

    Empty where the action is not normalized.
    """
    found = _of_action(subject)
    mode = modes(subject, POST).get("ACTION", "IDENTITY")
    if found is None or mode == "IDENTITY":
        return ()
    low, high = (found[1].get(kind) for kind in WANTED[mode])
    if low is None or high is None or low.numbers is None or high.numbers is None:
        return ()
    spread = (
        high.numbers
        if mode == "MEAN_STD"
        else [(b - a) / 2 for a, b in zip(low.numbers, high.numbers, strict=False)]
    )
    return tuple(abs(number) for number in spread)


def limits(statistics: Mapping[str, tuple[float, ...]]) -> tuple[tuple[float, float], ...]:
    """Return the range of expected actions, by dimension; empty if unknown.

    Half a range beyond the dataset's, or six standard deviations.
    """
    if "min" in statistics and "max" in statistics:
        pairs = zip(statistics["min"], statistics["max"], strict=False)
        return tuple((low - (high - low) / 2, high + (high - low) / 2) for low, high in pairs)
    pairs = zip(statistics.get("mean", ()), statistics.get("std", ()), strict=False)
    return tuple((mean - 6 * std, mean + 6 * std) for mean, std in pairs)


def action_statistics(subject: Subject) -> dict[str, tuple[float, ...]]:
    """Return the statistics of the action in the postprocessor's state file, by kind."""
    found = _of_action(subject)
    return (
        {kind: statistic.numbers for kind, statistic in found[1].items() if statistic.numbers}
        if found
        else {}
    )
