"""What rules find in a checkpoint of a family that a file describes, and what they leave alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.families import family_file, file_family
from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.coverage import Question, coverage_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from tests.support.policies import checkpoint_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.finding import Finding

DOCUMENT = json.loads((Path(__file__).parents[1] / "families/data/made_up.json").read_text())
CONFIG: dict[str, Any] = {
    "model_type": "made_up",
    "architectures": ["MadeUpForCausalLM"],
    "tie_word_embeddings": True,
}
RULES = tuple(rule for rule in all_rules() if not rule.supply_chain)
type Shapes = dict[str, tuple[Dtype, tuple[int, ...]]]


@pytest.fixture(autouse=True)
def given() -> Iterator[dict[str, Any]]:
    """Let `made_up` be a family with a file; a test may change it before it is read."""
    document = dict(DOCUMENT)
    patch = pytest.MonkeyPatch()
    patch.setattr(
        file_family,
        "load",
        lambda library, key: (
            family_file.read(document) if (library, key) == ("transformers", "made_up") else None
        ),
    )
    file_family.family_of_file.cache_clear()
    yield document
    patch.undo()
    file_family.family_of_file.cache_clear()


def whole(config: dict[str, Any] | None = None) -> Shapes:
    found = expected(family_file.read(DOCUMENT), CONFIG | (config or {}))
    assert isinstance(found, Expectation)
    unknown = (24, 5)
    return {
        name: (one.dtype, unknown if one.shape is None else one.shape)
        for name, one in found.tensors.items()
    }


def checkpoint(
    shapes: Shapes,
    config: dict[str, Any] | None = None,
    metadata: tuple[tuple[str, str], ...] | None = None,
) -> Checkpoint:
    members = [
        Tensor(name, dtype, shape, "model.safetensors", 0, header.nbytes(dtype, shape))
        for name, (dtype, shape) in shapes.items()
    ]
    return checkpoint_of(members, CONFIG | (config or {}), metadata)


def findings(there: Checkpoint) -> tuple[Finding, ...]:
    return check_rules(RULES, Subject(there, family_of(there))).findings


def said(there: Checkpoint) -> list[tuple[str, str]]:
    return [(one.code, one.subject) for one in findings(there)]


def covered(there: Checkpoint, question: Question) -> tuple[str, str]:
    subject = Subject(there, family_of(there), entries=())
    outcome = check_rules(RULES, subject)
    found = coverage_of(subject, outcome.covered, RULES, outcome.checked)
    return next((one.state.value, one.detail) for one in found if one.question is question)


def test_what_is_as_expected_has_no_finding_and_is_checked() -> None:
    there = checkpoint(whole())
    assert family_of(there).name == "made_up"
    assert said(there) == []
    assert covered(there, Question.COMPLETENESS) == ("checked", "")
    assert covered(there, Question.AGREEMENT) == ("checked", "")


@pytest.mark.parametrize("name", sorted(whole().keys() - {"lm_head.weight", "model.embed.weight"}))
def test_any_tensor_that_is_missing_is_named(name: str) -> None:
    shapes = whole()
    del shapes[name]
    if name != "tower.patch.weight":  # of which a size is inferred
        assert said(checkpoint(shapes)) == [("CK305", name)]


@pytest.mark.parametrize("name", ["model.layers.1.q.weight", "bn.num_batches_tracked"])
def test_a_renamed_tensor_is_found_under_both_names_and_gets_its_own_back(name: str) -> None:
    shapes = whole()
    shapes["strange"] = shapes.pop(name)
    found = findings(checkpoint(shapes))
    assert [(one.code, one.subject) for one in found] == [("CK305", name), ("CK306", "strange")]
    assert f"ckpt rename here strange {name}" in found[1].next.replace("WHERE", "here").replace(
        " x ", " here "
    )


def test_any_tensor_of_another_shape_is_named() -> None:
    for name, (dtype, shape) in whole().items():
        if shape and not name.startswith(("tower", "stages")):
            shapes = whole() | {name: (dtype, (*shape[:-1], shape[-1] + 3))}
            assert said(checkpoint(shapes)) == [("CK307", name)]


@pytest.mark.parametrize(
    ("name", "dtype", "severity"),
    [
        ("model.layers.1.q.weight", Dtype.I8, Severity.ERROR),
        ("model.layers.1.q.weight", Dtype.F8_E4M3, Severity.ERROR),
        ("model.layers.1.q.weight", Dtype.F64, Severity.WARNING),
        ("bn.num_batches_tracked", Dtype.F32, Severity.WARNING),
        ("strict.weight", Dtype.F32, Severity.WARNING),
    ],
)
def test_a_dtype_that_no_writer_gives_is_found(name: str, dtype: Dtype, severity: Severity) -> None:
    shapes = whole()
    shapes[name] = (dtype, shapes[name][1])
    found = [one for one in findings(checkpoint(shapes)) if not one.code.startswith("CK92")]
    assert [(one.code, one.subject, one.severity) for one in found] == [("CK316", name, severity)]


def test_mixed_precision_of_whole_modules_is_lawful() -> None:
    floats = (Dtype.F32, Dtype.BF16, Dtype.F16)
    shapes = {}
    for name, (dtype, one) in whole().items():
        module = re.sub(r"\d+", "", name.rpartition(".")[0])
        is_free = dtype is Dtype.F32 and name != "strict.weight"
        shapes[name] = (floats[len(module) % 3] if is_free else dtype, one)
    assert len({dtype for dtype, _ in shapes.values()} & set(floats)) == len(floats)
    assert said(checkpoint(shapes)) == []


@pytest.mark.parametrize("kept", ["lm_head.weight", "model.embed.weight"])
def test_of_tied_tensors_one_name_is_enough_whichever_a_writer_keeps(kept: str) -> None:
    (gone,) = {"lm_head.weight", "model.embed.weight"} - {kept}
    shapes = whole()
    del shapes[gone]
    assert said(checkpoint(shapes)) == []
    noted = findings(checkpoint(shapes, metadata=((gone, kept),)))
    assert [(one.code, one.severity) for one in noted] == [("CK309", Severity.NOTE)]
    assert said(checkpoint(shapes, {"tie_word_embeddings": False})) == [("CK305", gone)]
    del shapes[kept]
    assert {name for code, name in said(checkpoint(shapes)) if code == "CK305"} == {
        "model.embed.weight"
    }


def test_what_some_writers_store_is_lawful_with_its_shape_alone() -> None:
    assert said(checkpoint(whole() | {"position_ids": (Dtype.I64, (1, 100))})) == []
    assert said(checkpoint(whole() | {"position_ids": (Dtype.I64, (1, 99))})) == [
        ("CK307", "position_ids")
    ]


def test_names_with_another_base_model_prefix_are_the_loaders(given: dict[str, Any]) -> None:
    given["prefix"] = "model"
    shapes = {name.removeprefix("model."): one for name, one in whole().items()}
    assert said(checkpoint(shapes)) == []
    shapes.pop("layers.1.q.weight")
    assert said(checkpoint(shapes)) == [("CK305", "model.layers.1.q.weight")]


def test_buffers_of_older_releases_and_names_that_the_loader_replaces_are_lawful(
    given: dict[str, Any],
) -> None:
    given["replaced"] = [["^old\\.", "model."]]
    given["ignored"] = ["^junk"]
    shapes = {
        name.replace("model.embed", "old.embed"): one for name, one in whole().items()
    } | dict.fromkeys(("model.layers.0.rotary_emb.inv_freq", "junk.x"), (Dtype.F32, (4,)))
    assert said(checkpoint(shapes)) == []


def test_another_head_is_a_note_and_anything_else_a_warning() -> None:
    more = whole() | {"score.weight": (Dtype.F32, (2, 64))}
    assert [one.severity for one in findings(checkpoint(more))] == [Severity.NOTE]
    more = whole() | {"ema.decay": (Dtype.F32, (2, 64))}
    assert [one.severity for one in findings(checkpoint(more))] == [Severity.WARNING]


def test_what_the_loader_does_is_in_the_words(given: dict[str, Any]) -> None:
    given["loader"] = {"missing": "hidden", "unexpected": "rejected", "misshapen": "rejected"}
    shapes = whole() | {"x": (Dtype.F32, (1,))}
    del shapes["vlm.weight"]
    missing, unexpected = findings(checkpoint(shapes))
    assert "hides the error and leaves these at random values" in missing.what
    assert "transformers rejects the checkpoint" in unexpected.what
    assert unexpected.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architectures": ["Other"]}, "no expectation for architecture Other"),
        ({"quantization_config": {"quant_method": "gptq"}}, "has a quantization_config"),
        ({"hidden_size": "x"}, "hidden_size in config.json must be an integer"),
    ],
)
def test_where_the_expectation_is_unknown_nothing_is_judged_and_the_reason_is_said(
    config: dict[str, Any], reason: str
) -> None:
    shapes = whole()
    del shapes["vlm.weight"]
    there = checkpoint(shapes, config)
    assert not {code for code, _ in said(there)} & {"CK305", "CK306", "CK307", "CK316"}
    state, detail = covered(there, Question.COMPLETENESS)
    assert state != "checked"
    assert reason in detail or state == "partly"


def test_a_model_of_other_names_throughout_is_not_judged() -> None:
    there = checkpoint({f"x.{name}": one for name, one in whole().items()})
    assert said(there) == []
    found = family_of(there).expected(there)
    assert isinstance(found, Unknown)
    assert "fewer than half" in found.reason


def test_of_a_family_with_names_only_no_shape_is_judged(given: dict[str, Any]) -> None:
    given["state"] = "names"
    shapes = whole() | {"vlm.weight": (Dtype.F32, (1, 2, 3))}
    assert said(checkpoint(shapes)) == []
    assert covered(checkpoint(shapes), Question.COMPLETENESS)[0] == "checked"
    assert covered(checkpoint(shapes), Question.AGREEMENT)[0] == "skipped"
    assert "names" in covered(checkpoint(shapes), Question.AGREEMENT)[1]


@pytest.mark.parametrize(
    ("real", "stated", "command"),
    [
        ({"vocab_size": 96}, {}, "set /vocab_size 96"),
        ({"hidden_size": 128}, {}, "set /hidden_size 128"),
        ({"num_hidden_layers": 3}, {}, "set /num_hidden_layers 3"),
        ({"num_hidden_layers": 6}, {}, "set /num_hidden_layers 6"),
        ({"num_experts": 5}, {"num_experts": 3}, "set /num_experts 5"),
        ({"num_key_value_heads": 2}, {"num_key_value_heads": 4}, "set /num_key_value_heads 2"),
    ],
)
def test_one_wrong_number_of_the_config_is_named_with_the_right_one(
    real: dict[str, Any], stated: dict[str, Any], command: str
) -> None:
    found = findings(checkpoint(whole(real), stated))
    assert {one.code for one in found} <= {"CK305", "CK306", "CK307"}
    assert all(command in one.next for one in found)


def test_where_no_one_number_explains_it_no_command_is_suggested() -> None:
    shapes = whole({"vocab_size": 96, "num_hidden_layers": 3})
    assert not any("ckpt config" in one.next for one in findings(checkpoint(shapes)))


ROBOT = {
    "observation.state": {"type": "STATE", "shape": [3]},
    "observation.image": {"type": "VISUAL", "shape": [3, 8, 8]},
}


@pytest.mark.parametrize(
    "real", [{"input_features": ROBOT}, {"vocab_size": 96, "num_hidden_layers": 6}]
)
def test_weights_that_another_config_has_are_never_stripped(real: dict[str, Any]) -> None:
    found = [one for one in findings(checkpoint(whole(real))) if one.code == "CK306"]
    assert {one.next for one in found} == {
        "correct config.json: with another one, the loader reads them"
    }


def test_weights_that_no_config_has_are_stripped() -> None:
    (found,) = findings(checkpoint(whole() | {"ema.weight": (Dtype.F32, (2,))}))
    assert (found.code, found.remedy.argv) == ("CK306", ("ckpt", "strip", "x", "ema.**"))


def test_the_config_may_be_wrong_about_the_tie() -> None:
    shapes = whole()
    del shapes["lm_head.weight"]
    (found,) = findings(checkpoint(shapes, {"tie_word_embeddings": False}))
    assert "set /tie_word_embeddings true" in found.next
