"""What is told in pictures.

Bars as long as what they stand for, a heat map whose every colour is a number that can be read.
"""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.report.blocks import Bars, Heading, HeatMap, Line, Title
from ckpt_tools.report.charts import change_map, component_bars
from ckpt_tools.report.formats import html, markdown, text
from tests.support.changed_values import CHANGES, layer, values
from tests.support.html_document import Document
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.report.blocks import Page

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    (bars,) = component_bars(*(api.show(f"fixtures/{name}") for name in ("normal", "reflow")))
    assert isinstance(bars, Bars)
    found = Document(html.render((Heading("components"), bars)))
    widths = [
        float(element.attributes["width"].rstrip("%"))
        for element in found.all("rect")
        if element.attributes["class"] != "track"
    ]
    sizes = [size for bar in bars.bars for size in bar.sizes]
    assert max(widths) == 100
    assert [
        round(max(0.3, 100 * size / max(sizes)), 2) if size else 0 for size in sizes
    ] == pytest.approx([round(width, 2) for width in widths], abs=0.02)
    assert (bars.bars[-1].label, bars.bars[-1].words) == (
        "teacher",
        ("none", "87.7 kB, 43,211 parameters"),
    )


def test_one_component_is_no_picture(tmp_path: Path) -> None:
    model(tmp_path, {"a.weight": (2,)})
    assert list(component_bars(api.show(tmp_path))) == []


def cells(block: HeatMap) -> list[tuple[str, str]]:
    document = Document(html.render((block,)))
    assert document.problems == []
    heat = [element for element in document.all("td") if element.attributes.get("tabindex")]
    spoken = [element for element in document.all("span") if element.within[-1] == "td"]
    return [
        (element.attributes["class"], "".join(words.text))
        for element, words in zip(heat, spoken, strict=True)
    ]


def test_a_cell_has_the_colour_of_its_number_and_says_it() -> None:
    (block,) = change_map(
        values(
            *(
                layer("a", str(number), high)
                for number, high in enumerate((0, 1e-9, 1e-4, 1.1e-4, 1.0, 1.1, inf, nan))
            )
        )
    )
    assert isinstance(block, HeatMap)
    assert [kind for kind, _ in cells(block)] == [
        "h0",
        "h1",
        "h1",
        "h2",
        "h8",
        "h9",
        "h9 bad",
        "h9",
    ]
    assert cells(block)[3][1] == (
        "a, layer 3: 5 of 9 tensors changed: rel. L2 0.011 % (tensors 0.0037 % … 0.011 %),"
        " max |B - A| 2.2e-06"
    )
    assert cells(block)[0][1] == "a, layer 0: 0 of 9 tensors changed"
    assert (
        "rel. L2 from zero, max |B - A| inf, 3 values not finite on one side" in cells(block)[6][1]
    )


def test_layers_stand_in_order_and_a_part_without_one_has_no_cell() -> None:
    (block,) = change_map(
        values(
            layer("a", "10", 0.1),
            layer("a", "other", 0.1),
            layer("a", "2", 0.1),
            layer("b", "2", 0.1),
        )
    )
    assert isinstance(block, HeatMap)
    assert block.columns == ("2", "10", "other")
    assert [[cell is not None for cell in row] for _, row in block.rows] == [
        [True, True, True],
        [True, False, False],
    ]


def test_a_frozen_part_that_changed_is_framed_and_said_to_be() -> None:
    (block,) = change_map(
        values(
            layer("a", "0", 0.1, trains=False),
            layer("a", "1", 0, trains=False),
            layer("b", "1", 0.1, trains=True),
        )
    )
    assert isinstance(block, HeatMap)
    assert [kind for kind, _ in cells(block)] == ["h6 bad", "h0", "h6"]
    assert "5 of 9 tensors changed although frozen" in cells(block)[0][1]
    assert [label for label, _ in block.rows] == ["a (frozen)", "b"]
    assert "Framed" in block.note


def test_values_that_became_nan_are_framed_however_little_the_rest_changed() -> None:
    broken = layer("a", "0", 0)._replace(identical=8, broken=2)
    (block,) = change_map(values(broken, layer("a", "1", 0)))
    assert isinstance(block, HeatMap)
    assert [kind for kind, _ in cells(block)] == ["h0 bad", "h0"]
    assert cells(block)[0][1] == (
        "a, layer 0: 1 of 9 tensors changed: rel. L2 0 %, max |B - A| 0, 2 values not"
        " finite on one side"
    )


def test_what_is_within_the_tolerance_is_said_to_be() -> None:
    close = layer("a", "0", 0.02)._replace(close=5)
    (block,) = change_map(values(close, layer("a", "1", 0)))
    assert isinstance(block, HeatMap)
    assert cells(block)[0][1] == (
        "a, layer 0: 0 of 9 tensors changed, 5 within the tolerance: rel. L2 2 %"
        " (tensors 0.67 % … 2 %), max |B - A| 0.0004"
    )


def test_without_layers_there_is_no_map() -> None:
    assert list(change_map(None)) == []
    assert list(change_map(values(layer("a", "other", 0.1)))) == []
    assert (
        list(change_map(values(*(layer("a", str(number), 0.1) for number in range(1_000))))) == []
    )


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_pictures_leave_no_trace_in_text(render: Callable[[Page], str]) -> None:
    plain = (Heading("x"), Line("y"))
    drawn = (
        Title("t"),
        plain[0],
        *component_bars(api.show("fixtures/normal")),
        *change_map(CHANGES),
        plain[1],
    )
    assert render(drawn) == render(plain)
