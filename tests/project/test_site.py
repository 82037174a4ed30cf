"""The documentation site: it has every page, every link leads somewhere, and it asks no server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tools import site

ROOT = Path(__file__).parents[2]
PAGES = site.listed(site.settings()[0]["nav"])


LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"([^\"]*)\"")
"""What a page loads by itself, and its neighbours, which are named the same way."""


def test_every_document_is_in_the_navigation_once() -> None:
    documents = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    others = [path.name for path in ROOT.glob("*.md")]
    plugin = "lerobot_policy_smolvla_reflow/README.md"
    assert sorted(PAGES) == sorted([*documents, *others, plugin])


def test_the_site_has_every_page_and_can_be_searched(built_site: Path) -> None:
    places = {site.place(page).replace(".md", ".html") for page in PAGES}
    built = {page.relative_to(built_site).as_posix() for page in built_site.rglob("*.html")}
    assert built == places | {"404.html"}
    index = json.loads((built_site / "search.json").read_text(encoding="utf-8"))
    assert {item["location"].partition("#")[0] for item in index["items"]} == places


def test_the_site_loads_its_own_files_only(built_site: Path) -> None:
    for page in built_site.rglob("*.html"):
        found = LOADED.findall(page.read_text(encoding="utf-8"))
        assert any(address.endswith("site_search.js") for address in found)
        for address in found:
            assert not re.match(r"\w+:|//", address), f"{page.name}: {address}"
            if page.name != "404.html":  # its addresses are those on a server
                assert (page.parent / address.partition("?")[0]).exists(), address


def test_links_to_files_that_are_no_pages_lead_to_the_repository() -> None:
    text = "[a](../schemas) [b](gate.md#x) [c](rules/README.md) [d](https://e.org) [e](#here)"
    assert site.linked(
        "docs/a.md", text, {"docs/gate.md", "docs/rules/README.md"}, "https://r"
    ) == (
        "[a](https://r/tree/main/schemas) [b](gate.md#x) [c](rules/index.md) [d](https://e.org)"
        " [e](#here)"
    )
    assert site.linked("README.md", "[a](docs/gate.md)", {"docs/gate.md"}, "") == "[a](gate.md)"


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A\n\n[b](absent.md)\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text('{"site_name": "a"}', encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        site.generate(tmp_path)
