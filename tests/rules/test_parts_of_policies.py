"""Policies of which a part is not there: the weights beside an adapter, a processor, its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.rules.coverage import Coverage, Question, State
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "base_model.model.model.state_proj"
ADAPTER = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["state_proj"],
    "base_model_name_or_path": "lerobot/smolvla_base",
}
POLICY = {"type": "smolvla", "use_peft": True, "load_vlm_weights": True, "num_steps": 10}
POLICY_OF_ACT = {
    "type": "act",
    "input_features": {"observation.state": {"type": "STATE", "shape": [6]}},
    "output_features": {"action": {"type": "ACTION", "shape": [6]}},
    "normalization_mapping": {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "built in F32": ("CK701", {"load_vlm_weights": False}),
    "a fork's switch": ("CK702", {"use_reflow": False}),
    "a training field": ("CK703", {"teacher_model_path": "outputs/teacher"}),
    "an unknown field": ("CK704", {"one_step": True}),
    "no cache": ("CK708", {"use_cache": False}),
    "no steps": ("CK709", {"num_steps": 0}),
}


def adapter(folder: Path, **config: Any) -> str:
    shapes = {f"{MODULE}.lora_A.weight": (4, 6), f"{MODULE}.lora_B.weight": (6, 4)}
    documents = {"config.json": POLICY | config, "adapter_config.json": ADAPTER}
    return str(model(folder, shapes, documents, file="adapter_model.safetensors"))


def codes(where: str) -> set[str]:
    return {one.code for one in api.verify(where).findings if one.code < "CK711"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_config_is_found_and_its_command_repairs_it(
    fault: str, tmp_path: Path
) -> None:
    code, config = FAULTS[fault]
    where = adapter(tmp_path, **config)
    assert codes(where) == {code}
    (finding,) = (one for one in api.verify(where).findings if one.code == code)
    assert finding.remedy.argv[:2] == ("ckpt", "config")
    assert main([*finding.remedy.argv[1:]]) == 0
    assert codes(where) == set()


def test_a_good_config_and_that_of_another_policy_are_left_alone(tmp_path: Path) -> None:
    assert codes(adapter(tmp_path / "smolvla")) == set()
    other = adapter(tmp_path / "act", type="act", use_cache=False)
    assert not {"CK701", "CK702", "CK703", "CK708", "CK709"} & codes(other)


def test_processors_that_are_not_there_were_not_checked(tmp_path: Path) -> None:
    shapes = {"model.weight": (2, 2)}
    config = {"type": "act", "input_features": {}, "output_features": {}}
    where = model(tmp_path, shapes, {"config.json": config})
    (none,) = (one for one in api.verify(where).coverage if one.question is Question.PROCESSORS)
    assert none == Coverage(Question.PROCESSORS, State.SKIPPED, "there are none")
    (where / "policy_preprocessor.json").write_text('{"name": "policy_preprocessor", "steps": []}')
    (one,) = (one for one in api.verify(where).coverage if one.question is Question.PROCESSORS)
    assert (one.state, one.detail) == (
        State.PARTLY,
        "policy_preprocessor.json, the other is missing",
    )


@pytest.mark.parametrize("document", ['{"steps": null}', "{}"])
def test_a_processor_without_a_list_of_steps_is_one_finding(document: str, tmp_path: Path) -> None:
    where = model(tmp_path, {"model.weight": (2, 2)}, {"config.json": POLICY_OF_ACT})
    for path in ("policy_preprocessor.json", "policy_postprocessor.json"):
        (where / path).write_text(document)
    found = [one for one in api.verify(where).findings if one.path.startswith("policy_")]
    assert [(one.code, one.subject) for one in found] == [("CK733", "/steps")] * 2
