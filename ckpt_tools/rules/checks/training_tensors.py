"""What training keeps beside a model and saves with it: an average of the weights, moments.

A teacher's tensors are in `tensor_names`, files of a training run in `training_state`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.names import literal
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount, is_judged
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_AVERAGE = re.compile(
    r"_?(?:\w+_)?ema(?:_\w+)?|shadow(?:_\w+)?|averaged?(?:_\w+)?|swa(?:_\w+)?|avg_\w+"
)
_HINT = re.compile("ema|shadow|average|swa|avg")
_DEEPEST = 3
"""Segments before which an average's name stands."""

_ALIKE = 0.9
"""The share of tensors that have a counterpart in a copy."""

_FEWEST_OF_ANY = 10
"""Tensors of a copy whose prefix does not say that it is an average."""

_MOMENTS = frozenset(
    {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg"}
)


class _Copy(NamedTuple):
    """Tensors under a prefix (`ema.`), and how many of them have a counterpart elsewhere."""

    prefix: str
    tensors: list[Tensor]
    paired: int


@rule("CK320", "second-copy", Severity.WARNING, needs=Need.HEADERS)
def second_copy(subject: Subject) -> Iterator[Violation]:
    """A second copy of the model among the weights.

    Training that averages the weights (EMA, SWA) keeps the average as a submodule and saves it with
    the model, under `ema.`, `model_ema.`, `shadow.` and the like. A loader drops it with a warning,
    everybody downloads it, and often it is the better of the two. Under a prefix that does not say
    so a copy is only noted: a target network or a reference model may be part of the model, such as
    `model_target.` of LeRobot's tdmpc, which has no counterpart without a prefix.

    Decide which of the two to publish; `ckpt strip` removes the average. To publish the average
    instead, strip the others and rename it: `ckpt rename WHERE 'ema.**' '**'`.

    Bad:

        model.norm.weight
        ema.model.norm.weight

    Good:

        model.norm.weight
    """
    if is_judged(subject):
        return  # every tensor that its loader does not read is reported already
    tensors = subject.checkpoint.tensors
    averages = list(_averages(tensors))
    for copy in averages:
        what = f"{amount(copy.tensors)} under `{copy.prefix}`: a second copy of the model's weights"
        remedy: str | Remedy = "decide which of the two to publish, and strip the other"
        if copy.paired == sum(len(tensor.shape) > 0 for tensor in copy.tensors):
            command = ("ckpt", "strip", "WHERE", f"{literal(copy.prefix)}**")
            remedy = Remedy(command, "if the average is not what you publish: {}")
        yield about(copy.tensors, what, remedy)
    for copy in () if averages else _unnamed(tensors):
        what = f"{amount(copy.tensors)} under `{copy.prefix}` repeat the names of the others"
        remedy = "decide whether the model needs both"
        yield about(copy.tensors, what, remedy, Severity.NOTE)


def _averages(tensors: Sequence[Tensor]) -> Iterator[_Copy]:
    """Yield the copies under a prefix that is an average's, beside the model or a part of it."""
    if not any(_HINT.search(tensor.name) for tensor in tensors):
        return
    groups: defaultdict[str, list[Tensor]] = defaultdict(list)
    rest: dict[str, Tensor] = {}
    for tensor in tensors:
        parts = tensor.name.split(".", _DEEPEST + 1)
        at = next((n for n, one in enumerate(parts[:_DEEPEST]) if _AVERAGE.fullmatch(one)), None)
        if at is None or at == len(parts) - 1:
            rest[tensor.name.replace(".", "")] = tensor  # some averages' names have no dots
        else:
            groups[".".join(parts[: at + 1]) + "."].append(tensor)
    for prefix, members in groups.items():
        parent = prefix[:-1].rpartition(".")[0]
        parent = f"{parent}." if parent else ""
        owners = {"", *(_next(one.name, parent) for one in rest.values())}
        paired = max(_paired(prefix, members, f"{parent}{owner}", rest) for owner in owners)
        measured = sum(len(tensor.shape) > 0 for tensor in members)
        if prefix not in TEACHER_PREFIXES and 1 < measured <= paired / _ALIKE:
            yield _Copy(prefix, members, paired)


def _next(name: str, parent: str) -> str:
    """Return the segment of a name after `parent`, with its dot; "" for names elsewhere."""
    head, dot, _ = name.removeprefix(parent).partition(".")
    return head + dot if dot and name.startswith(parent) else ""


def _paired(prefix: str, members: list[Tensor], owner: str, rest: dict[str, Tensor]) -> int:
    """Return how many tensors under `prefix` have a counterpart of their shape under `owner`."""
    found = 0
    for tensor in members:
        other = rest.get((owner + tensor.name.removeprefix(prefix)).replace(".", ""))
        found += bool(other and tensor.shape and other.shape == tensor.shape)
    return found


def _unnamed(tensors: Sequence[Tensor]) -> Iterator[_Copy]:
    """Yield whole copies under any first segment: nearly all other names, with their shapes."""
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    pairs: Counter[str] = Counter()
    for name, shape in shapes.items():
        head, _, other = name.partition(".")
        pairs[f"{head}."] += shapes.get(other) == shape
    for prefix, paired in pairs.items():
        if paired < _FEWEST_OF_ANY:
            continue
        members = [tensor for tensor in tensors if tensor.name.startswith(prefix)]
        others = len(tensors) - len(members)
        is_whole = paired >= max(_ALIKE * others, _ALIKE * len(members))
        if is_whole and prefix not in TEACHER_PREFIXES:
            yield _Copy(prefix, members, paired)


@rule("CK321", "optimizer-state", Severity.WARNING, needs=Need.HEADERS)
def optimizer_state(subject: Subject) -> Iterator[Violation]:
    """Optimizer state among the weights.

    Adam keeps two moments for every weight (`exp_avg`, `exp_avg_sq`), SGD a `momentum_buffer`. A
    loader drops them with a warning, and they make the file two or three times as large. A file of
    nothing but optimizer state is what it is and is left alone.

    `ckpt strip` removes them; resuming the training needs them, so keep the run's own files.

    Bad:

        model.norm.weight
        optimizer.state.0.exp_avg

    Good:

        model.norm.weight
    """
    if is_judged(subject):
        return
    tensors = subject.checkpoint.tensors
    kept: dict[str, list[Tensor]] = {"": []}
    for tensor in tensors:
        head, _, last = tensor.name.rpartition(".")
        kept.setdefault(last if head and last in _MOMENTS else "", []).append(tensor)
    moments = [tensor for last, members in kept.items() if last for tensor in members]
    owned = {(tensor.name.rpartition(".")[0], ".step", "") for tensor in moments}
    steps = [one for one in kept[""] if one.name.rpartition(".step") in owned]
    if not moments or len(moments) + len(steps) == len(tensors):
        return
    lasts = [last for last in kept if last]
    every_step = [tensor for tensor in tensors if tensor.name.endswith(".step")]
    globs = [f"**.{last}" for last in (*lasts, *(["step"] if steps == every_step != [] else []))]
    what = f"{amount(moments)} of an optimizer's state ({', '.join(sorted(lasts))}) in the weights"
    yield about(moments, what, Remedy(("ckpt", "strip", "WHERE", *globs)))
