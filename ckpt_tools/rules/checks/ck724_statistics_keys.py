"""Statistics are keyed by the feature they are of.

LeRobot looks for `observation.state.mean`. What stands under `so100.buffer.observation_state.mean`,
`normalize_inputs.…` or `observation_state.mean` it loads and never reads: the feature passes
through as it is, without a word. A name without a dot makes it fail.

Rename the tensors of the state file, or migrate the original checkpoint again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import POST, PRE, misnamed, normalizers, read_at_inference
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding a feature whose statistics stand under another name, and one for names that cannot be read."""
    for path in (PRE, POST):
        for normalizer in normalizers(subject, path):
            for name in normalizer.loose:
                yield Violation(
                    f"{name} names no feature and statistic: stock LeRobot fails to load the processor",
                    normalizer.file,
                    name,
                )
            for read in read_at_inference(subject, normalizer):
                found = misnamed(normalizer, read.feature)
                if found and not read.statistics:
                    yield Violation(
                        f"{found} is not read, and {read.feature} not normalised",
                        normalizer.file,
                        found,
                        f"rename it to {read.feature}.…",
                    )


RULE = Rule(
    code="CK724",
    name="statistics-keys",
    severity=Severity.ERROR,
    needs=frozenset({Need.HEADERS}),
    check=check,
    page=__doc__,
)
