"""Two audits compared, and the graph of one."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from ckpt_tools import api
from ckpt_tools.audit.graph import Branch, Edge, Node, RelationGraph, forest
from ckpt_tools.audit.parquet import TABLES
from ckpt_tools.errors import CkptError, OutputExists, ParquetMissing
from tests.support.audits import Made, Related, write_audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ckpt_tools.audit.compare import AuditComparison

ERROR, WARNING = ("CK301", "error"), ("CK308", "warning")
OLD = (
    Made("/data/a", findings=(ERROR, WARNING)),
    Made("/data/b"),
    Made("/data/c", findings=(WARNING,)),
    Made("/data/d", status="vanished"),
)


def compared(folder: Path, *new: Made, old: tuple[Made, ...] = OLD) -> AuditComparison:
    return api.compare_audits(
        write_audit(folder / "old.db", old), write_audit(folder / "new.db", new)
    )


def test_an_audit_is_the_same_as_itself(tmp_path: Path) -> None:
    found = compared(tmp_path, *reversed(OLD))
    assert found.same
    assert found.common == 3


def test_checkpoints_come_go_and_change(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        OLD[0]._replace(identity=b"2"),
        OLD[1]._replace(status="vanished"),
        OLD[3]._replace(status="checked", findings=(WARNING,)),
        Made("/data/0"),
    )
    assert [tuple(one) for one in found.added] == [("/data/0", "clean"), ("/data/d", "warnings")]
    assert [tuple(one) for one in found.gone] == [("/data/b", "clean"), ("/data/c", "warnings")]
    assert found.changed == ("/data/a",)
    assert (found.rejudged, found.came, found.went, found.same) == ((), (), (), False)


def test_findings_come_and_go_and_verdicts_change(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        OLD[0]._replace(identity=b"2", findings=(WARNING, WARNING)),
        OLD[1]._replace(status="failed", reason="denied"),
        OLD[2]._replace(rules="r2", findings=(("CK308", "warning", "other.json"),)),
    )
    assert found.changed == ("/data/a",)
    assert [tuple(one) for one in found.rejudged] == [
        ("/data/a", "errors", "warnings"),
        ("/data/b", "clean", "failed"),
    ]
    assert [(one.location, one.code, one.path) for one in found.came] == [
        ("/data/a", "CK308", "model.safetensors"),
        ("/data/c", "CK308", "other.json"),
    ]
    assert [(one.location, one.code, one.path) for one in found.went] == [
        ("/data/a", "CK301", "model.safetensors"),
        ("/data/c", "CK308", "model.safetensors"),
    ]


# --- the graph ------------------------------------------------------------------------------------

RELATED = (
    Related("/data/b", "/data/a", "same-payload", share=1.0, nbytes=5),
    Related("/data/b", "", "declared-base", name="x/base"),
    Related("/data/c", "/data/b", "frozen-part", share=0.75, detail="VLM"),
    Related("/data/c", "/data/a", "same-structure"),
)


def test_the_graph_has_what_is_related_and_bases_that_the_file_lacks(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", OLD, RELATED)
    graph = api.audit_graph(audit)
    assert [(node.number, node.location, node.judged) for node in graph.nodes] == [
        (-1, "x/base", "not in this audit"),
        (1, "/data/a", "errors"),
        (2, "/data/b", "clean"),
        (3, "/data/c", "warnings"),
    ]
    assert [(edge.of, edge.to, edge.kind) for edge in graph.edges] == [
        (2, -1, "declared-base"),
        (2, 1, "same-payload"),
        (3, 2, "frozen-part"),
        (3, 1, "same-structure"),
    ]
    some = api.audit_graph(audit, kinds=("same-payload",))
    assert [node.location for node in some.nodes] == ["/data/a", "/data/b"]


def test_a_checkpoint_hangs_below_what_says_most_of_its_descent(tmp_path: Path) -> None:
    trees = forest(api.audit_graph(write_audit(tmp_path / "a.db", OLD, RELATED)))
    assert list(map(drawn, trees)) == ["x/base(/data/b(/data/c))"]


def drawn(branch: Branch) -> str:
    below = ", ".join(map(drawn, branch.branches))
    return branch.node.location + (f"({below})" if below else "")


def walked(branches: tuple[Branch, ...]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from walked(branch.branches)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 7), st.integers(0, 7), st.sampled_from(["adapter-of", "shares-tensors"])
        ),
        max_size=20,
    )
)
def test_what_descends_is_in_the_forest_once_whatever_circles_there_are(
    edges: list[tuple[int, int, str]],
) -> None:
    graph = RelationGraph(
        tuple(Node(number, str(number), "", "", 0, "clean") for number in range(8)),
        tuple(Edge(of, to, kind, 0.0, 0, "") for of, to, kind in edges),
    )
    branches = list(walked(forest(graph)))
    numbers = sorted(branch.node.number for branch in branches)
    assert len(numbers) == len(set(numbers))
    assert {of for of, to, _ in edges if of != to} <= set(numbers)
    for branch in branches:
        assert branch.size == 1 + sum(below.size for below in branch.branches)
        assert all(below.edge in graph.edges for below in branch.branches)


def test_a_chain_of_ten_thousand_is_no_deeper_than_python_goes() -> None:
    number = 10_000
    graph = RelationGraph(
        tuple(Node(one, str(one), "", "", 0, "clean") for one in range(number)),
        tuple(Edge(one + 1, one, "adapter-of", 0.0, 0, "") for one in range(number - 1)),
    )
    (tree,) = forest(graph)
    assert tree.size == number


# --- Parquet --------------------------------------------------------------------------------------


def test_the_tables_are_exported_whole(tmp_path: Path) -> None:
    audit = write_audit(tmp_path / "a.db", OLD, RELATED)
    rows = api.export_audit(audit, tmp_path / "out")
    assert set(rows) == set(TABLES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "out"]
    connection = sqlite3.connect(audit)
    for name in TABLES:
        columns = parquet.read_table(tmp_path / "out" / f"{name}.parquet").to_pydict()
        cursor = connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - the tables' names
        assert [column[0] for column in cursor.description] == list(columns)
        found = list(zip(*columns.values(), strict=True))
        assert found == cursor.fetchall()
        assert len(found) == rows[name]
    connection.close()


def test_an_export_does_not_replace_anything_and_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = write_audit(tmp_path / "a.db", OLD)
    with pytest.raises(OutputExists, match="already exists; choose another folder"):
        api.export_audit(audit, tmp_path)
    monkeypatch.setattr("ckpt_tools.audit.parquet.TABLES", ("runs", "no_such_table"))
    with pytest.raises(CkptError, match="syntax error"):
        api.export_audit(audit, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_without_pyarrow_the_command_that_installs_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetMissing, match=r"pip install 'ckpt-tools\[parquet\]'"):
        api.export_audit(write_audit(tmp_path / "a.db", OLD), tmp_path / "out")
