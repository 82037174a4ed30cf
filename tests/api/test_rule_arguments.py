"""What stands for rules and words in Python: a mistake is an error, never a check of nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from ckpt_tools import api, errors
from tests.support.cases import NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

FIVE = cast("Any", 5)


@pytest.mark.parametrize("rules", [[], (), "", ","])
def test_no_rule_is_not_a_clean_checkpoint(rules: Any) -> None:
    with pytest.raises(errors.UnknownSelection, match="no rule is selected; omit rules= to check"):
        api.verify(NORMAL, rules=rules)


@pytest.mark.parametrize(
    "call",
    [
        lambda: api.explain(FIVE),
        lambda: api.known_rules([FIVE]),
        lambda: api.known_rules(family=FIVE),
        lambda: api.verify(NORMAL, suppress=[FIVE], reason="x"),
        lambda: api.verify(NORMAL, suppress=["CK301"], reason=FIVE),
        lambda: api.verify(NORMAL, require=[FIVE]),
        lambda: api.verify(NORMAL, base=[FIVE]),
        lambda: api.gate(NORMAL, suppress=[FIVE], reason="x"),
    ],
)
def test_what_is_no_text_is_a_type_error_with_the_value(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"^expected a string, not 5$"):
        call()


def test_a_reason_without_a_rule_is_refused() -> None:
    with pytest.raises(errors.UnknownSelection, match="name rules with suppress=CODES, or omit re"):
        api.verify(NORMAL, suppress=",", reason="x")
