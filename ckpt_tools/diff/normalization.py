"""What of a comparison is about normalization: the steps that do it, their statistics and settings.

A policy that lost its normalization may load and run, and acts wrongly: these differences must not
stand among harmless config values. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.diff.compare import differences
from ckpt_tools.diff.steps import name_of_step, step_changes
from ckpt_tools.families.lerobot import is_buffer
from ckpt_tools.strict_json.pointer import segments

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.diff.model import Diff, FileChange, ValueChange
    from ckpt_tools.diff.steps import StepChange

_SETTINGS = {
    CONFIG: frozenset({"normalization_mapping"}),
    **dict.fromkeys(
        ("preprocessor_config.json", "processor_config.json"),
        frozenset({"do_normalize", "image_mean", "image_std"}),
    ),
}
"""Keys that say how to normalize, by file."""


class NormalizationDiff(NamedTuple):
    """The differences in normalization, and the other differences in config values and files.

    `steps` are (file, difference) of processors. `values` are statistics and settings. `files` are
    those that one side lacks, with the normalizing steps that they are of or contain. `buffers` is
    whether B has its statistics among the weights, as policies before LeRobot 0.4 do, and
    `lost_buffers` is the number of A's such tensors where B has neither them nor a step.
    """

    steps: tuple[tuple[str, StepChange], ...]
    values: tuple[ValueChange, ...]
    files: tuple[tuple[FileChange, tuple[str, ...]], ...]
    other_values: tuple[ValueChange, ...]
    other_files: tuple[FileChange, ...]
    buffers: bool
    lost_buffers: int

    @property
    def number(self) -> int:
        """Number of differences in normalization."""
        return len(self.steps) + len(self.values) + len(self.files)

    def is_lost(self, file: FileChange, names: tuple[str, ...]) -> bool:
        """Whether B has neither a file nor another of the same steps."""
        elsewhere = {name for other, steps in self.files if other.a is None for name in steps}
        return file.b is None and not self.buffers and not {*names} <= elsewhere


def is_normalizing(step: str) -> bool:
    """Whether a processor step normalizes or denormalizes, by its name."""
    return "normaliz" in step.lower()


def normalization_of(diff: Diff) -> NormalizationDiff:
    """Return the differences in normalization apart from the others."""
    files = _by_file(diff.a) | _by_file(diff.b)
    states = {file.path for side in (diff.a, diff.b) for file in side.states} & files.keys()
    steps: list[tuple[str, StepChange]] = []
    values, others = [], []
    for change in diff.values:
        several = step_changes(change, differences) or ()
        found = [(change.path, step) for step in several if is_normalizing(step.step)]
        steps += found
        if change.path in states or _is_setting(change):
            values.append(change)
        elif not found or len(found) < len(several):
            others.append(change)
    buffers = [tensor for tensor in diff.only_a if is_buffer(tensor.name)]
    return NormalizationDiff(
        steps=tuple(steps),
        values=tuple(values),
        files=tuple((file, files[file.path]) for file in diff.files if file.path in files),
        other_values=tuple(others),
        other_files=tuple(file for file in diff.files if file.path not in files),
        buffers=any(is_buffer(tensor.name) for tensor in diff.b.tensors),
        lost_buffers=0 if _by_file(diff.b) else len(buffers),
    )


def _is_setting(change: ValueChange) -> bool:
    keys = _SETTINGS.get(change.path, frozenset())
    return not keys.isdisjoint(segments(change.pointer)[:1])


def _by_file(side: Checkpoint) -> dict[str, tuple[str, ...]]:
    """Return the normalizing steps by processor, and by the file of statistics that each names."""
    found: dict[str, tuple[str, ...]] = {}
    for document in side.documents:
        steps = document.value.get("steps")
        for step in steps if isinstance(steps, list) else ():
            name = name_of_step(step) if isinstance(step, dict) else ""
            if is_normalizing(name):
                found[document.path] = (*found.get(document.path, ()), name)
                found |= {str(step["state_file"]): (name,)} if "state_file" in step else {}
    return found
