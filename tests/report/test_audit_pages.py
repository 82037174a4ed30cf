"""Audits as text, Markdown, a web page, DOT and JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools import api
from ckpt_tools.audit.graph import RelationGraph
from ckpt_tools.audit.summary import By, Row, Selection, Table
from ckpt_tools.report.formats import dot, html, html_blocks, html_records, markdown, terminal, text
from ckpt_tools.report.formats.html_script import SCRIPT
from ckpt_tools.report.json.audit import diff_document, document, graph_document
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.pages.audit import audit_page
from ckpt_tools.report.pages.audit_diff import audit_diff_page
from ckpt_tools.report.pages.audit_report import EXAMPLES, TABLES, audit_report
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.storage import schemas
from tests.report.test_hostile_names import HOSTILE, obeyed, uncoloured
from tests.report.test_html import MARKUP
from tests.support.audits import Made, Related, write_audit
from tests.support.html_document import Document
from tests.support.terminal_lines import too_wide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ckpt_tools.report.blocks import Page

ERROR, WARNING, NOTE = ("CK301", "error"), ("CK308", "warning"), ("CK741", "note")
MADE = (
    Made("/data/a", findings=(ERROR, WARNING), nbytes=900_000_000_000),
    Made("/data/b", family="act", findings=(WARNING, NOTE), nbytes=412_000_000_000),
    Made("/data/c", coverage=(("container", "partly"), ("values", "skipped"))),
    Made("/data/d", status="failed", family="", reason="permission denied; ask for it", nbytes=0),
    Made("/data/e", status="vanished", findings=(ERROR,)),
)
RELATED = (
    Related("/data/b", "/data/a", "same-payload", share=1.0, nbytes=412_000_000_000),
    Related("/data/c", "", "declared-base", name="lerobot/smolvla_base"),
)
WIDTH = 80


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_audit(tmp_path_factory.mktemp("audit") / "audit.db", MADE, RELATED)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return an audit whose every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    names = [name for name in (*HOSTILE, *MARKUP) if name and not lone(name)]
    made = [
        Made(
            name,
            family=name,
            owner=name,
            source=name,
            reason=name,
            status=("checked", "failed")[number % 2],
            base_model=name,
            modified=name,
            findings=((name, "error", *(name,) * 4),),
            coverage=((name, "partly"),),
        )
        for number, name in enumerate(names)
    ]
    related = [
        Related(one, other, "same-payload", detail=one)
        for one, other in zip(names, [*names[1:], ""], strict=True)
    ]
    return write_audit(folder / "hostile.db", made, related)


def lone(name: str) -> bool:
    """Whether a name has a surrogate by itself, which SQLite cannot store."""
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def report(audit: str) -> Page:
    summary = api.read_audit(audit, by=TABLES, examples=EXAMPLES)
    return audit_report(summary, api.audit_graph(audit), all_rules())


def page(audit: str, *by: By, **selection: tuple[str, ...]) -> Page:
    summary = api.read_audit(
        audit, by=by or (By.RULE, By.FAMILY), selection=Selection(**selection), limit=20
    )
    return audit_page(summary, all_rules())


def test_the_overview_stands_before_the_tables_and_the_verdict_last(audit: str) -> None:
    lines = text.render(page(audit)).splitlines()
    assert lines[:9] == [
        "Checkpoints",
        "    4 checkpoints of 5, 1 vanished",
        "  ✗ 1 could not be looked at",
        "  ✗ 1 with errors",
        "  ~ 1 with warnings",
        "  ✓ 1 without findings",
        "    412 GB of 1.3 TB are copies: the tensors of 1 checkpoint",
        "    last run: 2026-05-01T12:00:00Z to 2026-05-01T12:10:00Z, ckpt 0.1.0",
        "    looked through: /data",
    ]
    assert "  ~ container: partly checked in 1 of 3" in lines
    assert "    not checked: values" in lines
    assert "  CK308  dtype-profile        warning          2            2" in lines
    assert lines[-1].endswith(
        "audit.db: 4 checkpoints, 1 with errors, 1 with warnings only; 1 could not be looked at"
    )
    assert lines[-1].startswith("  ✗ ")
    assert "  ✗ /data/d" in lines
    assert "      permission denied; ask for it" in lines


def test_a_clean_audit_passes_and_an_empty_one_does_not(tmp_path: Path) -> None:
    clean = write_audit(tmp_path / "clean.db", [Made("/data/a"), Made("/data/b")])
    said = text.render(page(clean)).splitlines()[-1]
    assert said == f"  ✓ {clean}: 2 checkpoints, no errors or warnings"
    empty = write_audit(tmp_path / "empty.db", [], finished="")
    said = text.render(page(empty))
    assert "no checkpoints; this does not count as a pass" in said
    assert "last run: 2026-05-01T12:00:00Z (interrupted), ckpt 0.1.0" in said


def test_what_vanished_is_not_judged(audit: str) -> None:
    said = text.render(page(audit, statuses=("vanished",))).splitlines()[-1]
    assert said.startswith("  ✓ ")
    assert said.endswith("audit.db: 1 checkpoint, no errors or warnings; 1 vanished")


def test_a_code_is_explained_and_its_findings_are_listed(audit: str) -> None:
    said = text.render(page(audit, By.RULE, codes=("CK301",)))
    assert "Teacher weights inside the checkpoint" in said
    assert "  ✗ /data/a\n      model.safetensors: a.weight: is wrong\n      repair it\n" in said
    assert "/data/b" not in said


@pytest.mark.parametrize("by", By)
def test_every_table_fits_a_terminal_and_a_pipe_has_a_row_a_line(audit: str, by: By) -> None:
    assert too_wide(terminal.render(page(audit, by), WIDTH, color=True), WIDTH) == []
    rows = api.read_audit(audit, by=(by,)).table(by).rows
    shown = text.render(page(audit, by)).split(f"By {by}\n")[1].split("\n\n")[0]
    assert len(shown.splitlines()) == len(rows) + 1


def test_a_limit_says_what_it_leaves_out(audit: str) -> None:
    summary = api.read_audit(audit, by=("checkpoint",), limit=1)
    assert "By checkpoint (1 of 4; --limit 0 for all)" in text.render(
        audit_page(summary, all_rules())
    )


# --- hostile --------------------------------------------------------------------------------------


def test_nothing_hostile_reaches_a_terminal_a_file_or_graphviz(hostile: str) -> None:
    code = HOSTILE[0] or HOSTILE[1]
    for shown in (page(hostile, *By), page(hostile, By.CHECKPOINT, codes=(code,))):
        for output in (
            text.render(shown),
            markdown.render(shown),
            uncoloured(terminal.render(shown, WIDTH, color=True)),
        ):
            assert obeyed(output) == []
    assert obeyed(dot.render(api.audit_graph(hostile))) == []


def test_nothing_hostile_becomes_markup(hostile: str) -> None:
    rendered = html.render(report(hostile))
    assert Document(rendered, script=SCRIPT).problems == []
    assert obeyed(rendered.replace(SCRIPT, "")) == []


def test_the_check_sees_markup_that_was_let_through(
    hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report(hostile)
    monkeypatch.setattr(html_blocks, "safe", str)
    problems = Document(html.render(made), script=SCRIPT).problems
    assert {"<img>", "<base>", "img@onerror"} <= set(problems)


def test_data_cannot_end_its_element(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = html.render(report(hostile))
    data = re.findall(r'<script type="application/json">(.*?)</script>', rendered, re.DOTALL)
    assert len(data) == 1
    assert "<" not in data[0]
    assert MARKUP[0] in str(json.loads(data[0]))
    monkeypatch.setattr(html_records, "_ENDS", "")
    assert Document(html.render(report(hostile)), script=SCRIPT).problems != []


def test_every_string_of_dot_ends_where_it_should(hostile: str) -> None:
    lines = dot.render(api.audit_graph(hostile)).splitlines()
    string = r'"(?:[^"\\]|\\.)*"'
    assert all(
        re.fullmatch(rf"  \w+( -> \w+)? \[label={string}[^\"\\]*\];", line) for line in lines[3:-1]
    )
    assert lines[-1] == "}"


# --- the page -------------------------------------------------------------------------------------


def test_the_page_has_all_parts(audit: str) -> None:
    found = Document(html.render(report(audit)), script=SCRIPT)
    assert found.problems == []
    headings = ["".join(element.text) for element in found.all("h2")]
    assert headings == [
        "Checkpoints",
        "Checked",
        "By rule",
        "All checkpoints",
        "By family",
        "By owner",
        "By age",
        "By size",
        "Descent",
        "By relation",
        "Could not be looked at: 1",
        "Findings",
    ]
    said = " ".join(found.words)
    assert "lerobot/smolvla_base not in this audit ✓ /data/c declared base" in said
    assert "CK301 teacher-weights: 1 error in 1 checkpoint" in said
    assert "The rule: Teacher weights inside the checkpoint" in said
    assert "✗ " in said.split("Checkpoints")[0]


def test_a_page_of_some_checkpoints_has_their_descent_only(audit: str) -> None:
    selection = Selection(families=("act",))
    summary = api.read_audit(audit, by=TABLES, selection=selection, examples=EXAMPLES)
    page = audit_report(summary, api.audit_graph(audit), all_rules())
    said = " ".join(Document(html.render(page), script=SCRIPT).words)
    assert "2 checkpoints and bases in 1 tree," in said
    assert "/data/b same payload, 100 %, 412 GB" in said
    assert "smolvla_base" not in said


def test_a_page_without_records_runs_nothing(audit: str) -> None:
    rendered = html.render(page(audit))
    assert Document(rendered).problems == []
    assert "script" not in rendered


def test_a_page_of_many_checkpoints_has_few_elements_and_all_rows(audit: str) -> None:
    number = 20_000
    summary = api.read_audit(audit, by=TABLES)
    row = Row("", "checked", "", "/d", "lab", "policy", "act", 1, 0, 0, 9, 9, 9, "", "", ("CK301",))
    rows = tuple(row._replace(location=f"/data/run-{one:06}") for one in range(number))
    many = summary._replace(tables=(Table(By.CHECKPOINT, rows, number),))
    rendered = html.render(audit_report(many, RelationGraph((), ()), all_rules()))
    found = Document(rendered, script=SCRIPT)
    assert found.problems == []
    assert len(found.elements) < 1_500
    assert len(rendered) < 100 * number
    data = re.findall(r'<script type="application/json">(.*?)</script>', rendered, re.DOTALL)
    cells = json.loads(data[0])["cells"]
    assert {len(column) for column in cells} == {number}
    assert "The first 50 of 20,000 checkpoints." in " ".join(found.words)


def test_a_large_graph_makes_a_tree_of_bounded_size(tmp_path: Path) -> None:
    made = [Made(f"/data/{one:04}") for one in range(3_000)]
    related = [
        Related(one.location, f"/data/{number // 40:04}", "adapter-of")
        for number, one in enumerate(made[1:], 1)
    ]
    rendered = html.render(report(write_audit(tmp_path / "a.db", made, related)))
    found = Document(rendered, script=SCRIPT)
    assert found.problems == []
    said = " ".join(found.words)
    assert "3,000 checkpoints and bases in 1 tree," in said
    assert len([element for element in found.all("li") if "ul" in element.within]) < 2_000


# --- JSON -----------------------------------------------------------------------------------------


def errors_of(schema: str, value: Mapping[str, object]) -> list[str]:
    validator = jsonschema.Draft202012Validator(schemas.load(schema))
    validator.check_schema(validator.schema)
    return [error.message for error in validator.iter_errors(json.loads(dump(value)))]


@pytest.mark.parametrize("name", ["audit", "hostile"])
def test_the_documents_follow_their_schemas(request: pytest.FixtureRequest, name: str) -> None:
    path = request.getfixturevalue(name)
    summary = api.read_audit(path, by=By, examples=10)
    assert errors_of("audit", document(summary)) == []
    assert len(summary.tables) == len(By)
    assert errors_of("audit-graph", graph_document(api.audit_graph(path))) == []


def test_a_diff_follows_its_schema_and_is_a_page(audit: str, hostile: str) -> None:
    for old, new in ((audit, hostile), (hostile, audit), (audit, audit)):
        found = api.compare_audits(old, new)
        assert errors_of("audit-diff", diff_document(found)) == []
        shown = audit_diff_page(found)
        assert obeyed(text.render(shown)) == []
        assert Document(html.render(audit_diff_page(found, full=True))).problems == []
    assert text.render(shown).endswith("no differences (4 checkpoints in both)\n")


def test_a_diff_names_what_differs(audit: str, tmp_path: Path) -> None:
    new = (
        MADE[0]._replace(identity=b"2", findings=()),
        MADE[1]._replace(rules="r2", findings=(WARNING, ERROR)),
        MADE[4]._replace(status="checked", findings=()),
    )
    found = api.compare_audits(audit, write_audit(tmp_path / "new.db", new))
    assert errors_of("audit-diff", diff_document(found)) == []
    said = text.render(audit_diff_page(found))
    for line in (
        "New: 1\n  ~ /data/e (clean)",
        "Gone: 2\n  ~ /data/c (clean)\n  ~ /data/d (failed)",
        "Changed files: 1\n  ~ /data/a",
        "  ✓ /data/a: errors before, clean now\n  ✗ /data/b: warnings before, errors now",
        "  CK301  error            1\n  ✗ CK301 /data/b\n",
        "different: 1 new, 2 gone, 1 changed, 2 with another verdict, 1 findings came, 3 findings",
    ):
        assert line in said
