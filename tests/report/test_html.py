"""The HTML pages, as a parser reads them.

whole       what text says is on the page, and the verdict stands first closed      a page loads
nothing, runs nothing, links nowhere else; nothing from a file becomes markup ordered     one h1,
headings in order, ids given once, landmarks with names bounded     ten thousand findings or names
make a page that a telephone opens
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.api import _gate
from ckpt_tools.checkpoint.model import Checkpoint
from ckpt_tools.diff.model import DifferenceGroup, StoryKind
from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.report.blocks import (
    Bar,
    Bars,
    Cell,
    Heading,
    HeatMap,
    Line,
    Status,
    Table,
    Title,
    Topic,
    Verbatim,
    text_blocks,
)
from ckpt_tools.report.charts import STEPS
from ckpt_tools.report.formats import html, html_blocks, markdown, text
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.plan import plan_page
from ckpt_tools.report.pages.rules import explain_page, rules_page
from ckpt_tools.report.pages.show import show_page
from ckpt_tools.report.pages.verdict import explained_page
from ckpt_tools.rules.finding import Finding, Severity, Skipped, Suppressed, Verification
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.text import printable
from tests.report.test_hostile_names import HOSTILE, obeyed, on_a_terminal, write
from tests.support.changed_values import CHANGES, layer, values
from tests.support.html_document import Document

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.report.blocks import Page

ROOT = Path(__file__).parents[2]

MARKUP = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style><style>*{display:none}</style>",
    "</title></head><body onload=alert(1)>",
    "</details></ul></main></body></html>",
    "<base href=https://evil.example>",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
    "<link rel=stylesheet href=//evil.example>",
    "<!--",
    "<![CDATA[",
    "<?php",
    "&lt;b&gt;&amp;&#60;&NotEqualTilde;",
    "javascript:alert(1)",
    "`<b>`",
    "\u05d0\u05d1 rtl \u0627",
)
"""What an HTML page obeys, beside what everything else does."""


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


PAGES: dict[str, Callable[[], Page]] = {
    "show": lambda: show_page(api.show("fixtures/normal"), full=True),
    "tree": lambda: show_page(api.show("fixtures/normal"), tree=True),
    "language model": lambda: show_page(api.show("fixtures/language-model"), full=True),
    "same": lambda: diff_page(api.diff("fixtures/normal", "fixtures/normal"), full=True),
    "diff": lambda: diff_page(api.diff("fixtures/normal", "fixtures/reflow"), full=True),
    "many": lambda: diff_page(api.diff("fixtures/normal", "fixtures/language-model"), full=True),
    "values": lambda: diff_page(
        api.diff("fixtures/normal", "fixtures/reflow")._replace(changes=CHANGES), full=True
    ),
    "verify": lambda: explained_page(api.verify("fixtures/reflow"), all_rules()),
    "clean": lambda: explained_page(api.verify("fixtures/normal"), all_rules()),
    "gate": lambda: explained_page(_gate.gate("fixtures/reflow"), all_rules()),
    "plan": lambda: plan_page(
        api.sanitize("fixtures/reflow", reference="fixtures/normal"), full=True
    ),
    "rules": lambda: rules_page(all_rules()),
    "explain": lambda: explain_page(all_rules()[0]),
    "empty": lambda: (),
}


@cache
def page(name: str) -> Page:
    return PAGES[name]()


def verification(
    *findings: Finding, suppressed: tuple[Suppressed, ...] = (), skipped: tuple[Skipped, ...] = ()
) -> Verification:
    return Verification(
        "out",
        Checkpoint("out", "out", ()),
        "generic",
        findings,
        ("CK101", "CK301"),
        skipped,
        suppressed,
    )


# --- ordered and closed ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wrong_with_the_page(name: str) -> None:
    assert Document(html.render(page(name))).problems == []


@pytest.mark.parametrize("name", [name for name in PAGES if name != "empty"])
def test_the_page_says_all_that_text_says(name: str) -> None:
    said = " ".join(Document(html.render(page(name))).words)
    for block in text_blocks(page(name)):
        sentences = {
            Heading: lambda block: [block.text] if not block.conclusion else [],
            Line: lambda block: [block.text, *block.details],
            Table: lambda block: [cell for row in (block.header, *block.rows) for cell in row],
            Verbatim: lambda block: list(block.lines),
        }[type(block)](block)
        for sentence in sentences:
            plain = " ".join(sentence.split())
            assert plain in said or (
                name in ("verify", "gate", "clean") and plain.replace("`", "") in said
            ), plain


def test_the_verdict_stands_first_and_once() -> None:
    said = " ".join(Document(html.render(page("diff"))).words)
    verdict = "✗ different: 500 tensors only in B"
    assert said.count(verdict) == 1
    assert said.index(verdict) < said.index("A fixtures/normal")
    assert text.render(page("diff")).rstrip().split("\n")[-1].startswith(f"  {verdict}")


def test_marks_are_spoken() -> None:
    spoken = [
        element.attributes["aria-label"]
        for element in Document(html.render(page("diff"))).elements
        if element.attributes.get("role") == "img"
    ]
    assert {"bad", "note"} <= set(spoken)


def test_a_page_without_a_title_has_one_all_the_same() -> None:
    assert Document(html.render((Line("x"),))).all("h1")[0].text == ["ckpt"]
    assert Document(html.render((Title("<b>"),))).all("title")[0].text == ["<b>"]


def test_headings_of_the_same_name_have_ids_of_their_own() -> None:
    found = Document(
        html.render(
            (
                Heading("values"),
                Heading("Values"),
                Heading("§"),
                Heading("content"),
                Heading("values-2"),
            )
        )
    )
    assert [element.attributes["id"] for element in found.all("h2")] == [
        "values",
        "Values-2",
        "part",
        "content-2",
        "values-2-2",
    ]
    assert found.problems == []


# --- hostile --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Return pages about checkpoints whose every name is hostile, and about findings in them."""
    folder = tmp_path_factory.mktemp("hostile")
    names = (*HOSTILE, *MARKUP)
    a = write(
        folder / "a", ["w", "l.0.w", *(f"gone.{name}" for name in names)], hostile_config=False
    )
    b = write(
        folder / "b",
        ["l.7.w", *(f"{name}.{number}" for name in names for number in range(2)), *names],
        hostile_config=True,
    )
    findings = tuple(
        Finding(f"CK30{number % 3}", Severity.ERROR, name, name, name, Remedy(text=name))
        for number, name in enumerate(names)
    )
    lived = tuple(Suppressed(finding, name) for finding, name in zip(findings, names, strict=True))
    found = verification(
        *findings, suppressed=lived, skipped=tuple(Skipped("CK401", name) for name in names)
    )
    rules = tuple(
        rule._replace(page="\n\n".join(names), name=names[-1])
        for rule in all_rules()
        if rule.code == "CK301"
    )
    rows = tuple(layer(name, str(number), 0.1, title=name) for name in names for number in range(3))
    return {
        "diff": diff_page(api.diff(a, b), full=True),
        "back": diff_page(api.diff(b, a)._replace(changes=values(*rows)), full=True),
        "show": show_page(api.show(b), full=True),
        "tree": show_page(api.show(b), tree=True),
        "verify": explained_page(api.verify(b), all_rules()),
        "findings": explained_page(
            Verdict("generic", found._replace(where=names[-4]), findings, passes=False), rules
        ),
        "blocks": (
            Title(names[0]),
            *map(Heading, names),
            *(Line(name, Status.BAD, (name,)) for name in names),
            Table(names, (names,)),
            Verbatim(names),
            *(
                Topic(name, name, Status.BAD, (Line(name),), (Line(f"`{name}`"), Verbatim((name,))))
                for name in names
            ),
            Bars(names[1], names, tuple(Bar(name, (1,) * len(names), names) for name in names)),
            HeatMap(
                names[2],
                names[3],
                names,
                tuple((name, tuple(Cell(1.0, name) for name in names)) for name in names),
                STEPS,
            ),
        ),
    }


HOSTILE_PAGES = ("diff", "back", "show", "tree", "verify", "findings", "blocks")


@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_nothing_from_a_file_becomes_markup(hostile: dict[str, Page], name: str) -> None:
    assert Document(html.render(hostile[name])).problems == []


@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_no_control_character_of_a_file_reaches_the_page(
    hostile: dict[str, Page], name: str
) -> None:
    assert obeyed(html.render(hostile[name])) == []


def test_hostile_names_are_shown_as_they_are(hostile: dict[str, Page]) -> None:
    pieces = {piece.strip() for piece in Document(html.render(hostile["tree"])).pieces}
    lines = "\n".join(pieces)
    assert [name for name in MARKUP if name not in lines] == []
    shown = Document(html.render(hostile["blocks"])).pieces
    assert [
        name
        for name in HOSTILE
        if name and "".join(c if c.isprintable() else repr(c)[1:-1] for c in name) not in shown
    ] == []


def test_the_checks_see_markup_that_was_let_through(
    hostile: dict[str, Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html_blocks, "safe", str)
    problems = Document(html.render(hostile["findings"])).problems
    assert {"<script>", "<img>", "img@onerror", "svg@onload", "<base>", "<link>"} <= set(problems)
    assert obeyed(html.render(hostile["findings"]))


@given(st.text())
def test_any_text_is_read_back_as_it_is_printed(name: str) -> None:
    safe = html_blocks.safe(name)
    found = Document(f"<p class=\"{safe}\" id='{safe}'>{safe}</p>")
    expected = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    assert "".join(found.pieces) == expected
    assert [(element.tag, element.attributes) for element in found.elements] == [
        ("p", {"class": expected, "id": expected})
    ]


# --- findings -------------------------------------------------------------------------------------


def test_a_finding_stands_with_its_rule_and_the_rule_has_an_anchor() -> None:
    found = Document(html.render(page("verify")))
    topics = [element.attributes["id"] for element in found.all("article")]
    assert topics[:2] == ["CK301", "CK701"]
    said = " ".join(found.words)
    assert "CK301 teacher-weights" in said
    assert "registers its teacher as a submodule saves it together with the student." in said
    assert len(found.all("summary")) == len(topics)


def test_a_rule_with_findings_of_two_severities_has_two_anchors() -> None:
    two = (
        Finding("CK301", Severity.ERROR, "a"),
        Finding("CK301", Severity.NOTE, "b"),
        Finding("ACME7", Severity.NOTE, "of no known rule"),
    )
    found = Document(html.render(explained_page(verification(*two), all_rules())))
    assert found.problems == []
    assert [element.attributes["id"] for element in found.all("article")] == [
        "CK301",
        "CK301-2",
        "ACME7",
    ]
    assert len(found.all("details")) == 2


def test_what_was_not_asked_is_named() -> None:
    said = " ".join(Document(html.render(page("verify"))).words)
    assert "not checked" in said
    assert re.search(r"tensor values not read \(use `--values`\): \d+ rules CK\d+, CK\d+", said)


def test_a_topic_is_lines_where_nobody_draws() -> None:
    topic = Topic("CK1", "name", Status.BAD, (Line("one", details=("more",)),), (Line("why"),))
    assert text.render((Title("t"), topic)) == "  ✗ CK1 name\n    one\n      more\n"
    assert markdown.render((Title("t"), topic)) == "- ✗ CK1 name\n- one\n  - more\n"


# --- bounded --------------------------------------------------------------------------------------


def test_ten_thousand_findings_make_a_page_of_bounded_size() -> None:
    name = "model.vlm_with_expert.vlm.model.text_model.layers.{}.self_attn.q_proj.weight"
    many = tuple(
        Finding(
            "CK401",
            Severity.ERROR,
            "holds 3 NaN",
            "model.safetensors",
            name.format(number),
            Remedy(text="train again"),
        )
        for number in range(10_000)
    )
    page = html.render(explained_page(verification(*many), all_rules()))
    assert len(page) < 500_000
    found = Document(page)
    assert found.problems == []
    assert "10,000" in " ".join(found.words)
    assert "and 9,000 more: --format json lists them" in " ".join(found.words).replace("  ", " ")
    assert len(found.all("article")) == 1


def test_ten_thousand_names_make_a_page_of_bounded_size() -> None:
    comparison = api.diff("fixtures/normal", "fixtures/reflow")
    names = tuple(f"model.experts.{number}.{'up' * 100}.weight" for number in range(10_000))
    story = DifferenceGroup(
        StoryKind.EXTRA,
        "10,000 tensors only in B",
        "",
        harmful=False,
        tensors=10_000,
        nbytes=0,
        names=names,
    )
    page = html.render(diff_page(comparison._replace(stories=(story,)), full=True))
    assert len(page) < 500_000
    assert printable(names[0]) in page
    assert names[999] in page
    assert names[1000] not in page


def test_long_lists_are_folded_and_short_ones_are_not() -> None:
    def folded(count: int) -> int:
        return len(Document(html.render((Line("x", details=("d",) * count),))).all("details"))

    assert [folded(count) for count in (0, 1, 8, 9, 500)] == [0, 0, 0, 1, 1]
    assert len(Document(html.render((Line("x"),) * 33)).all("details")) == 1
    found = Document(html.render((Table(("a",), (("b",),) * 5_000),)))
    assert (len(found.all("tr")), len(found.all("details"))) == (1_001, 1)
    assert "and 4,000 more:" in " ".join(found.words)
    assert len(Document(html.render((Table(("a",), (("b",),) * 60),))).all("details")) == 0


# --- the command ----------------------------------------------------------------------------------


def ckpt(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ckpt_tools", *arguments, "--format", "html"]
    return subprocess.run(
        command, capture_output=True, timeout=60, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (
            ("diff", "fixtures/normal", "fixtures/reflow"),
            1,
            "Diff: fixtures/normal and fixtures/reflow",
        ),
        (("diff", "fixtures/normal", "fixtures/normal"), 0, "same structure"),
        (("show", "fixtures/normal"), 0, "Checkpoint: fixtures/normal"),
        (("show", "fixtures/normal", "--tree"), 0, "action_in_proj"),
        (("verify", "fixtures/reflow"), 1, "Verification: fixtures/reflow"),
        (("gate", "fixtures/reflow"), 1, "Gate: fixtures/reflow"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_command_writes_a_page(arguments: tuple[str, ...], status: int, words: str) -> None:
    done = ckpt(*arguments)
    assert (done.returncode, done.stderr) == (status, b"")
    found = Document(done.stdout.decode("utf-8"))
    assert found.problems == []
    assert words in " ".join(found.words)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_page_is_the_utf_8_that_it_says_it_is_in_every_encoding(
    encoding: str, tmp_path: Path
) -> None:
    where = write(tmp_path / "b", ["権.é"], hostile_config=False)
    done = ckpt("diff", "fixtures/normal", where, PYTHONIOENCODING=encoding)
    found = Document(done.stdout.decode("utf-8"))
    assert found.problems == []
    assert {"権.é", "✗"} <= set(found.words)


def test_a_terminal_gets_the_same_page_as_a_file() -> None:
    arguments = ("diff", "fixtures/normal", "fixtures/normal")
    assert on_a_terminal(*arguments, "--format", "html") == ckpt(*arguments).stdout.decode("utf-8")
