"""No name holds a wrapper's segment.

torch.compile, DataParallel and FSDP wrap a module, and a state dict taken from the wrapped module
has `_orig_mod`, `module` or `_fsdp_wrapped_module` in its names. Stock LeRobot finds none of these
names: it loads the checkpoint and leaves the weights at random values, with no more than a warning.

`ckpt sanitize` removes the segments; `ckpt rename` does it for one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import WRAPPERS, unwrapped
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount, first_of, place
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each set of wrapper segments."""
    groups: defaultdict[tuple[str, ...], list[Tensor]] = defaultdict(list)
    for tensor in subject.checkpoint.tensors:
        if unwrapped(tensor.name) != tensor.name:
            groups[
                tuple(sorted({part for part in tensor.name.split(".") if part in WRAPPERS}))
            ].append(tensor)
    # A model that nobody knows may have a part of that name.
    severity = Severity.WARNING if subject.family.cleaning is None else None
    for segments, tensors in groups.items():
        words = " and ".join(f"`{segment}`" for segment in segments)
        what = f"{amount(tensors)} with {words} in their names, as a wrapped model has them: a loader finds none of these names"
        yield Violation(what, place(tensors), first_of(tensors), severity=severity)


RULE = Rule(
    code="CK302",
    name="wrapped-names",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
)
