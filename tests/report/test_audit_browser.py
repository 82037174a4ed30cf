"""The page of an audit in a real browser: a hundred thousand checkpoints, sorted and filtered.

Skipped where there is no Chromium; `make browser` runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.audit.summary import By, Row, Table
from ckpt_tools.report.formats import html
from ckpt_tools.report.pages.audit_report import EXAMPLES, TABLES, audit_report
from ckpt_tools.rules.registry import all_rules
from tests.report.test_html import MARKUP
from tests.support.audits import Made, Related, write_audit
from tests.support.chromium import Chromium, needs_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [needs_chromium, pytest.mark.slow]

MANY = 100_000
NARROW = 360
STATUS = "document.querySelector('.records [role=status]').textContent"
NAMES = "[...document.querySelectorAll('.records tbody th')].map(one => one.textContent)"
ERROR = "CK301 error: model.safetensors: a.weight: is wrong"
WARNING = "CK308 warning: model.safetensors: a.weight: is wrong"
MADE = (
    Made("/data/a", findings=(("CK301", "error"), ("CK308", "warning")), nbytes=5_000_000),
    Made("/data/b", family="act", findings=(("CK308", "warning"),)),
    *(Made(f"/data/{name}", family=name, owner=name) for name in MARKUP),
)
RELATED = tuple(Related(one.location, "/data/a", "adapter-of", detail="x" * 50) for one in MADE[1:])


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages of an audit of a few checkpoints with hostile names, and of many."""
    folder = tmp_path_factory.mktemp("pages")
    audit = write_audit(folder / "audit.db", MADE, RELATED)
    few = api.read_audit(audit, by=TABLES, examples=EXAMPLES)
    row = Row("", "checked", "", "/d", "lab", "policy", "act", 0, 0, 0, 9, 9, 9, "", "", ("CK301",))
    rows = tuple(
        row._replace(location=f"/data/run-{one:06}", errors=one % 7, nbytes=one * 1000)
        for one in range(MANY)
    )
    others = tuple(table for table in few.tables if table.by is not By.CHECKPOINT)
    many = few._replace(tables=(*others, Table(By.CHECKPOINT, rows, MANY)))
    graph = api.audit_graph(audit)
    for name, summary in (("few", few), ("many", many)):
        page = html.render(audit_report(summary, graph, all_rules()))
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("few", "many")}


def click(browser: Chromium, column: str) -> None:
    """Sort by a column."""
    browser.value(
        "[...document.querySelectorAll('.records thead button')]"
        f".find(one => one.textContent === '{column}').click()"
    )


def choose(browser: Chromium, name: str, word: str) -> None:
    """Choose a word in a filter."""
    browser.value(
        f"(() => {{ const select = document.querySelector('select[name={name}]');"
        f" select.value = [...select.options].find(one => one.text === '{word}').value;"
        " select.dispatchEvent(new Event('change')); })()"
    )


@pytest.mark.parametrize("name", ["few", "many"])
@pytest.mark.parametrize("width", [NARROW, 1280])
def test_the_page_opens_without_a_complaint_or_a_request(
    browser: Chromium, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelectorAll('script').length") == 1
    assert browser.value("document.querySelectorAll('img, iframe, svg, base, link').length") == 0
    browser.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width


def test_a_hundred_thousand_rows_are_sorted_filtered_searched_and_paged(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.open(pages["many"])
    assert browser.value(STATUS) == "1 to 50 of 100,000 checkpoints"
    assert browser.value(f"{NAMES}.length") == 50
    click(browser, "size")
    assert browser.value(f"{NAMES}[0]") == "/data/run-099999"
    click(browser, "size")
    assert browser.value(f"{NAMES}[1]") == "/data/run-000001"
    click(browser, "errors")
    assert browser.value(f"{NAMES}[0]") == "/data/run-000006"
    assert browser.value("document.querySelector('[aria-sort=descending]').textContent") == "errors"
    browser.value("document.querySelectorAll('.controls button')[1].click()")
    assert browser.value(STATUS) == "51 to 100 of 100,000 checkpoints"
    browser.value(
        "(() => { const search = document.querySelector('input');"
        " search.value = 'RUN-00012'; search.dispatchEvent(new Event('input')); })()"
    )
    browser.ask(
        "Runtime.evaluate",
        expression="new Promise(done => setTimeout(done, 400))",
        awaitPromise=True,
    )
    assert browser.value(STATUS) == "1 to 10 of 10 checkpoints (of 100,000)"


def test_filters_take_the_words_of_their_columns(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["few"])
    choose(browser, "family", "act")
    assert browser.value(NAMES) == [f"/data/b{WARNING}"]
    choose(browser, "family", "all")
    choose(browser, "codes", "CK308")
    assert browser.value(NAMES) == [f"/data/a{ERROR}{WARNING}", f"/data/b{WARNING}"]
    choose(browser, "verdict", "clean")
    assert browser.value(STATUS) == f"No checkpoints match (of {len(MADE)})"


def test_hostile_names_are_shown_as_they_are_and_run_nothing(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.open(pages["few"])
    names = browser.value(NAMES)
    assert [name for name in MARKUP if name.isprintable() and f"/data/{name}" not in names] == []
    assert browser.value("document.title").startswith("Audit: ")


def test_a_code_in_the_table_leads_to_its_rule(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["few"])
    browser.value("document.querySelector('.records td a').click()")
    assert browser.value("document.querySelector(':target h3').textContent").startswith(
        "CK301 teacher-weights: 1 error in 1 checkpoint"
    )


def test_without_javascript_the_first_rows_and_every_table_are_there(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["many"])
        said = browser.ask(
            "DOM.getOuterHTML", nodeId=browser.ask("DOM.getDocument")["root"]["nodeId"]
        )
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert "The first 50 of 100,000 checkpoints." in said["outerHTML"]
    assert said["outerHTML"].count("/data/run-0000") > 50
    assert "<select" not in said["outerHTML"]


def test_another_script_does_not_run(
    browser: Chromium, pages: dict[str, Path], tmp_path: Path
) -> None:
    changed = tmp_path / "changed.html"
    attack = (
        "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
    )
    page = pages["few"].read_text(encoding="utf-8").replace("<main", f"{attack}<main", 1)
    changed.write_text(page, encoding="utf-8")
    browser.open(changed)
    assert browser.value("document.title").startswith("Audit: ")
    assert len(browser.complaints()) >= 2


def test_the_table_is_reached_and_sorted_with_the_keyboard(
    browser: Chromium, pages: dict[str, Path]
) -> None:
    browser.open(pages["few"], width=NARROW)
    browser.value("document.querySelector('.records thead button').focus()")
    browser.press("Enter", code=13, text="\r")
    assert browser.value("document.activeElement.textContent") == "checkpoint"
    assert browser.value("document.querySelector('[aria-sort=ascending]').textContent") == (
        "checkpoint"
    )
    outline = "getComputedStyle(document.activeElement).outlineWidth"
    assert browser.value(outline) == "3px"
