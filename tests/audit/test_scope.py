"""What is named and how: strange names, secrets in addresses, and what may have vanished."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.audit.naming import printable, unescaped
from ckpt_tools.audit.scope import Scope
from ckpt_tools.errors import UnknownSelection
from tests.support.fleet import FIXTURES
from tests.support.hub.policies import NORMAL
from tests.support.hub.server import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hub.server import HubServer

TOKEN = "hf_" + "qWkZxVbNmTrYpLsDfGhJcXzQaSwEdRfVtG"


class Inline:
    """An engine in this process."""

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        yield from map(api.examine_batch, batches)


def audit(out: Path, *wheres: Any, **options: Any) -> Any:
    return api.audit(wheres, out=out, engine=Inline(), **options)


def statuses(out: Path) -> dict[str, str]:
    with closing(sqlite3.connect(out)) as file:
        return dict(file.execute("SELECT location, status FROM checkpoints ORDER BY location"))


def reasons(out: Path) -> dict[str, str]:
    with closing(sqlite3.connect(out)) as file:
        return dict(file.execute("SELECT location, reason FROM checkpoints WHERE reason <> ''"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        shutil.copytree(FIXTURES / "language-model", tmp_path / "tree" / name)
    return tmp_path / "tree"


# --- names ----------------------------------------------------------------------------------------


def test_a_name_that_is_none_is_a_row_and_the_audit_goes_on(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.db"
    names = ("no\0where", os.fsdecode(b"/gone\xff"), "https://huggingface.co/lab/policy")
    tally = audit(out, *names, tree)
    assert (tally.found, tally.failed, tally.checked) == (5, 3, 2)
    assert reasons(out) == {
        "no\\0where": "contains a NUL character; write one name a line",
        "/gone\\udcff": (
            "no such file or directory; expected a checkpoint folder, a .safetensors file or a"
            " LeRobot run folder"
        ),
        names[2]: "is a web page; write a checkpoint on the Hub as hf://owner/name",
    }


def test_a_name_that_is_not_utf8_is_a_row_that_says_so(tree: Path, tmp_path: Path) -> None:
    (tree / "a").rename(tree / os.fsdecode(b"a\xff"))
    for _ in range(2):
        tally = audit(tmp_path / "audit.db", tree, tree / os.fsdecode(b"a\xff"))
        assert (tally.found, tally.failed, tally.vanished) == (2, 1, 0)
    assert reasons(tmp_path / "audit.db") == {
        f"{tree}/a\\udcff": "the file name is not UTF-8; rename it"
    }


def test_a_file_beside_the_weights_may_have_any_name(tree: Path, tmp_path: Path) -> None:
    for name in (b"x\xff.txt", b"y\nz.txt", b"\xf0\x9f\x98\x80.txt", b"\\udcff"):
        (tree / "a" / os.fsdecode(name)).write_text("some text")
    assert audit(tmp_path / "audit.db", tree).failed == 0
    assert audit(tmp_path / "audit.db", tree).unchanged == 2


@pytest.mark.parametrize("name", ["plain", "ä\n", os.fsdecode(b"a\xffb\x80"), "\\udc80"])
def test_an_escaped_name_leads_back(name: str) -> None:
    assert unescaped(printable(name)) == name or printable(name) == name


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("ftp://user:swordfish@host/x", "ftp://user:…@host/x"),
        (f"hf://{TOKEN}@lab/policy", "hf://hf_q… (37 characters)@lab/policy"),
        (f"s3://key:{TOKEN}@bucket/x", "s3://key:…@bucket/x"),
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_stored(
    tree: Path, tmp_path: Path, where: str, shown: str
) -> None:
    out = tmp_path / "audit.db"
    tally = audit(out, where, tree)
    assert (tally.failed, tally.checked) == (1, 2)
    assert reasons(out)[shown].startswith("the address contains a password or token")
    stored = out.read_bytes()
    assert b"swordfish" not in stored
    assert TOKEN.encode() not in stored


def test_no_file_is_a_sentence(tree: Path) -> None:
    with pytest.raises(UnknownSelection, match="no file is named"):
        audit("", tree)  # type: ignore[arg-type]  # as the command gets it


# --- what vanished --------------------------------------------------------------------------------


def test_a_relative_source_of_another_folder_is_another_one(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "audit.db"
    monkeypatch.chdir(tmp_path)
    audit(out, "tree")
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(tree / "a", tmp_path / "elsewhere/tree/c")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert audit(out, "tree").vanished == 0
    assert set(statuses(out).values()) == {"checked"}


def test_what_was_found_by_its_own_name_vanishes_with_its_folder(
    tree: Path, tmp_path: Path
) -> None:
    out = tmp_path / "audit.db"
    audit(out, tree)
    audit(out, tree / "a")
    shutil.rmtree(tree / "a")
    assert audit(out, f"{tree}/").vanished == 1
    assert statuses(out) == {f"{tree}/a": "vanished", f"{tree}/b": "checked"}


def test_a_folder_that_can_be_listed_again_is_no_row(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "audit.db"
    audit(out, tree)
    original = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr("ckpt_tools.audit.local_tree.os.scandir", scandir)
        (tree / "c").mkdir()
        (tree / "c" / "b").mkdir()
        tally = audit(out, tree)
    assert (tally.failed, tally.vanished) == (2, 0)
    assert statuses(out) == {
        f"{tree}/a": "checked",
        f"{tree}/b": "failed",
        f"{tree}/c/b": "failed",
    }
    tally = audit(out, tree)
    assert (tally.failed, tally.vanished) == (0, 0)
    assert statuses(out) == {f"{tree}/a": "checked", f"{tree}/b": "checked"}


def test_a_misspelled_name_is_forgotten_by_the_next_run(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.db"
    assert audit(out, tmp_path / "treee").failed == 1
    assert audit(out, tree).failed == 0
    assert set(statuses(out).values()) == {"checked"}


@pytest.mark.usefixtures("led")
def test_a_collection_that_cannot_be_listed_keeps_its_models(
    hub: HubServer, tmp_path: Path
) -> None:
    out = tmp_path / "audit.db"
    for name in ("m0", "m1"):
        hub.add_repo(f"lab/{name}", NORMAL)
    hub.add_collection("lab/best-01", ("model", "lab/m0"), ("model", "lab/m1"))
    assert audit(out, "hf://collections/lab/best-01").checked == 2
    hub.misbehave(Fault.HTML)
    tally = audit(out, "hf://collections/lab/best-01")
    assert (tally.failed, tally.vanished) == (1, 0)
    hub.add_collection("lab/best-01", ("model", "lab/m1"))
    assert audit(out, "hf://collections/lab/best-01").vanished == 1
    assert statuses(out) == {"hf://lab/m0": "vanished", "hf://lab/m1": "checked"}


@pytest.mark.parametrize(
    ("source", "location", "inside"),
    [
        ("/", "/x", True),
        ("/lab", "/lab", True),
        ("/lab", "/labx", False),
        ("/lab/", "/lab/x/y", True),
        ("s3://", "s3://b/x", True),
        ("s3://b/", "s3://b/x", True),
        ("s3://b", "s3://bb/x", False),
        ("hf://lab", "hf://lab/m/x", True),
        ("hf://models/lab", "hf://lab/m", True),
        ("hf://lab/m", "hf://lab/m2", False),
        ("owner/name", "hf://owner/name", True),
        ("hf://buckets/o/b", "hf://buckets/o/b/x", True),
    ],
)
def test_what_is_below_a_source(source: str, location: str, inside: bool) -> None:
    assert Scope([source]).has(location, "another") is inside
