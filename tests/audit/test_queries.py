"""What is read of an audit: selections, totals, tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.audit import opening
from ckpt_tools.audit.reader import reading
from ckpt_tools.audit.summary import By, Found, Group, RelationGroup, Row, RuleGroup, Selection
from ckpt_tools.errors import AuditInvalid, CkptError, LockedByOther, PathNotFound, UnknownSelection
from ckpt_tools.report.formats import dot, text
from ckpt_tools.report.json.audit import document
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.pages.audit import audit_page
from ckpt_tools.report.pages.audit_diff import audit_diff_page
from ckpt_tools.report.pages.audit_report import audit_report
from ckpt_tools.rules.registry import all_rules
from tests.support.audits import Made, Related, write_audit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.audit.summary import Overview, TableRow

ERROR, WARNING, NOTE = ("CK301", "error"), ("CK308", "warning"), ("CK741", "note")
MADE = (
    Made("/data/a", findings=(ERROR, ERROR, WARNING), nbytes=5_000_000, modified=""),
    Made("/data/b", family="act", findings=(WARNING, NOTE), owner="other"),
    Made("/data/c", findings=(NOTE,), nbytes=2_000_000_000, modified="2025-04-30T12:00:00Z"),
    Made("/data/d", with_values=1, coverage=(("container", "partly"), ("values", "checked"))),
    Made("/data/e", family="", status="failed", reason="permission denied", nbytes=0),
    Made("hf://x/f", source="hf://x", owner="x", status="vanished", findings=(ERROR, NOTE)),
)
RELATED = (
    Related("/data/b", "/data/a", "same-payload", share=1.0, nbytes=1_000_000),
    Related("/data/c", "", "declared-base", name="lerobot/smolvla_base"),
    Related("/data/d", "", "declared-base", name="lerobot/smolvla_base"),
)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_audit(tmp_path_factory.mktemp("audit") / "audit.db", MADE, RELATED)


def overview(audit: str, **selection: tuple[str, ...]) -> Overview:
    return api.read_audit(audit, by=(), selection=Selection(**selection)).overview


def rows(audit: str, by: By, **selection: tuple[str, ...]) -> list[TableRow]:
    found = api.read_audit(audit, by=(by,), selection=Selection(**selection))
    return list(found.table(by).rows)


def locations(audit: str, **selection: tuple[str, ...]) -> list[str]:
    found = rows(audit, By.CHECKPOINT, **selection)
    return [row.location for row in found if isinstance(row, Row)]


def test_the_overview_counts_by_status_and_worst_finding(audit: str) -> None:
    found = overview(audit)
    assert (found.known, found.selected, found.vanished) == (6, 5, 1)
    assert (found.checked, found.failed) == (4, 1)
    assert (found.with_errors, found.with_warnings, found.with_notes, found.clean) == (1, 1, 1, 1)
    assert found.findings == (2, 2, 2)
    assert found.nbytes == 5_000_000 + 1_000_000 + 2_000_000_000 + 1_000_000
    assert (found.copies, found.copied_bytes, found.with_values) == (1, 1_000_000, 1)
    assert found.weight_bytes == found.nbytes
    assert [tuple(one) for one in found.coverage] == [("container", 3, 1, 0), ("values", 1, 0, 3)]
    assert (found.tool, found.runs, found.sources) == ("0.1.0", 1, ("/data",))


def test_copies_are_those_that_a_finished_run_added_up(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", MADE, RELATED)
    connection = sqlite3.connect(audit)
    connection.execute("UPDATE runs SET weights = 90, copied = 20")
    connection.commit()
    connection.close()
    found = overview(audit)
    assert (found.copies, found.copied_bytes, found.weight_bytes) == (1, 20, 90)
    found = overview(audit, families=("act",))
    assert (found.copies, found.copied_bytes, found.weight_bytes) == (1, 1_000_000, 1_000_000)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, "e a b c d"),
        ({"families": ("smolvla",)}, "a c d"),
        ({"families": ("smol*", "ac?")}, "a b c d"),
        ({"families": ("[s]molvla",)}, ""),
        ({"owners": ("other",)}, "b"),
        ({"sources": ("/data",), "families": ("act",)}, "b"),
        ({"codes": ("CK308",)}, "a b"),
        ({"codes": ("CK308", "CK741")}, "a b c"),
        ({"severities": ("error", "note")}, "a b c"),
        ({"codes": ("CK301", "CK741"), "severities": ("note",)}, "b c"),
        ({"statuses": ("failed",)}, "e"),
        ({"statuses": ("failed", "vanished")}, "e f"),
    ],
)
def test_a_selection_is_what_matches_every_filter(
    audit: str, selection: dict[str, tuple[str, ...]], expected: str
) -> None:
    assert [one[-1] for one in locations(audit, **selection)] == expected.split()
    assert overview(audit, **selection).selected == len(expected.split())


@pytest.mark.parametrize(
    ("selection", "is_chosen"),
    [
        ({}, lambda one: one.status != "vanished"),
        ({"statuses": ("checked", "failed", "vanished")}, lambda _: True),
        ({"families": ("act",)}, lambda one: one.family == "act"),
        (
            {"families": ("smolvla",)},
            lambda one: one.family == "smolvla" and one.status != "vanished",
        ),
        ({"statuses": ("vanished",)}, lambda one: one.status == "vanished"),
    ],
)
def test_totals_are_those_of_the_selected_checkpoints_whether_few_or_most(
    audit: str, selection: dict[str, tuple[str, ...]], is_chosen: Callable[[Made], bool]
) -> None:
    chosen = [one for one in MADE if is_chosen(one)]
    codes = {(finding[0], finding[1]) for one in chosen for finding in one.findings}
    assert {tuple(row) for row in rows(audit, By.RULE, **selection)} == {
        (
            *code,
            sum(one.findings.count(code) for one in chosen),
            sum(code in one.findings for one in chosen),
        )
        for code in codes
    }


def test_totals_are_stored_by_a_finished_run_and_counted_until_then(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", MADE, RELATED)
    counted = api.read_audit(audit, by=("rule",))
    with opening.open_to_write(audit) as open_audit:
        open_audit.finish(1)
    stored = api.read_audit(audit, by=("rule",))
    assert stored.tables == counted.tables
    assert stored.overview.coverage == counted.overview.coverage
    assert stored.overview.copies == counted.overview.copies
    changed(audit, "UPDATE totals SET number = 99")
    assert [row[2] for row in rows(audit, By.RULE)] == [99, 99, 99]
    assert [row[2] for row in rows(audit, By.RULE, sources=("*",))] == [2, 2, 2]
    with opening.open_to_write(audit) as open_audit:
        open_audit.start("0.1.0", "r1", ["/data"], "{}")
    assert [row[2] for row in rows(audit, By.RULE)] == [2, 2, 2]


def test_rules_are_listed_from_the_worst_and_by_the_number_of_checkpoints(audit: str) -> None:
    assert rows(audit, By.RULE) == [
        RuleGroup("CK301", "error", 2, 1),
        RuleGroup("CK308", "warning", 2, 2),
        RuleGroup("CK741", "note", 2, 2),
    ]
    assert rows(audit, By.RULE, codes=("CK308",)) == [RuleGroup("CK308", "warning", 2, 2)]
    table = api.read_audit(audit, by=("rule",), limit=1).table(By.RULE)
    assert (len(table.rows), table.total) == (1, 3)


def test_checkpoints_are_grouped_by_family_owner_age_and_size(audit: str) -> None:
    assert rows(audit, By.FAMILY) == [
        Group("smolvla", 3, 1, 0, 0, 2_006_000_000),
        Group("", 1, 0, 0, 1, 0),
        Group("act", 1, 0, 1, 0, 1_000_000),
    ]
    assert [row[:2] for row in rows(audit, By.OWNER)] == [("lab", 4), ("other", 1)]
    assert [row[:2] for row in rows(audit, By.SIZE)] == [
        ("under 1 MB", 1),
        ("1 MB to 10 MB", 3),
        ("1 GB to 10 GB", 1),
    ]
    assert [row[:2] for row in rows(audit, By.AGE)] == [
        ("under a week", 3),
        ("a year and more", 1),
        ("not known", 1),
    ]


def test_relations_are_grouped_by_what_they_lead_to(audit: str) -> None:
    assert rows(audit, By.RELATION) == [
        RelationGroup("declared-base", "lerobot/smolvla_base", 2, 0),
        RelationGroup("same-payload", "/data/a", 1, 1_000_000),
    ]
    assert rows(audit, By.RELATION, families=("act",)) == [
        RelationGroup("same-payload", "/data/a", 1, 1_000_000)
    ]


def test_a_checkpoint_has_its_codes_and_what_failed_comes_first(audit: str) -> None:
    first, second = api.read_audit(audit, by=("checkpoint",), limit=2).table(By.CHECKPOINT).rows
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.location, first.reason) == ("/data/e", "permission denied")
    assert (second.codes, second.errors, second.warnings) == (("CK301", "CK308"), 2, 1)
    assert [row.location for row in api.read_audit(audit).failed] == ["/data/e"]


def test_the_findings_of_a_code_or_of_a_name_are_listed(audit: str) -> None:
    found = api.read_audit(audit, by=(), selection=Selection(codes=("dtype-profile",)), limit=1)
    assert found.selection.codes == ("CK308",)
    assert (len(found.found), found.found_total) == (1, 2)
    assert found.found[0] == Found(
        "/data/a", "CK308", "warning", "model.safetensors", "a.weight", "is wrong", "repair it"
    )
    some = api.read_audit(audit, by=(), examples=1).found
    assert [one.code for one in some] == ["CK301", "CK301", "CK308", "CK308", "CK741", "CK741"]


def test_a_code_that_only_the_file_knows_is_selected_and_another_is_refused(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", [Made("/data/a", findings=(("ACME1", "error"),))])
    assert overview(audit, codes=("ACME1",)).selected == 1
    with pytest.raises(UnknownSelection, match=r"no such rule: CK3011 \(did you mean CK"):
        overview(audit, codes=("CK3011",))


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"statuses": ("gone",)}, "no such status: gone; choose from checked, failed, vanished"),
        ({"severities": ("bad",)}, "no such severity: bad; choose from error, warning, note"),
    ],
)
def test_an_unknown_status_or_severity_is_refused(
    audit: str, selection: dict[str, tuple[str, ...]], words: str
) -> None:
    with pytest.raises(UnknownSelection, match=words):
        overview(audit, **selection)


def test_an_audit_without_a_checkpoint_has_an_overview(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", [], finished="")
    found = overview(audit)
    assert (found.known, found.selected, found.nbytes, found.finished) == (0, 0, 0, "")
    assert [rows(audit, by) for by in By] == [[]] * len(By)


# --- what is no audit -----------------------------------------------------------------------------


def other_file(path: Path, kind: str) -> None:
    """Write what is not an audit that this release reads."""
    if kind == "text":
        path.write_text("no database, but long enough to look at: " * 100, encoding="utf-8")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE a (b)")
        if kind == "newer":
            connection.execute(f"PRAGMA application_id = {opening.APPLICATION}")
            connection.execute(f"PRAGMA user_version = {opening.VERSION + 1}")
        if kind == "without tables":
            connection.execute(f"PRAGMA application_id = {opening.APPLICATION}")
            connection.execute(f"PRAGMA user_version = {opening.VERSION}")
        connection.commit()
        connection.close()


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("missing", PathNotFound, "no such file or directory; "),
        ("text", AuditInvalid, "is not an SQLite file; name a file that `ckpt audit run"),
        ("empty", AuditInvalid, "is empty; name a file that"),
        ("folder", AuditInvalid, "is not a file; name a file that"),
        ("foreign", AuditInvalid, "is an SQLite file of another program; name a file"),
        ("newer", AuditInvalid, "was written by a newer release of ckpt-tools"),
        ("without tables", CkptError, "no such table: checkpoints"),
    ],
)
def test_what_is_no_audit_is_refused_in_a_sentence(
    tmp_path: Path, kind: str, error: type[CkptError], words: str
) -> None:
    path = tmp_path / "a.db"
    other_file(path, kind)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(error) as caught:
        overview(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_damaged_audit_is_refused_in_a_sentence(audit: str, tmp_path: Path) -> None:
    content = bytearray(Path(audit).read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(AuditInvalid, match="is a damaged SQLite file"):
        overview(str(path))


def changed(audit: str, change: str) -> str:
    """Change something in an audit, and return it."""
    connection = sqlite3.connect(audit)
    connection.execute(change)
    connection.commit()
    connection.close()
    return audit


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE findings SET severity = 'b\x1b[31m', code = ''",
        "UPDATE checkpoints SET status = 'odd\x1b', modified = 'never', errors = -5",
        "UPDATE relations SET kind = 'odd\x1b', share = 1e300, bytes = -1",
        "UPDATE coverage SET question = question || '\x1b', state = 'odd'",
        "UPDATE runs SET tool = '\x1b', started = 'never', finished = '\x1b'",
        "UPDATE runs SET sources = '[1]'",
        "DELETE FROM runs",
    ],
)
def test_values_that_no_audit_has_are_shown_and_steer_no_terminal(
    tmp_path: Path, change: str
) -> None:
    audit = changed(write_audit(tmp_path / "a.db", MADE, RELATED), change)
    summary = api.read_audit(audit, by=By, examples=10)
    graph, diff = api.audit_graph(audit), api.compare_audits(audit, audit)
    rules = all_rules()
    shown = (audit_page(summary, rules), audit_report(summary, graph, rules), audit_diff_page(diff))
    assert "\x1b" not in "".join(map(text.render, shown)) + dot.render(graph)
    dump(document(summary))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE runs SET sources = '{'", "has a value that no audit has: "),
        ("UPDATE checkpoints SET bytes = 9223372036854775807", "integer overflow"),
        ("UPDATE checkpoints SET location = cast(x'ff' AS TEXT) WHERE id = 1", "UTF-8"),
    ],
)
def test_values_that_cannot_be_read_are_refused_in_a_sentence(
    tmp_path: Path, change: str, words: str
) -> None:
    with pytest.raises(CkptError, match=words) as caught:
        rows(changed(write_audit(tmp_path / "a.db", MADE, RELATED), change), By.CHECKPOINT)
    assert str(caught.value).isprintable()


def test_a_locked_audit_is_refused_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = write_audit(tmp_path / "a.db", MADE)
    monkeypatch.setattr(opening, "_READER_MS", 10)
    writer = sqlite3.connect(audit, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LockedByOther, match=r"a\.db: another program is writing to this file; "):
        overview(audit)
    writer.close()
    assert overview(audit).known == len(MADE)


def test_what_is_read_stays_as_it_is_while_a_run_writes(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", MADE)
    writer = sqlite3.connect(audit, isolation_level=None, timeout=0)
    with reading(audit) as connection:
        before = connection.execute("SELECT count(*) FROM findings").fetchone()
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM findings")
        assert connection.execute("SELECT count(*) FROM findings").fetchone() == before
    writer.execute("COMMIT")
    writer.close()
    assert overview(audit).selected == len(MADE) - 1
