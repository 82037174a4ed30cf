"""Laws of relations and copies, against a reference that compares all pairs."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

import ckpt_tools.audit
from ckpt_tools.audit.copies import copies
from ckpt_tools.audit.model import Relation, RelationKind
from ckpt_tools.audit.relations import relate

with closing(sqlite3.connect(":memory:")) as made:
    made.executescript(Path(ckpt_tools.audit.__file__).with_name("schema.sql").read_text())
    EMPTY = made.serialize()

COLUMNS = ("location", "owner", "name", "status", "kind", "structure", "payload", "modified")


class File(NamedTuple):
    """A weight file; `number` is its content, `inode` what it is on the disk."""

    path: str
    size: int
    sha256: str = ""
    xet: str = ""
    inode: str = ""


class Row(NamedTuple):
    """A checkpoint. `tensors` are (content, bytes of each, how many), by what the values gave."""

    location: str
    files: tuple[File, ...] = ()
    payload: bytes | None = None
    structure: bytes | None = None
    tensors: tuple[tuple[int, int, int], ...] = ()
    parts: tuple[tuple[str, int, int], ...] = ()
    base: str = ""
    kind: str = ""
    owner: str = ""
    name: str = ""
    modified: str = ""
    status: str = "checked"

    @property
    def nbytes(self) -> int:
        return sum(file.size for file in self.files)


def database(rows: list[Row]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(EMPTY)
    for number, row in enumerate(rows, 1):
        values = (
            dict.fromkeys(("source", "revision", "reason", "family", "dtypes", "rules"), "")
            | dict.fromkeys(("errors", "warnings", "notes", "parameters", "with_values"), 0)
            | dict.fromkeys(("first_seen", "last_seen", "judged", "tensors"), 1)
            | {"id": number, "identity": b"", "bytes": row.nbytes, "base_model": row.base}
            | {key: value for key, value in row._asdict().items() if key in COLUMNS}
        )
        insert(connection, "checkpoints", *values.values(), columns=f"({', '.join(values)})")
        for one in row.files:
            insert(
                connection,
                "files",
                *(number, one.path, one.size, 5, "", one.sha256, one.xet, one.inode, 1),
            )
        for content, nbytes, times in row.tensors:
            insert(connection, "tensors", number, b"%d" % content, nbytes, times)
        for title, content, nbytes in row.parts:
            insert(connection, "parts", number, title, 3, nbytes, b"part %d" % content)
    return connection


def insert(connection: sqlite3.Connection, table: str, *values: object, columns: str = "") -> None:
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} {columns} VALUES ({marks})", values)  # noqa: S608 - the test's own


def related(rows: list[Row], least: float = 0.0) -> list[Relation]:
    connection = database(rows)
    found = list(relate(connection, least))
    assert not connection.execute("SELECT * FROM temp.sqlite_schema").fetchall()
    return found


def by_location(rows: list[Row], found: list[Relation]) -> set[tuple[object, ...]]:
    """Relations with locations in place of numbers, which depend on the order of rows."""
    names: dict[int | None, object] = dict(enumerate((row.location for row in rows), 1))
    return {(names[one.of], names.get(one.to), *one[2:]) for one in found}


def stored(rows: list[Row]) -> sqlite3.Connection:
    connection = database(rows)
    for one in relate(connection):
        insert(connection, "relations", one.of, one.to, one.name, one.kind, *one[4:])
    return connection


def groups(rows: list[Row], found: list[Relation], kind: RelationKind) -> set[frozenset[str]]:
    """What the relations of a kind connect, of more than one."""
    members = {row.location: {row.location} for row in rows}
    for one in found:
        if one.kind is kind and one.to:
            whole = members[rows[one.of - 1].location] | members[rows[one.to - 1].location]
            members |= dict.fromkeys(whole, whole)
    return {frozenset(group) for group in members.values() if len(group) > 1}


def transitive(rows: list[Row], equal: Any) -> set[frozenset[str]]:
    """The groups that comparing all pairs gives."""
    members = {row.location: {row.location} for row in rows}
    for one, other in combinations(rows, 2):
        if equal(one, other):
            whole = members[one.location] | members[other.location]
            members |= dict.fromkeys(whole, whole)
    return {frozenset(group) for group in members.values() if len(group) > 1}


def originals(rows: list[Row], found: list[Relation]) -> list[Row]:
    """What has bytes and is no copy."""
    copied = {one.of for one in found if one.kind is RelationKind.SAME_PAYLOAD}
    return [
        row
        for number, row in enumerate(rows, 1)
        if number not in copied and row.status == "checked" and row.nbytes
    ]


def same_payload(one: Row, other: Row) -> bool:
    if "failed" in (one.status, other.status) or not one.nbytes or not other.nbytes:
        return False
    if one.payload is not None and one.payload == other.payload:
        return True
    for sides in (
        (sorted(f.sha256 for f in one.files), sorted(f.sha256 for f in other.files)),
        (sorted(f.xet for f in one.files), sorted(f.xet for f in other.files)),
        (
            sorted(f.inode and f"{f.inode} {f.size}" for f in one.files),
            sorted(f.inode and f"{f.inode} {f.size}" for f in other.files),
        ),
    ):
        if sides[0] == sides[1] and all(sides[0]):
            return True
    return False


def overlap(one: Row, other: Row) -> int:
    there = {content for content, _, _ in other.tensors}
    return sum(nbytes * times for content, nbytes, times in one.tensors if content in there)


SIZES = {number: 10 * number + 1 for number in range(6)}


@st.composite
def files(draw: Any) -> tuple[File, ...]:
    contents = draw(st.lists(st.integers(0, 3), min_size=0, max_size=2))
    found = []
    for position, content in enumerate(contents):
        inode = draw(st.sampled_from(("", "1:7", "1:8", "1:9")))
        size = SIZES[int(inode[2:]) - 5] if inode else SIZES[content]
        found.append(
            File(
                f"{position}.safetensors",
                size,
                draw(st.sampled_from(("", f"{content:064}"))),
                draw(st.sampled_from(("", f"{content}"))),
                inode,
            )
        )
    return tuple(found)


@st.composite
def fleets(draw: Any) -> list[Row]:
    number = draw(st.integers(0, 7))
    return [
        Row(
            f"/models/{position}",
            draw(files()),
            draw(st.sampled_from((None, None, b"p", b"q"))),
            draw(st.sampled_from((None, b"s", b"t"))),
            tuple(
                (content, SIZES[content], draw(st.integers(1, 2)))
                for content in sorted(draw(st.sets(st.integers(0, 5))))
            ),
            tuple(
                (title, content, SIZES[content])
                for title in ("expert", "vlm")
                for content in draw(st.sets(st.integers(1, 2), max_size=1))
            ),
            draw(st.sampled_from(("", "/models/0", "/models/1", "a/b"))),
            modified=draw(st.sampled_from(("", "2025-01-01", "2026-01-01"))),
            status=draw(st.sampled_from(("checked", "checked", "failed"))),
        )
        for position in range(number)
    ]


@settings(max_examples=30)
@given(fleets())
def test_copies_are_connected_exactly_and_as_a_star(rows: list[Row]) -> None:
    found = [one for one in related(rows) if one.kind is RelationKind.SAME_PAYLOAD]
    assert groups(rows, found, RelationKind.SAME_PAYLOAD) == transitive(rows, same_payload)
    assert len({one.of for one in found}) == len(found)
    assert not {one.of for one in found} & {one.to for one in found}


@settings(max_examples=30)
@given(fleets())
def test_originals_of_one_structure_are_connected_exactly(rows: list[Row]) -> None:
    found = related(rows)
    assert groups(rows, found, RelationKind.SAME_STRUCTURE) == transitive(
        originals(rows, found), lambda a, b: a.structure is not None and a.structure == b.structure
    )


@settings(max_examples=30)
@given(fleets())
def test_shares_are_those_of_the_pair_and_no_shared_tensor_is_left_out(rows: list[Row]) -> None:
    found = related(rows)
    shares: defaultdict[str, set[int]] = defaultdict(set)
    for one in found:
        if one.kind is RelationKind.SHARES_TENSORS and one.to:
            of, to = rows[one.of - 1], rows[one.to - 1]
            assert one.nbytes == overlap(of, to) > 0
            assert one.share == (one.nbytes / of.nbytes if of.nbytes else 0)
            shares[of.location] |= {content for content, _, _ in to.tensors}
    for of, to in combinations(originals(rows, found), 2):
        both = {content for content, *_ in of.tensors} & {content for content, *_ in to.tensors}
        # The later of the two, whichever it is, is related to who had the tensor first.
        assert both <= shares[of.location] | shares[to.location]


@settings(max_examples=30)
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert by_location(rows, related(rows)) == by_location(shuffled, related(shuffled))
    totals = [copies(stored(one)) for one in (rows, shuffled)]
    assert totals[0] == totals[1]


@settings(max_examples=30)
@given(fleets())
def test_totals_are_those_of_the_files_that_go(rows: list[Row]) -> None:
    connection = stored(rows)
    copied = {
        n for (n,) in connection.execute("SELECT of FROM relations WHERE kind = 'same-payload'")
    }
    every: dict[object, int] = {}
    kept: dict[object, int] = {}
    for number, row in enumerate(rows, 1):
        for file in row.files if row.status == "checked" else ():
            place = file.inode or (number, file.path)
            every[place] = file.size
            if number not in copied:
                kept[place] = file.size
    found = copies(connection)
    assert found == (sum(every.values()), sum(every.values()) - sum(kept.values()), len(copied))


@settings(max_examples=30)
@given(fleets())
def test_declared_bases_are_found_or_named(rows: list[Row]) -> None:
    found = [one for one in related(rows) if one.kind is RelationKind.DECLARED_BASE]
    names = {row.location: number for number, row in enumerate(rows, 1) if row.status == "checked"}
    expected = {
        (number, names.get(row.base), row.base)
        for number, row in enumerate(rows, 1)
        if row.status == "checked" and row.base and names.get(row.base) != number
    }
    assert {(one.of, one.to, one.name) for one in found} == expected


@settings(max_examples=30)
@given(fleets())
def test_equal_parts_of_originals_are_connected_exactly(rows: list[Row]) -> None:
    found = related(rows)

    def share_a_part(one: Row, other: Row) -> bool:
        return bool({part[1] for part in one.parts} & {part[1] for part in other.parts})

    assert groups(rows, found, RelationKind.FROZEN_PART) == transitive(
        originals(rows, found), share_a_part
    )


def copy_of(number: int, **changes: Any) -> Row:
    file = File("model.safetensors", 100, sha256="ab" * 32)
    return Row(f"/c/{number:05}", (file,), structure=b"s")._replace(**changes)


def test_ten_thousand_copies_are_a_star() -> None:
    found = related([copy_of(number) for number in range(10_000)])
    assert len(found) == 9_999
    assert {one.to for one in found} == {1}
    assert {one.kind for one in found} == {RelationKind.SAME_PAYLOAD}


def test_hard_links_and_cache_links_are_no_bytes_to_free() -> None:
    linked = File("model.safetensors", 100, sha256="ab" * 32, inode="1:5")
    rows = [copy_of(1, files=(linked,)), copy_of(2, files=(linked,)), copy_of(3)]
    assert copies(stored(rows)) == (200, 100, 2)
    assert copies(stored(rows[:2])) == (100, 0, 1)


def test_the_original_is_what_others_declare_as_their_base_even_if_it_is_newer() -> None:
    rows = [
        copy_of(1, modified="2024"),
        copy_of(2, modified="2026", location="hf://lerobot/smolvla_base"),
        Row("/mine", base="lerobot/smolvla_base@main", modified="2025"),
        Row("/adapter", base="lerobot/smolvla_base\nother/base", kind="PEFT adapter"),
    ]
    found = {(one.of, one.to, one.kind, one.name) for one in related(rows)}
    assert found == {
        (1, 2, RelationKind.SAME_PAYLOAD, ""),
        (3, 2, RelationKind.DECLARED_BASE, "lerobot/smolvla_base@main"),
        (4, 2, RelationKind.ADAPTER_OF, "lerobot/smolvla_base"),
        (4, None, RelationKind.ADAPTER_OF, "other/base"),
    }


def test_a_base_is_found_in_a_cache_and_in_a_folder_of_its_name() -> None:
    cached = Row("/hf/models--lerobot--smolvla_base/snapshots/1", name="lerobot/smolvla_base")
    folder = Row("/models/lerobot/smolvla_base", owner="root", name="smolvla_base")
    mine = Row("/mine", base="lerobot/smolvla_base")
    other = Row("/smolvla_base", owner="lerobot", name="smolvla_base")  # a person's, not the Hub's
    for rows in ([mine, cached, folder, other], [mine, folder, other]):
        assert [(one.of, one.to) for one in related(rows)] == [(1, 2)]
    assert [(one.of, one.to) for one in related([mine, other])] == [(1, None)]


def test_files_on_two_disks_with_one_inode_are_not_the_same() -> None:
    one = File("model.safetensors", 100, inode="1:5")
    assert not related([copy_of(1, files=(one,)), copy_of(2, files=(one._replace(size=101),))])[1:]


def test_a_whole_checkpoint_is_a_part_of_the_one_that_contains_it() -> None:
    rows = [
        Row("/pipeline", (File("w", 100),), payload=b"x", parts=(("unet", 1, 80), ("vae", 2, 20))),
        Row("/vae", (File("w", 20),), payload=b"part 2"),
    ]
    (found,) = related(rows)
    assert found == Relation(2, 1, RelationKind.FROZEN_PART, "", 1.0, 20, "vae (1 tensor)")


def test_equal_parts_of_two_are_one_relation() -> None:
    parts = (("action expert", 1, 40), ("vision", 2, 30), ("text", 3, 30))
    rows = [
        Row("/base", (File("w", 100),), parts=parts),
        Row("/tuned", (File("w", 100),), parts=(("action expert", 4, 40), *parts[1:])),
    ]
    (found,) = related(rows)
    assert found == Relation(
        2, 1, RelationKind.FROZEN_PART, "", 0.6, 60, "text (3 tensors), vision (3 tensors)"
    )


def test_equal_tensors_that_are_next_to_nothing_say_nothing() -> None:
    rows = [
        Row("/a", (File("w", 1_000),), tensors=((1, 9, 1), (2, 991, 1))),
        Row("/b", (File("w", 1_000),), tensors=((1, 9, 1), (3, 991, 1))),
        Row("/c", (File("w", 1_000),), tensors=((1, 9, 1), (3, 900, 1))),
    ]
    found = related(rows, least=0.01)
    assert [(one.of, one.to, one.nbytes) for one in found] == [(3, 2, 909)]
