"""No tensor that the loader looks for is stored under another's name only.

safetensors keeps one name of two tensors that share storage and notes the other in the metadata.
Nobody reads that note: stock LeRobot looks for the name, does not find it, and leaves the weights
at random values with no more than a warning. It happens to the VLM of a student that shares it with
a registered teacher. A pair that the model itself ties, such as lm_head and the embedding, is
stored like that on purpose.

`ckpt sanitize` gives tensors their own names again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import Unknown
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import by_part, first, only_file
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

type _Alias = tuple[str, str]
"""(the name that is noted, the name that is kept)."""

_TIED = ("lm_head.weight", "embed_tokens.weight")


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each part of the model with names that are lost, and one for all others."""
    held = {unwrapped(tensor.name) for tensor in subject.checkpoint.tensors}
    aliases = [
        pair for file in subject.checkpoint.weights for pair in file.aliases if pair[0] not in held
    ]
    expectation = subject.family.expected(subject.checkpoint)
    needed = frozenset[str]() if isinstance(expectation, Unknown) else expectation.tensors.keys()
    lost = [pair for pair in aliases if pair[0] in needed and not _tied(pair)]
    for part, members in by_part(subject.family, ((pair[0], pair) for pair in lost)):
        what = f"{count(len(members), 'tensor')} stored only under another name, such as `{members[0][1]}` ({part}): {subject.family.missing}"
        yield Violation(what, only_file(subject.checkpoint), first(alias for alias, _ in members))
    rest = [pair for pair in aliases if pair not in set(lost)]
    if rest:
        what = f"{count(len(rest), 'name')} noted in the metadata for a tensor stored under another, such as `{rest[0][1]}`"
        after = "nothing to do if the model ties the two itself"
        yield Violation(
            what,
            only_file(subject.checkpoint),
            first(alias for alias, _ in rest),
            after,
            Severity.NOTE,
        )


def _tied(pair: _Alias) -> bool:
    """Whether a model is known to tie the two."""
    kinds = {next((kind for kind in _TIED if name.endswith(kind)), name) for name in pair}
    return kinds == set(_TIED)


RULE = Rule(
    code="CK309",
    name="aliased-names",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
    fix="ckpt sanitize WHERE",
    safe=True,
)
