"""An HTML page as the standard's tokenizer reads it, and what is wrong with it.

Only what is on the lists below may be on a page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import NamedTuple

VOID = frozenset({"meta"})
_TAGS = """
    html head meta title style body header main footer nav section article div span p ul li
    h1 h2 h3 a b code pre details summary table thead tbody tr th td svg rect
"""
TAGS = frozenset(_TAGS.split())
_ATTRIBUTES = (
    "lang charset http-equiv content name id class href role aria-label aria-labelledby"
    " aria-hidden tabindex scope width height"
)
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
HEADINGS = ("h1", "h2", "h3")


class Element(NamedTuple):
    """An element: its tag, its attributes, the tags it stands in, and the text directly in it."""

    tag: str
    attributes: dict[str, str]
    within: tuple[str, ...]
    text: list[str]


class Document(HTMLParser):
    """A page read to its end.

    `problems` are what is wrong with it, `elements` are in order, `words` is what a reader can
    read. It may have data, and run `script`, if that is given.
    """

    def __init__(self, text: str, script: str = "") -> None:
        super().__init__(convert_charrefs=True)
        self.script = script
        self.elements: list[Element] = []
        self.problems: list[str] = []
        self._open: list[Element] = []
        self._words: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"<{element.tag}> is not closed" for element in self._open]
        self.problems += [
            problem
            for check in (_foreign, _linked, _headings, _landmarks, _policy, _scripts)
            for problem in check(self)
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) < len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice")
        element = Element(tag, attributes, tuple(parent.tag for parent in self._open), [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.problems.append(
                f"</{tag}> closes {self._open[-1].tag if self._open else 'nothing'}"
            )
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text.append(data)
            if self._open[-1].tag not in ("style", "title", "script"):
                self._words.append(data)
        elif data.strip():
            self.problems.append(f"text outside: {data[:40]!r}")

    def handle_comment(self, data: str) -> None:
        self.problems.append(f"a comment: {data[:40]!r}")

    def unknown_decl(self, data: str) -> None:
        self.problems.append(f"a declaration: {data[:40]!r}")

    def handle_pi(self, data: str) -> None:
        self.problems.append(f"an instruction: {data[:40]!r}")

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    @property
    def words(self) -> list[str]:
        return " ".join(self._words).split()

    @property
    def pieces(self) -> list[str]:
        """Return every run of text by itself."""
        return self._words


def _foreign(document: Document) -> list[str]:
    """Return tags and attributes that nothing on a page may have.

    What runs, loads, embeds, styles or submits is not on the lists.
    """
    allowed = TAGS | {"script"} if document.script else TAGS
    tags = [f"<{element.tag}>" for element in document.elements if element.tag not in allowed]
    return tags + [
        f"{element.tag}@{name}"
        for element in document.elements
        for name in element.attributes
        if name not in ATTRIBUTES and (element.tag, name) != ("script", "type")
    ]


def _linked(document: Document) -> list[str]:
    """Return ids given twice, and links that lead anywhere but to an id of the page."""
    ids = [element.attributes["id"] for element in document.elements if "id" in element.attributes]
    twice = [f"the id {one} is given twice" for one in sorted(set(ids)) if ids.count(one) > 1]
    places = [
        element.attributes["href"] for element in document.elements if "href" in element.attributes
    ]
    places += [
        "#" + element.attributes["aria-labelledby"]
        for element in document.elements
        if "aria-labelledby" in element.attributes
    ]
    return twice + [
        f"a link to {place}" for place in places if not (place.startswith("#") and place[1:] in ids)
    ]


def _headings(document: Document) -> list[str]:
    levels = [
        HEADINGS.index(element.tag) + 1 for element in document.elements if element.tag in HEADINGS
    ]
    problems = (
        [] if levels[:1] == [1] and levels.count(1) == 1 else [f"headings of levels {levels}"]
    )
    return problems + [
        f"h{after} follows h{before}" for before, after in pairwise(levels) if after > before + 1
    ]


def _landmarks(document: Document) -> list[str]:
    counts = {
        tag: len(document.all(tag))
        for tag in ("html", "head", "title", "body", "header", "main", "footer")
    }
    unnamed = [
        f"a {element.tag} without a name"
        for tag in ("nav", "section")
        for element in document.all(tag)
        if not _named(element)
    ]
    unnamed += [
        f"a {element.attributes['role']} without a name"
        for element in document.elements
        if "role" in element.attributes and not _named(element)
    ]
    scopes = [
        f"<th scope={element.attributes.get('scope')}>"
        for element in document.all("th")
        if element.attributes.get("scope") not in ("row", "col")
    ]
    return [f"{count} <{tag}>" for tag, count in counts.items() if count != 1] + unnamed + scopes


def _named(element: Element) -> bool:
    return bool(element.attributes.get("aria-label") or element.attributes.get("aria-labelledby"))


def _policy(document: Document) -> list[str]:
    """Return what is wrong with the content security policy.

    Nothing is allowed but the one style sheet, which loads nothing, and the script.
    """
    style = "".join(document.all("style")[0].text) if document.all("style") else ""
    script = f" script-src {_hash(document.script)};" if document.script else ""
    expected = (
        f"default-src 'none'; style-src {_hash(style)};{script} base-uri 'none'; form-action 'none'"
    )
    policies = [
        element.attributes["content"]
        for element in document.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    loads = re.findall(r"url\(|@import|expression\(|//|<", style)
    return ([] if policies == [expected] else [f"the policy {policies}"]) + [
        f"the style sheet has {found}" for found in loads
    ]


def _scripts(document: Document) -> list[str]:
    """Return the scripts that are neither data nor the one that the page may run."""
    return [
        "a script"
        for element in document.all("script")
        if element.attributes != {"type": "application/json"}
        and "".join(element.text) != document.script
    ]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
