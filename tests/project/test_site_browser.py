"""The documentation site in a real browser, read from a disk: search, both themes, narrow windows.

Skipped where there is no Chromium; `make browser` runs it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.chromium import Chromium, needs_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [needs_chromium, pytest.mark.slow]

OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
SEARCHED = """
    [document, ...[...document.querySelectorAll("*")].map((found) => found.shadowRoot)]
        .filter(Boolean).map((root) => (root.body || root).textContent).join(" ")
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as found:
        yield found


@pytest.mark.parametrize("page", ["index", "benchmarks", "rules/CK301"])
def test_a_page_fits_a_telephone_in_both_themes(
    page: str, browser: Chromium, built_site: Path
) -> None:
    backgrounds = set()
    for scheme in ("light", "dark"):
        browser.open(built_site / f"{page}.html", width=360, scheme=scheme)
        assert browser.value(OVERFLOW) <= 0
        backgrounds.add(browser.value(BACKGROUND))
        assert elsewhere(browser) == []
        # An audit's issues are for the theme's authors.
        assert [said for said in browser.complaints() if '"issue"' not in said] == []
    assert len(backgrounds) == 2


def test_the_search_finds_a_page_without_a_server(browser: Chromium, built_site: Path) -> None:
    browser.open(built_site / "rules" / "CK301.html")
    assert "Check before an upload" not in browser.value(SEARCHED)
    browser.value("document.querySelector('.md-search__button').click()")
    until(browser, "document.activeElement !== document.body")
    browser.ask("Input.insertText", text="baseline")
    until(browser, f"{SEARCHED}.includes('Check before an upload')")
    assert elsewhere(browser) == []


def elsewhere(browser: Chromium) -> list[str]:
    """The addresses asked for that are no files."""
    return [name for name in browser.requests() if not name.startswith(("file:", "data:"))]


def until(browser: Chromium, expression: str) -> None:
    end = time.monotonic() + 30
    while not browser.value(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.2)
