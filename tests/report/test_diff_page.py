"""What the page of `ckpt diff` says: what was not compared, sizes that add up, the largest change,
and normalization apart from other values."""

from __future__ import annotations

import json
import shutil
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.diff.model import Aspect
from ckpt_tools.report.blocks import Line, Table
from ckpt_tools.report.formats import html, markdown, terminal, text
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.diff_short import stat_page
from tests.support.cases import FIXTURES
from tests.support.checkpoints import weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.diff.model import Comparison

NORMAL, CLEAN = FIXTURES / "normal", FIXTURES / "reflow-clean"
NOT_COMPARED = "tensor values were not compared"
STATE = "policy_preprocessor_step_5_normalizer_processor.safetensors"
STATE_OF_ACTIONS = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


# --- what was not compared ------------------------------------------------------------------------


@pytest.mark.parametrize("render", [text.render, markdown.render, html.render])
def test_a_difference_does_not_hide_that_values_were_not_compared(render: Any) -> None:
    comparison = api.diff(NORMAL, CLEAN)

    assert f"different: 2 config values; {NOT_COMPARED}" in render(diff_page(comparison))
    assert NOT_COMPARED in render(stat_page(comparison))


def test_the_verdict_is_silent_on_values_that_were_compared_or_not_wanted() -> None:
    for comparison in (
        api.diff(NORMAL, CLEAN, values=True),
        api.diff(NORMAL, CLEAN, aspects=[Aspect.TRAIN_CONFIG]),
        api.config.diff(NORMAL, FIXTURES / "reflow"),
    ):
        assert not comparison.same
        assert NOT_COMPARED not in text.render((*diff_page(comparison), *stat_page(comparison)))


def test_a_difference_in_a_selection_says_that_it_is_one_in_the_selection() -> None:
    shown = text.render(diff_page(api.diff(NORMAL, FIXTURES / "reflow", aspects="keys")))

    assert "different in the selected aspects: 500 tensors only in B" in shown


def test_a_selection_without_tensors_says_nothing_of_tensors() -> None:
    comparison = api.diff(NORMAL, FIXTURES / "reflow", select="config.**")

    assert comparison.change is None
    shown = text.render(diff_page(comparison)).partition("Verdict\n")[2]
    assert shown == "  ✗ different in the selected aspects: 3 config values\n"


def test_config_keys_are_listed_only_where_they_are_compared() -> None:
    reflow = FIXTURES / "reflow"

    assert api.diff(NORMAL, reflow, aspects="keys", ignore="teacher.**").watched == ()
    (line,) = api.diff(NORMAL, reflow, select="config.use_reflow").watched
    assert line.key == "use_reflow"


@pytest.mark.parametrize(
    ("aspect", "name"),
    [
        ("processors", "policy_preprocessor.json"),
        ("processors", STATE),
        ("config", "config.json"),
        ("train-config", "train_config.json"),
    ],
)
def test_a_selected_aspect_differs_where_a_side_lacks_its_file(
    aspect: str, name: str, tmp_path: Path
) -> None:
    other = shutil.copytree(NORMAL, tmp_path / "other")
    (other / name).unlink()

    assert [one.path for one in api.diff(NORMAL, other, aspects=aspect).diff.files] == [name]
    assert [one.path for one in api.diff(other, NORMAL, aspects=aspect).diff.files] == [name]
    assert api.diff(NORMAL, other, aspects="keys, metadata").same


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"), [*permutations(["normal", "reflow", "f32-vlm", "sharded", "lerobot-0.3"], 2)]
)
def test_the_sizes_of_groups_and_headers_add_up_to_that_of_the_weights(a: str, b: str) -> None:
    comparison = api.diff(FIXTURES / a, FIXTURES / b)
    table = next(block for block in diff_page(comparison) if isinstance(block, Table))
    left, right = (
        side.size - sum(tensor.nbytes for tensor in side.tensors)
        for side in (comparison.diff.a, comparison.diff.b)
    )

    weights = comparison.diff.b.size - comparison.diff.a.size
    assert weights == sum(group.nbytes for group in comparison.stories) + right - left
    assert ("of which headers" in {row[0] for row in table.rows}) is (left != right)


# --- the largest change ---------------------------------------------------------------------------


def layered(folder: Path, change: Callable[[str, Any], Any]) -> Path:
    """Write twelve layers of a matrix and a bias of zeros, each changed by `change`."""
    rng = np.random.default_rng(1)
    tensors = {}
    for layer in range(12):
        for name, value in (
            (f"model.layers.{layer}.up.weight", rng.normal(size=(32, 16))),
            (f"model.layers.{layer}.up.bias", np.zeros(16)),
        ):
            changed = change(name, value).astype("<f4")
            tensors[name] = (Dtype.F32, changed.shape, changed.tobytes())
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights(tensors))
    return folder


def compared(tmp_path: Path, sizes: dict[int, float], *, bias: float = 0.0) -> Comparison:
    """Compare twelve layers with themselves, the weights of some changed by these factors."""

    def changed(name: str, value: Any) -> Any:
        layer = int(name.split(".")[2])
        return value * (1 + sizes.get(layer, 0)) + bias * name.endswith("bias")

    sides = (layered(tmp_path / "a", lambda _, one: one), layered(tmp_path / "b", changed))
    return api.diff(*sides, values=True, cached=False)


def test_the_verdict_names_the_most_changed_layer_and_counts_in_order(tmp_path: Path) -> None:
    found = compared(tmp_path, {1: 0.01, 2: 0.02, 10: 0.5, 11: 0.03}).change

    assert found is not None
    assert "; most in layer 10 (50 %)" in found.text
    assert "; changed: model.layers.{1,2,10,11} (1 of 2 tensors each); identical: " in found.text


def test_the_verdict_names_no_layer_of_which_only_a_zero_bias_changed(tmp_path: Path) -> None:
    def changed(name: str, value: Any) -> Any:
        factor = 1.1 if name == "model.layers.2.up.weight" else 1
        return value * factor + (name == "model.layers.1.up.bias")

    sides = (layered(tmp_path / "a", lambda _, one: one), layered(tmp_path / "b", changed))
    found = api.diff(*sides, values=True, cached=False).change
    assert found is not None
    assert "; most in layer 2 (10 %)" in found.text


def test_the_verdict_names_no_layer_where_all_changed_alike(tmp_path: Path) -> None:
    found = compared(tmp_path, dict.fromkeys(range(12), 0.5)).change
    assert found is not None
    assert "most in" not in found.text


def test_a_bias_that_was_zero_does_not_outweigh_the_matrices(tmp_path: Path) -> None:
    sizes = dict.fromkeys(range(12), 0.01) | {2: 0.02, 10: 0.5}
    comparison = compared(tmp_path, sizes, bias=1e-6)

    assert comparison.changes is not None
    most = max(comparison.changes.layers, key=lambda layer: layer.rel_l2)
    assert (most.layer, round(most.rel_l2, 3)) == ("10", 0.5)
    shown = text.render(diff_page(comparison)).splitlines()
    layers = [line.split(":")[0].strip() for line in shown if line.startswith("      layer ")]
    assert layers[:2] == ["layer 10", "layer 2"]


def test_the_heading_of_the_table_of_tensors_is_one_line_on_80_columns(tmp_path: Path) -> None:
    page = diff_page(compared(tmp_path, {10: 0.5}), full=True)
    shown = terminal.render(page, 80, color=False).splitlines()
    (place,) = (number for number, line in enumerate(shown) if line.startswith("  status"))

    assert " ".join(shown[place].split()) == "status rel. L2 changed max |B - A| tensor"
    assert shown[place + 1].split()[0] == "changed"


# --- normalization --------------------------------------------------------------------------------


def without_step(folder: Path) -> None:
    path = folder / "policy_preprocessor.json"
    document = json.loads(path.read_text())
    document["steps"] = [one for one in document["steps"] if "state_file" not in one]
    path.write_text(json.dumps(document))
    (folder / STATE).unlink()


def without_processors(folder: Path) -> None:
    for path in folder.glob("policy_p*"):
        path.unlink()


def other_mode(folder: Path) -> None:
    path = folder / "policy_preprocessor.json"
    path.write_text(path.read_text().replace('"STATE": "MEAN_STD"', '"STATE": "IDENTITY"'))


def other_statistics(folder: Path) -> None:
    path = folder / STATE
    data = bytearray(path.read_bytes())
    data[-4:] = np.float32(7).tobytes()
    path.write_bytes(bytes(data))


def other_mapping(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"ACTION": "MEAN_STD"', '"ACTION": "MIN_MAX"'))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            without_step,
            [
                "✗ policy_preprocessor.json: B lacks `normalizer_processor`",
                f"✗ {STATE}: only in A (1.4 kB)",
            ],
        ),
        (lambda folder: (folder / STATE).unlink(), [f"✗ {STATE}: only in A (1.4 kB)"]),
        (
            without_processors,
            [
                "✗ policy_postprocessor.json: only in A (660 B), with `unnormalizer_processor`",
                f"✗ {STATE_OF_ACTIONS}: only in A (1.4 kB)",
                "✗ policy_preprocessor.json: only in A (1.5 kB), with `normalizer_processor`",
                f"✗ {STATE}: only in A (1.4 kB)",
            ],
        ),
        (
            other_mode,
            [
                (
                    "~ policy_preprocessor.json: normalizer_processor/config/norm_map/STATE:"
                    ' "MEAN_STD" -> "IDENTITY"'
                )
            ],
        ),
        (other_statistics, [f"~ {STATE}: 1 value"]),
        (other_mapping, ["~ config.json: 1 value"]),
    ],
    ids=["step", "statistics", "processors", "mode", "numbers", "mapping"],
)
def test_normalization_has_a_heading_of_its_own(
    change: Callable[[Path], None], expected: list[str], tmp_path: Path
) -> None:
    other = shutil.copytree(NORMAL, tmp_path / "other")
    change(other)
    comparison = api.diff(NORMAL, other)
    shown = text.render(diff_page(comparison))

    lines = shown.partition("\nNormalization\n")[2].partition("\n\n")[0].splitlines()
    assert [line.strip() for line in lines if not line.startswith("      ")] == expected
    assert "Other config values" not in shown
    assert "\nFiles\n" not in shown
    number = len(expected)
    assert f"different: {number} difference{'s' * (number > 1)} in normalization" in shown
    assert "normalization: steps, statistics, files" in text.render(stat_page(comparison))


def test_statistics_under_another_file_name_are_not_lost(tmp_path: Path) -> None:
    other = shutil.copytree(NORMAL, tmp_path / "other")
    (other / STATE).rename(other / STATE.replace("step_5", "step_4"))
    path = other / "policy_preprocessor.json"
    path.write_text(path.read_text().replace("step_5", "step_4"))
    page = diff_page(api.diff(NORMAL, other))

    lines = [one for one in page if isinstance(one, Line) and STATE in one.text]
    assert [one.mark.value for one in lines if "only in A" in one.text] == ["~"]


def test_statistics_among_the_weights_of_an_old_policy_are_no_loss() -> None:
    shown = text.render(diff_page(api.diff(NORMAL, FIXTURES / "lerobot-0.3")))

    assert "  ~ policy_preprocessor.json: only in A (1.5 kB), with `normalizer_processor`" in shown
    assert "B has statistics among its tensors" in shown


def test_statistics_among_the_weights_that_are_gone_are_a_loss(tmp_path: Path) -> None:
    old = FIXTURES / "lerobot-0.3"
    buffers = ["normalize_*.**", "unnormalize_*.**"]
    api.write(api.plan(old, [{"drop": buffers}]), tmp_path / "new")

    shown = text.render(diff_page(api.diff(old, tmp_path / "new")))

    line = "  ✗ 6 tensors of statistics missing in B, and no processor of B normalizes"
    assert f"\nNormalization\n{line}\n" in shown
    assert "no processor of B" not in text.render(diff_page(api.diff(old, NORMAL)))
