"""A verdict says what was checked, and claims nothing about the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.spec import spec_of, write_spec
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.gate.settings import settings_of
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.rules.coverage import Coverage, Question, State, merged, not_checked, unreadable
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.rules.finding import Verification

NORMAL = "fixtures/normal"
NOTHING = Settings(today="2026-01-01")
CHECKED, PARTLY, SKIPPED = State


def states(verification: Verification) -> dict[str, State]:
    return {str(one.question): one.state for one in verification.coverage}


@pytest.fixture
def unknown(tmp_path: Path) -> str:
    return str(model(tmp_path / "m", {"a.weight": (2, 3)}, {"config.json": {"model_type": "new"}}))


def test_a_known_family_is_checked_for_completeness_agreement_and_processors() -> None:
    assert states(api.verify(NORMAL, settings=NOTHING)) == {
        "container": CHECKED,
        "values": SKIPPED,
        "completeness": CHECKED,
        "agreement": CHECKED,
        "processors": CHECKED,
        "supply-chain": SKIPPED,
    }


def test_an_unknown_family_has_no_processors_and_no_expectation(unknown: str) -> None:
    found = api.verify(unknown, settings=NOTHING)
    assert found.clean
    assert states(found) == {
        "container": CHECKED,
        "values": SKIPPED,
        "completeness": SKIPPED,
        "agreement": SKIPPED,
        "supply-chain": SKIPPED,
    }
    options = {str(one.question): one.options for one in found.coverage}
    assert options["completeness"] == ("--live", "--reference", "--spec")
    assert options["values"] == ("--values",)


@pytest.mark.parametrize("kind", ["evo1", "molmoact2", "vla_jepa", "wall_x"])
def test_a_policy_without_a_file_is_named_and_not_called_complete(
    kind: str, tmp_path: Path
) -> None:
    config = {"type": kind, "input_features": {}, "output_features": {}}
    folder = model(tmp_path / "m", {"a.weight": (2, 3)}, {"config.json": config})
    found = api.verify(folder, settings=NOTHING)
    assert found.family == kind
    (one,) = (one for one in found.coverage if one.question == "completeness")
    assert (one.state, one.detail) == (SKIPPED, "no expectation for this family")


def test_what_an_option_adds_is_checked_with_it(unknown: str) -> None:
    assert states(api.verify(unknown, values=True, settings=NOTHING))["values"] is CHECKED
    with_reference = states(api.verify(unknown, reference=unknown, settings=NOTHING))
    assert with_reference["completeness"] is CHECKED
    verdict = api.gate(unknown, settings=NOTHING)
    assert states(verdict.verification)["supply-chain"] is CHECKED
    assert states(verdict.verification)["values"] is CHECKED


def test_the_lockfile_answers_completeness_and_part_of_agreement(
    unknown: str, tmp_path: Path
) -> None:
    spec = tmp_path / "lock.json"
    write_spec(spec_of(api.read(unknown)), str(spec))
    found = api.verify(unknown, spec=spec, settings=NOTHING)
    assert states(found)["completeness"] is CHECKED
    assert states(found)["agreement"] is PARTLY


def test_a_question_is_open_where_its_rules_were_left_out() -> None:
    rules = [rule for rule in api.known_rules() if rule.code == "CK301"]
    found = states(api.verify(NORMAL, rules=rules, values=True, settings=NOTHING))
    assert found["completeness"] is SKIPPED
    assert found["values"] is SKIPPED


def test_an_expectation_that_the_config_withholds_is_none(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {"w": (2,)}, {"config.json": {"type": "smolvla"}})
    assert states(api.verify(str(folder), settings=NOTHING))["completeness"] is SKIPPED


def test_what_cannot_be_read_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 20)
    found = api.verify(str(tmp_path), settings=NOTHING)
    assert not found.clean
    assert {one.state for one in found.coverage if one.question is not Question.CONTAINER} == {
        SKIPPED
    }


# --- require --------------------------------------------------------------------------------------


def codes(verification: Verification) -> set[str]:
    return {finding.code for finding in verification.findings}


def test_a_required_question_that_is_skipped_fails(unknown: str) -> None:
    found = api.verify(unknown, require=("completeness",), settings=NOTHING)
    assert codes(found) == {"CK824"}
    assert not found.clean
    verdict = api.gate(unknown, require=("completeness",), settings=NOTHING)
    assert not verdict.passes
    assert "CK824" in {finding.code for finding in verdict.refused}


def test_a_required_question_that_is_checked_or_does_not_arise_passes(unknown: str) -> None:
    required = ("completeness", "values", "processors")
    options = {"reference": unknown, "values": True, "settings": NOTHING}
    assert codes(api.verify(unknown, require=required, **options)) == set()  # type: ignore[arg-type]  # one table for all options


def test_partly_checked_does_not_satisfy_a_requirement(unknown: str, tmp_path: Path) -> None:
    spec = tmp_path / "lock.json"
    write_spec(spec_of(api.read(unknown)), str(spec))
    (finding,) = api.verify(unknown, spec=spec, require=("agreement",), settings=NOTHING).findings
    assert "only partly checked" in finding.what


def test_the_settings_require_too(unknown: str) -> None:
    settings = settings_of({"require": ["completeness"]}, "ckpt.toml")
    assert codes(api.verify(unknown, settings=settings)) == {"CK824"}


def test_another_question_is_refused_with_the_known_ones(unknown: str) -> None:
    with pytest.raises(UnknownSelection, match="require container, values, completeness"):
        api.verify(unknown, require=("everything",), settings=NOTHING)


# --- words and wholes -----------------------------------------------------------------------------


def test_one_open_question_is_said_with_its_reason() -> None:
    one = (Coverage(Question.COMPLETENESS, SKIPPED, "no expectation for this family"),)
    assert not_checked(one) == "completeness not checked: no expectation for this family"
    assert not_checked((Coverage(Question.VALUES, CHECKED),)) == ""


def test_several_open_questions_are_listed() -> None:
    found = (
        Coverage(Question.VALUES, SKIPPED, "a"),
        Coverage(Question.COMPLETENESS, SKIPPED, "b"),
        Coverage(Question.AGREEMENT, PARTLY, "layers"),
    )
    assert not_checked(found) == "not checked: values, completeness; partly checked: agreement"


def test_a_whole_is_checked_where_all_its_components_are() -> None:
    values = Coverage(Question.VALUES, CHECKED)
    known = Coverage(Question.COMPLETENESS, CHECKED)
    unknown = Coverage(Question.COMPLETENESS, SKIPPED, "no expectation", ("--reference",))
    whole = merged([("unet", (values, known)), ("vae", (values, unknown))])
    assert whole == (
        values,
        Coverage(Question.COMPLETENESS, PARTLY, "unet completely", ("--reference",)),
    )
    assert merged([("a", (unknown,)), ("b", (unknown,))]) == (unknown,)
    missing = unreadable(without_checkpoint=True)
    named = {one.question: one.detail for one in merged([("a", (unknown,)), ("b", missing)])}
    assert named[Question.COMPLETENESS] == "no expectation"
    assert named[Question.VALUES] == "there is no checkpoint"


def test_of_a_model_that_sees_and_writes_only_the_language_model_has_its_layers_compared(
    tmp_path: Path,
) -> None:
    prefix = "language_model.model."
    shapes = {f"{prefix}embed_tokens.weight": (8, 4), f"{prefix}layers.0.mlp.weight": (4, 4)}
    text = {"vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1}
    config = {"model_type": "llava", "text_config": text, "vision_config": {"hidden_size": 4}}
    found = api.verify(model(tmp_path, shapes, {"config.json": config}), settings=NOTHING)
    details = {one.question: one.detail for one in found.coverage}
    assert details[Question.COMPLETENESS] == "layers of the language model"
    assert details[Question.AGREEMENT].endswith("number of layers of the language model")
