"""The HTML pages in a real browser.

Nothing is loaded and nothing complained about, everything fits a telephone, and the keyboard
reaches all of it.

Skipped where there is no Chromium; `make browser` runs them. What the pages are made of is tested
without one, in `test_html`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.report.formats import html
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.show import show_page
from ckpt_tools.report.pages.verdict import explained_page
from ckpt_tools.rules.finding import Finding, Severity, Verification
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.remedy import Remedy
from tests.report.test_hostile_names import HOSTILE, write
from tests.report.test_html import MARKUP
from tests.report.test_html_style import themes
from tests.support.changed_values import CHANGES
from tests.support.chromium import Chromium, needs_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [needs_chromium, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TAB, ENTER = 9, 13
NAMES = ("diff", "verify", "show", "tree", "hostile", "findings")
NARROW = 360


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the files of pages, harmless and hostile."""
    folder = tmp_path_factory.mktemp("pages")
    names = (*HOSTILE, *MARKUP)
    a, b = (
        write(folder / "a", ["w"], hostile_config=False),
        write(folder / "b", names, hostile_config=True),
    )
    normal, reflow = str(ROOT / "fixtures/normal"), str(ROOT / "fixtures/reflow")
    findings = tuple(
        Finding(f"CK3{number:02}", Severity.ERROR, name, name, name, Remedy(text=name))
        for number, name in enumerate(names)
    )
    made = {
        "diff": diff_page(api.diff(normal, reflow)._replace(changes=CHANGES), full=True),
        "verify": explained_page(api.verify(reflow), all_rules()),
        "show": show_page(api.show(normal), full=True),
        "tree": show_page(api.show(normal), tree=True),
        "hostile": diff_page(api.diff(a, b), full=True),
        "findings": explained_page(
            Verification("x" * 300, None, "generic", findings, ("CK301",)), all_rules()
        ),
    }
    for name, page in made.items():
        (folder / f"{name}.html").write_text(html.render(page), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


def focused(browser: Chromium) -> str:
    """Return the tag of what has the focus."""
    return str(browser.value("document.activeElement.tagName")).lower()


def tab_to(browser: Chromium, tag: str, limit: int = 300) -> None:
    """Press the tab key until an element of that tag has the focus."""
    for _ in range(limit):
        browser.press("Tab", code=TAB)
        if focused(browser) == tag:
            return
    pytest.fail(f"the keyboard does not reach a {tag}")


@pytest.mark.parametrize("width", [NARROW, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_shown_without_a_complaint_or_a_request(
    browser: Chromium, pages: dict[str, Path], name: str, scheme: str, width: int
) -> None:
    browser.open(pages[name], width=width, scheme=scheme)
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]
    assert browser.value("document.compatMode") == "CSS1Compat"
    assert (
        browser.value(
            "document.querySelectorAll('script, img, iframe, object, link, base, form').length"
        )
        == 0
    )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wider_than_a_telephone_folded_or_not(
    browser: Chromium, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name], width=NARROW)
    assert browser.value("document.documentElement.scrollWidth") <= NARROW
    browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= NARROW


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_readers(
    browser: Chromium, pages: dict[str, Path], scheme: str, tmp_path: Path
) -> None:
    browser.open(pages["diff"], scheme=scheme)
    page = themes()[scheme]["page"]
    expected = f"rgb({', '.join(str(int(page[place : place + 2], 16)) for place in (1, 3, 5))})"
    assert browser.value("getComputedStyle(document.body).backgroundColor") == expected
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_the_style_sheet_is_let_in_by_its_hash_and_another_is_not(
    browser: Chromium, pages: dict[str, Path], tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    changed.write_text(
        pages["show"]
        .read_text(encoding="utf-8")
        .replace("</style>", "h1 { color: red } </style>", 1),
        encoding="utf-8",
    )
    browser.open(changed)
    assert browser.value("getComputedStyle(document.querySelector('h1')).fontSize") != "24px"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints())
    browser.open(pages["show"])
    assert browser.value("getComputedStyle(document.querySelector('h1')).fontSize") == "24px"


def test_a_script_that_got_onto_a_page_does_not_run(
    browser: Chromium, pages: dict[str, Path], tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    attack = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    changed.write_text(
        pages["show"].read_text(encoding="utf-8").replace("<main", f"{attack}<main", 1),
        encoding="utf-8",
    )
    browser.open(changed)
    assert browser.value("document.title").startswith("Checkpoint: ")
    assert len(browser.complaints()) >= 2


# --- the keyboard ---------------------------------------------------------------------------------


def test_the_first_stop_skips_to_the_content(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["diff"])
    assert browser.value("document.querySelector('.skip').getBoundingClientRect().right") < 0
    browser.press("Tab", code=TAB)
    assert browser.value("document.activeElement.textContent") == "Skip to the content"
    assert browser.value("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter", code=ENTER, text="\r")
    assert browser.value("document.activeElement.id") == "content"


@pytest.mark.parametrize("name", ["diff", "verify"])
def test_what_is_folded_opens_and_closes_with_the_keyboard(
    browser: Chromium, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name], width=NARROW)
    tab_to(browser, "summary")
    states = [browser.value("document.activeElement.parentElement.open")]
    for _ in range(2):
        browser.press("Enter", code=ENTER, text="\r")
        states.append(browser.value("document.activeElement.parentElement.open"))
    assert states == [False, True, False]


def test_what_has_the_focus_shows_it(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["verify"])
    for tag in ("a", "summary"):
        tab_to(browser, tag)
        assert browser.value("getComputedStyle(document.activeElement).outlineWidth") == "3px"


def test_a_cell_of_the_map_says_its_number_with_the_focus_and_under_the_pointer(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.open(pages["diff"])
    tab_to(browser, "td")
    said = "getComputedStyle(document.querySelector('.heat td:is(:focus, :hover) span')).opacity"
    assert browser.value(said) == "1"
    assert browser.value("document.activeElement.textContent").startswith(
        "VLM vision tower, layer 0: 0 of 9"
    )
    assert (
        browser.value(
            "[...document.querySelectorAll('.heat td span')].filter(one =>"
            " getComputedStyle(one).opacity == 1).length"
        )
        == 1
    )
    browser.value("document.activeElement.blur()")
    browser.value("document.querySelector('.heat .h9').scrollIntoView({block: 'center'})")
    place = browser.value(
        "(({x, y}) => [x + 5, y + 5])(document.querySelector('.heat .h9').getBoundingClientRect())"
    )
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    assert browser.value(said) == "1"


def test_the_cells_of_the_map_can_be_skipped(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["diff"])
    for _ in range(300):
        browser.press("Tab", code=TAB)
        if browser.value("document.activeElement.textContent") == "Skip the cells of the map":
            break
    browser.press("Enter", code=ENTER, text="\r")
    assert focused(browser) == "span"
    assert (
        browser.value(
            "document.querySelector('.heat').compareDocumentPosition(document.activeElement) & 4"
        )
        == 4
    )


# --- paper ----------------------------------------------------------------------------------------


def test_paper_is_light_whatever_the_theme_and_has_no_navigation(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.open(pages["diff"], scheme="dark", media="print")
    assert browser.value("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.ask("Page.printToPDF")["data"].startswith("JVBERi")
