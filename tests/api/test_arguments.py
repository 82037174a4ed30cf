"""What a notebook passes and prints: operations as objects, rules as codes, results in one line."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.api.types import (
    Aspect,
    Cast,
    Drop,
    DropFile,
    Dtype,
    Keep,
    Reshard,
    Selection,
    Take,
)
from ckpt_tools.errors import EditRefused, RecipeInvalid, UnknownSelection
from tests.support.cases import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

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


PLAIN: dict[str, tuple[Any, Any]] = {
    "drop": (Drop("teacher.**"), Drop(("teacher.**",))),  # type: ignore[arg-type] # the point
    "keep": (Keep(["model.**"]), Keep(("model.**",))),  # type: ignore[arg-type] # the point
    "files": (DropFile("train_config.json"), DropFile(("train_config.json",))),  # type: ignore[arg-type] # the point
    "dtype": (Cast("BF16", skip=True), Cast(Dtype.BF16, skip=True)),  # type: ignore[arg-type] # the point
    "cast": (Cast(Dtype.F16, "**.bias", skip=True), Cast(Dtype.F16, ("**.bias",), skip=True)),  # type: ignore[arg-type] # the point
    "size": (Reshard("100kB"), Reshard(100_000)),  # type: ignore[arg-type] # the point
}


@pytest.mark.parametrize(("given", "meant"), PLAIN.values(), ids=PLAIN)
def test_an_operation_reads_plain_texts_as_a_recipe_does(given: Any, meant: Any) -> None:
    assert api.plan(REFLOW, [given]).operations == (meant,)


def test_the_source_of_an_operation_may_be_a_path_object() -> None:
    (taken,) = api.plan(NORMAL, [Take(REFLOW, "teacher.**")]).operations  # type: ignore[arg-type] # the point
    assert taken == Take(str(REFLOW), ("teacher.**",))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Drop(3), "operations[0].drop: expected a list, found a number (3)"),  # type: ignore[arg-type] # the point
        (Drop(()), "operations[0].drop: is an empty list"),
        (Cast("BF1"), "operations[0].cast.dtype: unknown dtype 'BF1'; did you mean BF16?"),  # type: ignore[arg-type] # the point
        (Reshard("much"), "operations[0].reshard.max-size: expected a size"),  # type: ignore[arg-type] # the point
    ],
    ids=str,
)
def test_a_field_of_an_operation_is_checked_as_in_a_recipe(given: Any, words: str) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        api.plan(NORMAL, [given])
    assert str(caught.value).startswith(words)


def test_one_text_is_one_glob_one_word_or_one_path(tmp_path: Path) -> None:
    compared = api.diff(NORMAL, REFLOW, select="model.**", ignore="**.bias", aspects="keys, dtype")
    assert compared.select == ("model.**",)
    assert compared.ignore == ("**.bias",)
    assert compared.aspects == (Aspect.KEYS, Aspect.DTYPE)
    assert api.known_rules("CK30") == api.known_rules(["CK30"])
    shutil.copytree(NORMAL, tmp_path / "one")
    assert api.audit(str(tmp_path), out=tmp_path / "a.db", only="**", jobs=1).found == 1
    codes = Selection(codes="CK301")  # type: ignore[arg-type] # the point
    assert len(api.read_audit(tmp_path / "a.db", by="rule, family", selection=codes).tables) == 2
    unset = api.config.unset_values(tmp_path / "one", "num_steps", dry_run=True)
    assert [change.pointer for change in unset.changes] == ["/num_steps"]
    with pytest.raises(UnknownSelection, match=r"'x' is not NAME=DIR"):
        api.spec(NORMAL, live=True, base="x")


def test_a_plan_equals_itself_after_it_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(REFLOW, "mine")
    made = api.sanitize("mine")
    api.save_plan(made, "plan.json")
    loaded = api.load_plan("plan.json")
    assert loaded == made
    assert {loaded, made} == {made}
    assert api.plan("mine", [DROP]) != made


def test_a_value_of_another_type_is_set_only_on_request(tmp_path: Path) -> None:
    home = shutil.copytree(NORMAL, tmp_path / "a")
    with pytest.raises(EditRefused, match="is a number"):
        api.config.set_value(home, "n_action_steps", "10")
    assert api.config.get(home, "n_action_steps") == 50
    api.config.set_value(home, "n_action_steps", "10", change_type=True)
    assert api.config.get(home, "n_action_steps") == "10"


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
