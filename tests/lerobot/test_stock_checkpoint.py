"""Show and diff on real input.

A checkpoint that stock `lerobot-train` wrote, shown, compared with its own first step, and with a
dirty copy of itself.

The templates of the fixtures have the keys that this LeRobot writes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from ckpt_tools import api
from ckpt_tools.diff.model import StoryKind
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.families.smolvla.layout import dtype_of
from ckpt_tools.strict_json.pointer import ABSENT
from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lerobot

TENSORS = 124
"""Of the tiny policy.

37 of the vision tower, 1 connector, 38 of the text model, 1 lm_head, 37 of the expert, 10
projections.
"""

TEMPLATES = Path(__file__).parents[2] / "fixtures" / "templates"
TEACHER = "outputs/train/teacher/checkpoints/last/pretrained_model"


class Run(Protocol):
    """A finished run: see conftest.py."""

    folder: Path
    log: str

    def step(self, number: int) -> Path: ...


ckpt = forked.ckpt


@pytest.fixture(scope="session")
def dirty(stock_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the last checkpoint as a fork leaves it.

    Every tensor once more under `teacher.`, and the fork's config.
    """
    folder = tmp_path_factory.mktemp("dirty") / "pretrained_model"
    shutil.copytree(stock_run.step(2), folder)
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header, payload = json.loads(data[8:start]), data[start:]
    header.pop("__metadata__", None)
    teacher = {
        f"teacher.{name}": entry
        | {"data_offsets": [len(payload) + at for at in entry["data_offsets"]]}
        for name, entry in header.items()
    }
    text = json.dumps(header | teacher).encode()
    weights.write_bytes(len(text).to_bytes(8, "little") + text + payload + payload)
    config = folder / "config.json"
    changed = json.loads(config.read_text(encoding="utf-8")) | {
        "load_vlm_weights": False,
        "use_reflow": True,
        "teacher_model_path": TEACHER,
    }
    config.write_text(json.dumps(changed, indent=4), encoding="utf-8")
    return folder


# --- as it is -------------------------------------------------------------------------------------


def test_the_run_folder_resolves_to_its_last_checkpoint(stock_run: Run) -> None:
    summary = api.show(str(stock_run.folder))
    assert Path(summary.checkpoint.root).resolve() == stock_run.step(2).resolve()
    assert summary.family == "smolvla"
    assert summary.tensors == TENSORS
    assert summary.profile == "built with load_vlm_weights=true"


def test_parameter_counts_match_the_training_log(stock_run: Run) -> None:
    summary = api.show(str(stock_run.folder))
    assert f"num_learnable_params={summary.trainable} " in stock_run.log
    assert f"num_total_params={summary.parameters} " in stock_run.log


def test_show_lists_every_component_and_both_processors(stock_run: Run) -> None:
    summary = api.show(str(stock_run.step(2)))
    assert {group.key: group.tensors for group in summary.components} == {
        "vision": 37,
        "connector": 1,
        "text": 38,
        "lm_head": 1,
        "expert": 37,
        "projections": 10,
    }
    assert [processor.path for processor in summary.processors] == [
        "policy_postprocessor.json",
        "policy_preprocessor.json",
    ]
    assert all(there for processor in summary.processors for _, there in processor.states)
    assert all(("STATE", "MEAN_STD") in processor.modes for processor in summary.processors)
    assert summary.checkpoint.others == ()


def test_every_dtype_matches_the_layout(stock_run: Run) -> None:
    tensors = api.read(str(stock_run.folder)).tensors
    assert [
        tensor.name
        for tensor in tensors
        if tensor.dtype is not dtype_of(tensor.name, load_vlm_weights=True)
    ] == []


def test_two_steps_of_one_run_have_the_same_structure(stock_run: Run) -> None:
    done = ckpt("diff", stock_run.step(1), stock_run.step(2))
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    assert "same structure" in done.stdout


def test_show_of_the_run_folder_fits_on_one_screen(stock_run: Run) -> None:
    done = ckpt("show", stock_run.folder)
    assert done.returncode == 0, done.stderr
    assert "built with load_vlm_weights=true" in done.stdout
    assert len(done.stdout.splitlines()) <= 60


# --- with a teacher inside ------------------------------------------------------------------------


def test_the_embedded_teacher_is_one_difference_group(stock_run: Run, dirty: Path) -> None:
    found = api.diff(str(stock_run.folder), str(dirty))
    (story,) = found.stories
    assert story.kind is StoryKind.COPY
    assert story.tensors == TENSORS
    assert story.text == f"{TENSORS} tensors under `teacher.` only in B: a copy of the model"
    assert story.nbytes == sum(tensor.nbytes for tensor in found.a.checkpoint.tensors)


def test_config_keys_of_the_dirty_copy_are_evaluated_one_by_one(
    stock_run: Run, dirty: Path
) -> None:
    found = api.diff(str(stock_run.folder), str(dirty))
    assert [
        (line.key, line.a is True, line.b, line.fine_a, line.fine_b, line.verdict)
        for line in found.watched
    ] == [
        ("load_vlm_weights", True, False, True, False, "different"),
        ("use_reflow", False, True, True, False, "different"),
        ("teacher_model_path", False, TEACHER, True, False, "different"),
    ]
    assert [change.pointer for change in found.diff.values] == [
        "/load_vlm_weights",
        "/teacher_model_path",
        "/use_reflow",
    ]
    assert not found.diff.files


def test_diff_reports_what_stock_lerobot_would_reject(stock_run: Run, dirty: Path) -> None:
    done = ckpt("diff", stock_run.folder, dirty)
    assert done.returncode == 1
    assert f"{TENSORS} tensors under `teacher.` only in B: a copy of the model" in done.stdout
    assert done.stdout.count("rejects config.json because of this unknown field") == 2
    assert len(done.stdout.splitlines()) <= 40


def test_stock_lerobot_rejects_exactly_the_configs_that_the_tool_predicts(
    answers: dict[str, Any],
) -> None:
    said = []
    for fields, error in answers["configs"]:
        remarks = [
            watched.evaluate(fields.get(watched.key, ABSENT))[1] for watched in SMOLVLA.watched
        ]
        said.append((fields, error, any("rejects" in remark for remark in remarks)))
    assert len(said) >= 16
    assert [(fields, error) for fields, error, refused in said if refused != (error != "")] == []


# --- the fixtures' templates ----------------------------------------------------------------------

FREE = frozenset(
    {
        "input_features",
        "output_features",
        "norm_map",
        "normalization_mapping",
        "features",
        "rename_map",
        "tfs",
    }
)
"""Objects whose keys are a robot's or a user's own: they are not LeRobot's to write."""


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every key in `value`, those of LeRobot's own.

    List items by their number.
    """
    items = (
        enumerate(value)
        if isinstance(value, list)
        else value.items()
        if isinstance(value, dict)
        else ()
    )
    for key, item in items:
        yield f"{path}/{key}"
        if key not in FREE:
            yield from keys(item, f"{path}/{key}")


@pytest.mark.parametrize(
    "name",
    ["config.json", "train_config.json", "policy_preprocessor.json", "policy_postprocessor.json"],
)
def test_fixture_templates_have_the_keys_that_lerobot_writes(stock_run: Run, name: str) -> None:
    written = json.loads((stock_run.step(2) / name).read_text(encoding="utf-8"))
    template = json.loads((TEMPLATES / name).read_text(encoding="utf-8"))
    assert sorted(set(keys(template)) ^ set(keys(written))) == []


def test_fixtures_have_the_files_that_lerobot_writes(stock_run: Run) -> None:
    fixture = {path.name for path in (TEMPLATES.parent / "normal").iterdir()}
    assert fixture == {path.name for path in stock_run.step(2).iterdir()}


def test_fixture_state_has_the_tensors_that_lerobot_writes(stock_run: Run) -> None:
    fixture, written = api.read(str(TEMPLATES.parent / "normal")), api.read(str(stock_run.folder))
    assert [file.path for file in fixture.states] == [file.path for file in written.states]
    for ours, theirs in zip(fixture.states, written.states, strict=True):
        assert {tensor.name for tensor in ours.tensors} <= {
            tensor.name for tensor in theirs.tensors
        }
        assert {tensor.dtype for tensor in ours.tensors} == {
            tensor.dtype for tensor in theirs.tensors
        }
