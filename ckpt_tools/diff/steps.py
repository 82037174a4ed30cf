"""What differs between two lists of processor steps, step by step and by name."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ckpt_tools.diff.model import ValueChange

STEPS = "/steps"

type Differences = Callable[[object, object], Iterator[tuple[str, object, object]]]
type _Steps = Mapping[str, tuple[int, Mapping[str, object]]]


class StepChange(NamedTuple):
    """A step that one side lacks or has elsewhere, or a setting of it that differs.

    `at_a` and `at_b` are its places, counted from 0, None on a side that lacks it. `pointer` is the
    setting in the step, "" where the step itself is meant; `a` and `b` are its values.
    """

    step: str
    at_a: int | None
    at_b: int | None
    pointer: str = ""
    a: object = ABSENT
    b: object = ABSENT


def name_of_step(step: Mapping[str, object]) -> str:
    """Return the registered name of a step, else that of its class without its module."""
    name = step.get("registry_name") or str(step.get("class") or "").rpartition(".")[2]
    return str(name or "?")


def step_changes(change: ValueChange, differences: Differences) -> tuple[StepChange, ...] | None:
    """Return what differs in the steps of a processor, None for what is no two lists of steps.

    `differences` yields those of two JSON values.
    """
    a, b = (_by_name(side) for side in (change.a, change.b))
    if change.pointer != STEPS or a is None or b is None:
        return None
    both = [name for name in a if name in b]
    kept = _in_both_orders([b[name][0] for name in both])
    return (
        *(StepChange(name, a[name][0], None) for name in a if name not in b),
        *(StepChange(name, None, b[name][0]) for name in b if name not in a),
        *(StepChange(name, a[name][0], b[name][0]) for name in both if b[name][0] not in kept),
        *(
            StepChange(name, a[name][0], b[name][0], pointer, left, right)
            for name in both
            for pointer, left, right in differences(a[name][1], b[name][1])
        ),
    )


def _by_name(steps: object) -> _Steps | None:
    """Return the steps by name, the second of a name as name#2; None for what is no such list."""
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return None
    found: dict[str, tuple[int, Mapping[str, object]]] = {}
    for at, step in enumerate(steps):
        plain = name_of_step(step)
        name, number = plain, 1
        while name in found:
            number += 1
            name = f"{plain}#{number}"
        found[name] = at, step
    return found


def _in_both_orders(places: Sequence[int]) -> set[int]:
    """Return a longest rising sequence of different numbers: what has not moved."""
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for place in places:
        length = bisect_left(ends, place)
        before[place] = ends[length - 1] if length else None
        ends[length : length + 1] = [place]
    found: set[int] = set()
    at = ends[-1] if ends else None
    while at is not None:
        found.add(at)
        at = before[at]
    return found


def step_text(found: StepChange, shown: Callable[[object, object], str]) -> str:
    """Return a difference as a line; `shown` writes two values."""
    if found.at_b is None:
        return f"B lacks `{found.step}`"
    if found.at_a is None:
        return f"A lacks `{found.step}`"
    if found.pointer:
        return f"{found.step}{found.pointer}: {shown(found.a, found.b)}"
    return f"`{found.step}` moved: step {found.at_a + 1} in A, step {found.at_b + 1} in B"
