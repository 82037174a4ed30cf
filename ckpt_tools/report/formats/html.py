"""Blocks as one self-contained HTML page: the conclusion on top, a section for each heading.

It loads nothing and works without a mouse. Only a page with records runs something: the one script
that sorts and filters them.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools import __version__
from ckpt_tools.report.blocks import Bars, Heading, HeatMap, Line, Records, Title
from ckpt_tools.report.formats.html_blocks import Anchors, listed, marked, markup, safe
from ckpt_tools.report.formats.html_script import SCRIPT
from ckpt_tools.report.formats.html_style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.report.blocks import Block, Page

_NAVIGABLE = 3
"""Minimum number of sections for a table of contents."""


class _Section(NamedTuple):
    """The blocks under one heading; those before the first have no title."""

    title: str
    anchor: str
    conclusion: bool
    blocks: list[Block]


def render(page: Page, title: str = "ckpt") -> str:
    """Return `page` as an HTML document; `title` is the default title."""
    named = next((block.text for block in page if isinstance(block, Title)), title)
    anchors = Anchors("content")
    sections = list(_sections(page, anchors))
    script = SCRIPT if any(isinstance(block, Records) for block in page) else ""
    run = f"<script>{script}</script>" if script else ""
    return "\n".join(
        (
            *_head(named, script),
            '<body><a class="skip" href="#content">Skip to the content</a>',
            *_top(named, sections),
            '<main id="content" tabindex="-1">',
            *(
                part
                for section in sections
                if not section.conclusion
                for part in _section(section, anchors)
            ),
            (
                f"</main><footer>Written by ckpt {__version__}. The page is whole: it loads"
                f" nothing.</footer>{run}</body></html>\n"
            ),
        )
    )


def _head(title: str, script: str) -> Iterator[str]:
    # Only the style sheet and the script with these hashes take effect, not others smuggled in by a
    # name, and nothing is ever fetched.
    scripts = f" script-src 'sha256-{_hash(script)}';" if script else ""
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(STYLE)}';{scripts} base-uri 'none';"
        " form-action 'none'"
    )
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{safe(title)}</title><style>{STYLE}</style></head>"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _sections(page: Page, anchors: Anchors) -> Iterator[_Section]:
    """Yield the page's sections; a chart with a title is a section of its own."""
    current = _Section("", "", conclusion=False, blocks=[])
    for block in page:
        heading = (
            Heading(block.title) if isinstance(block, Bars | HeatMap) and block.title else block
        )
        if isinstance(heading, Heading):
            yield current
            current = _Section(
                heading.text, anchors.new(heading.text), conclusion=heading.conclusion, blocks=[]
            )
        if not isinstance(block, Heading | Title):
            current.blocks.append(block)
    yield current


def _top(title: str, sections: list[_Section]) -> Iterator[str]:
    yield f"<header><h1>{safe(title)}</h1>"
    lines = [
        block
        for section in sections
        if section.conclusion
        for block in section.blocks
        if isinstance(block, Line)
    ]
    for line in sorted(lines, key=lambda line: not line.mark.strip()):
        details = "".join(listed(list(map(safe, line.details)), "details"))
        kind = "verdict" if line.mark.strip() else "aside"
        yield f'<div class="{kind}">{marked(line)}{details}</div>'
    yield "</header>"
    named = [section for section in sections if section.title and not section.conclusion]
    if len(named) >= _NAVIGABLE:
        links = "".join(
            f'<li><a href="#{section.anchor}">{safe(section.title)}</a></li>' for section in named
        )
        yield f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _section(section: _Section, anchors: Anchors) -> Iterator[str]:
    if section.title:
        yield (
            f'<section aria-labelledby="{section.anchor}"><h2'
            f' id="{section.anchor}">{safe(section.title)}</h2>'
        )
    yield from markup(section.blocks, anchors)
    if section.title:
        yield "</section>"
