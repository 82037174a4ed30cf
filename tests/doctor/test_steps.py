"""Steps that a student's processors lack, and verdicts that follow the tables above them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "type": "xvla",
    "input_features": {},
    "output_features": {},
    "n_action_steps": 20,
}
IMAGES: dict[str, Any] = {"registry_name": "xvla_imagenet_normalize", "config": {}}
STEPS: list[dict[str, Any]] = [
    {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
    {"registry_name": "to_batch_processor", "config": {}},
    IMAGES,
    {"registry_name": "device_processor", "config": {"device": "cpu"}},
]
POST: list[dict[str, Any]] = [{"registry_name": "device_processor", "config": {"device": "cpu"}}]


def policy(folder: Path, steps: list[dict[str, Any]]) -> str:
    documents = {
        "config.json": CONFIG,
        "policy_preprocessor.json": {"name": "policy_preprocessor", "steps": steps},
        "policy_postprocessor.json": {"name": "policy_postprocessor", "steps": POST},
    }
    return str(model(folder, {"head.weight": (2, 2)}, documents))


def doctor(
    folder: Path, steps: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit status and output, for a student whose preprocessor has these steps."""
    status = main(["doctor", policy(folder / "a", STEPS), policy(folder / "b", steps), "--no-live"])
    return status, capsys.readouterr().out


def test_a_step_that_only_the_student_lacks_is_a_cause_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, shown = doctor(tmp_path, [step for step in STEPS if step is not IMAGES], capsys)
    assert status == 1
    assert (
        "processors-broken: the processors do not have NORMAL's steps: policy_preprocessor.json"
        " lacks xvla_imagenet_normalize"
    ) in shown
    assert "preprocessor: xvla_imagenet_normalize  step 3  absent" in shown
    assert "nothing wrong" not in shown


def test_steps_in_another_order_are_a_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = [STEPS[0], STEPS[2], STEPS[1], STEPS[3]]
    status, shown = doctor(tmp_path, moved, capsys)
    assert status == 1
    assert "policy_preprocessor.json has in another place" in shown


@pytest.mark.parametrize(
    "steps",
    [
        [*STEPS, {"registry_name": "another_step", "config": {}}],
        [STEPS[0] | {"config": {"rename_map": {"a": "b"}}}, *STEPS[1:]],
    ],
    ids=["a step more", "a setting"],
)
def test_nothing_wrong_is_never_said_under_a_table_that_shows_a_difference(
    steps: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, shown = doctor(tmp_path, steps, capsys)
    assert status == 0
    assert "no cause found in the files, although 1 setting differs" in shown
    assert "nothing wrong" not in shown


def test_equal_processors_show_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown = doctor(tmp_path, STEPS, capsys)
    assert (status, "nothing wrong found in the files" in shown) == (0, True)


def test_an_action_chunk_that_is_too_short_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    act = {"config.json": CONFIG | {"type": "act", "chunk_size": 20}}
    more = {"config.json": act["config.json"] | {"n_action_steps": 40}}
    normal, reflow = (
        str(model(tmp_path / name, {"model.head.weight": (2, 2)}, config))
        for name, config in (("normal", act), ("more", more))
    )
    assert main(["doctor", normal, reflow, "--no-live", "--format", "json"]) == 1
    (cause,) = json.loads(capsys.readouterr().out)["causes"]
    assert cause["what"].startswith("n_action_steps is 40, but chunk_size is 20")


def test_the_repair_gives_back_the_steps(tmp_path: Path) -> None:
    sides = policy(tmp_path / "a", STEPS), policy(tmp_path / "b", STEPS[:2])
    (cause,) = api.diagnose(*sides).causes
    assert cause.repair.argv[0] == "cp"
