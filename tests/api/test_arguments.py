"""What a notebook passes and prints: operations as objects, rules as codes, results in one line."""

from __future__ import annotations

from typing import Any

import pytest

from ckpt_tools import api
from ckpt_tools.api.types import Drop
from ckpt_tools.errors import RecipeInvalid, UnknownSelection
from tests.support.cases import FIXTURES

NORMAL, REFLOW = FIXTURES / "normal", FIXTURES / "reflow"
DROP = {"drop": ["teacher.**"]}


@pytest.mark.parametrize("given", [[DROP], (Drop(("teacher.**",)),), {"operations": [DROP]}])
def test_operations_are_records_or_objects_of_a_recipe(given: Any) -> None:
    made = api.plan(REFLOW, given)
    assert made.operations == (Drop(("teacher.**",)),)
    assert repr(made) == f"<Plan for {str(REFLOW)!r}: 1 step>"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"dorp": ["**"]}], "operations[0]: unknown operation 'dorp'; did you mean drop?"),
        (["drop"], "operations[0]: expected an object, found a string ('drop')"),
        ("drop", "operations: expected a list, found a string ('drop')"),
        (Drop(("**",)), "operations: expected a list, found a Drop"),
        ([Drop], "operations[0]: expected an object, found a type"),
    ],
    ids=str,
)
def test_what_is_no_operation_is_refused_in_a_sentence(given: Any, words: str) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        api.plan(NORMAL, given)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("rules", [("CK301",), "CK301", ["ck301"], api.known_rules(["CK301"])])
def test_rules_are_codes_or_records(rules: Any) -> None:
    found = api.verify(REFLOW, rules=rules)
    assert found.checked == ("CK301",)
    assert repr(found) == f"<Verification {str(REFLOW)!r}: 1 error (1 rule checked)>"


@pytest.mark.parametrize("rules", [["CX1"], [3]])
def test_what_is_no_rule_is_refused_in_a_sentence(rules: Any) -> None:
    with pytest.raises(UnknownSelection, match=r"^no such rule: CX1|^3 is no rule; "):
        api.verify(NORMAL, rules=rules)


def test_a_list_of_words_may_be_one_text() -> None:
    found = api.verify(NORMAL, rules="CK301", require="container", suppress="CK301", reason="known")
    assert found.checked == ("CK301",)
    with pytest.raises(UnknownSelection, match="there is no question 'speed'"):
        api.verify(NORMAL, rules="CK301", require="container, speed")


def test_no_result_is_printed_at_length() -> None:
    compared = api.diff(NORMAL, REFLOW)
    for result in (
        *(api.read(NORMAL), api.show(NORMAL), api.gate(REFLOW, values=False)),
        *(compared, compared.diff, api.diagnose(NORMAL, REFLOW)),
    ):
        text = repr(result)
        assert text.startswith(f"<{type(result).__name__} ")
        assert "\n" not in text
        assert len(text) < 400
