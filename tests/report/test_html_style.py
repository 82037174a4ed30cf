"""The colours of the HTML pages.

Readable in the light theme and in the dark one, by the contrast that WCAG 2.2 AA asks for.
"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from ckpt_tools.report.formats.html_style import STYLE

type Colours = dict[str, str]

TEXT, SHAPE = 4.5, 3.0
"""Contrast of text with what is behind it, and of shapes that mean something."""

HEAT = [f"h{number}" for number in range(10)]


def themes() -> dict[str, Colours]:
    """Return the custom properties of both themes; the dark one is laid over the light."""
    light, dark = (
        dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour #rrggbb."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    ]
    return sum(
        weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("text", ["text", "muted", "link", "good", "bad", "change"])
@pytest.mark.parametrize("behind", ["page", "panel"])
def test_text_is_readable(theme: str, text: str, behind: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[text], colours[behind]) >= TEXT


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("shape", "behind"),
    [
        ("side0", "track"),
        ("side1", "track"),
        ("side0", "page"),
        ("side1", "page"),
        ("focus", "page"),
        ("focus", "panel"),
    ],
)
def test_shapes_that_mean_something_are_seen(theme: str, shape: str, behind: str) -> None:
    colours = themes()[theme]
    assert contrast(colours[shape], colours[behind]) >= SHAPE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_more_heat_is_further_from_the_page_step_by_step(theme: str) -> None:
    colours = themes()[theme]
    apart = [contrast(colours[step], colours["page"]) for step in HEAT]
    assert all(after > before * 1.1 for before, after in pairwise(apart)), apart
    assert apart[-1] >= 7


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_change_however_small_is_told_from_none(theme: str) -> None:
    colours = themes()[theme]
    assert contrast(colours["h1"], colours["h0"]) >= 1.15
    hues = [
        [int(colours[step][place : place + 2], 16) for place in (1, 3, 5)] for step in ("h0", "h1")
    ]
    grey, coloured = (max(hue) - min(hue) for hue in hues)
    assert grey < 16
    assert coloured > 48


def test_every_colour_that_is_used_is_defined_in_both_themes() -> None:
    light, dark = (
        set(re.findall(r"--([a-z0-9]+): #", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    )
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", STYLE))
    assert light == dark == used
    assert re.findall(r"#[0-9a-f]{3,8}\b", re.sub(r"--[a-z0-9]+: #[0-9a-f]{6};", "", STYLE)) == []


def test_every_class_on_the_list_of_heats_has_its_colour() -> None:
    assert [step for step in HEAT if f".{step} {{ background: var(--{step}); }}" not in STYLE] == []
