"""Differences between the steps of two processors, by the names of the steps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.report.formats.text import render
from ckpt_tools.report.json.diff import diff_document
from ckpt_tools.report.pages.diff import diff_page
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

TOKENS: dict[str, Any] = {"registry_name": "tokenizer_processor", "config": {"max_length": 48}}
DEVICE: dict[str, Any] = {"registry_name": "device_processor", "config": {"device": "cuda"}}
IMAGES: dict[str, Any] = {"registry_name": "imagenet_resize", "config": {}}
OWN: dict[str, Any] = {"class": "package.module.PadState", "config": {}}


def lines(folder: Path, a: list[Any], b: list[Any]) -> list[str]:
    """What `ckpt diff` prints of two preprocessors."""
    comparison = api.diff(*(written(folder / side, steps) for side, steps in (("a", a), ("b", b))))
    shown = render(diff_page(comparison, full=True))
    start = shown.index("policy_preprocessor.json")
    return [line.strip() for line in shown[start:].split("\n\n")[0].splitlines()[1:]]


def written(folder: Path, steps: list[Any]) -> Path:
    documents = {"policy_preprocessor.json": {"name": "policy_preprocessor", "steps": steps}}
    return model(folder, {"head.weight": (2, 2)}, documents)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([TOKENS, IMAGES, DEVICE], [TOKENS, DEVICE], ["B lacks `imagenet_resize`"]),
        ([TOKENS], [TOKENS, OWN], ["A lacks `PadState`"]),
        (
            [TOKENS, IMAGES, DEVICE],
            [IMAGES, DEVICE, TOKENS],
            ["`tokenizer_processor` moved: step 1 in A, step 3 in B"],
        ),
        (
            [IMAGES, DEVICE],
            [DEVICE | {"config": {"device": "cpu"}}],
            ["B lacks `imagenet_resize`", 'device_processor/config/device: "cuda" -> "cpu"'],
        ),
        ([IMAGES, IMAGES], [IMAGES], ["B lacks `imagenet_resize#2`"]),
    ],
    ids=["missing", "added", "moved", "changed", "twice"],
)
def test_a_step_is_named_where_it_differs(
    a: list[Any], b: list[Any], expected: list[str], tmp_path: Path
) -> None:
    assert lines(tmp_path, a, b) == expected


def test_what_is_no_list_of_steps_is_shown_as_it_is(tmp_path: Path) -> None:
    assert lines(tmp_path, [TOKENS], ["tokens"])[0].startswith("/steps: [{")


def test_json_keeps_both_lists_and_adds_the_steps(tmp_path: Path) -> None:
    sides = (written(tmp_path / "a", [IMAGES, DEVICE]), written(tmp_path / "b", [DEVICE]))
    (change,) = json.loads(json.dumps(diff_document(api.diff(*sides))))["values"]
    assert change["a"]["value"] == [IMAGES, DEVICE]
    assert change["steps"] == [{"step": "imagenet_resize", "index_a": 0, "index_b": None}]


def test_a_lost_normalizer_does_not_hide_another_step_that_differs(tmp_path: Path) -> None:
    normalizer = {"registry_name": "normalizer_processor", "config": {}}
    a = written(tmp_path / "a", [TOKENS, normalizer])
    b = written(tmp_path / "b", [TOKENS | {"config": {"max_length": 64}}])

    shown = render(diff_page(api.diff(a, b), full=True))

    assert "policy_preprocessor.json: B lacks `normalizer_processor`" in shown
    assert "tokenizer_processor/config/max_length: 48 -> 64" in shown
