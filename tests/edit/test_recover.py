"""Ending what was interrupted.

What `recover` says and does, and what it refuses to do for a folder that somebody else has
prepared.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit import journal
from ckpt_tools.edit.apply import write_in_place, write_new
from ckpt_tools.edit.journal import recover
from tests.support import plans
from tests.support.write_checks import refusal
from tests.support.write_faults import names, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.edit.model import Plan


@pytest.fixture
def committed(merge: Plan, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A write in place that was committed and then failed."""
    with monkeypatch.context() as patched:
        patched.setattr(journal, "roll_forward", refuse)
        with pytest.raises(errors.WriteInterrupted) as raised:
            write_in_place(merge)
    root = merge.before.root
    assert str(raised.value) == (
        f"{root}: the change is committed but could not be completed: {root}/x: no; correct"
        f" that, then run: ckpt recover {root}"
    )
    return merge


def refuse(*_: object) -> None:
    raise errors.Unwritable(
        "no", path=f"{os.path.dirname(_[0].path)}/x" if hasattr(_[0], "path") else "x"
    )


def test_a_folder_without_an_interrupted_write_needs_no_recovery(old: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    for where in (old, f"{old}/", old / plans.ONE):
        assert recover(str(where)) == "nothing"
    assert snapshot(tmp_path) == before


def test_recovering_a_missing_path_is_refused(tmp_path: Path) -> None:
    assert refusal(errors.PathNotFound, lambda: recover(str(tmp_path / "out"))).startswith(
        f"{tmp_path}/out: no such file or directory; expected"
    )


def test_a_committed_write_is_completed(committed: Plan, old: Path, tmp_path: Path) -> None:
    line = refusal(errors.WriteInterrupted, lambda: read(str(old)))
    assert line == (
        f"{old}: a write to this folder is in progress or interrupted; complete it or roll it back:"
        f" ckpt recover {old}"
    )
    assert recover(str(old)) == "finished"
    assert snapshot(old) == snapshot(tmp_path / "ref")
    assert names(tmp_path / "in.backup") == sorted(
        ["config.json", "notes.txt", plans.INDEX, plans.ONE, plans.TWO]
    )
    assert recover(str(old)) == "nothing"
    assert read(str(old))._replace(where="", root="") == committed.after


@pytest.mark.parametrize(
    "where", ["in", "in/", "in/config.json", "link", "run", "run/checkpoints/last"]
)
@pytest.mark.usefixtures("committed")
def test_an_interrupted_write_is_found_by_every_name_that_the_checkpoint_has(
    where: str, old: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "run" / "checkpoints" / "000001").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last").symlink_to("000001")
    (tmp_path / "run" / "checkpoints" / "000001" / "pretrained_model").symlink_to("../../../in")
    assert recover(f"{tmp_path}/{where}") == "finished"
    assert snapshot(old) == snapshot(tmp_path / "ref")


@pytest.mark.usefixtures("committed")
def test_a_checkpoint_that_was_moved_meanwhile_is_finished_where_it_is(
    old: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    shutil.move(old, tmp_path / "new" / "in")
    assert recover(str(tmp_path / "new" / "in")) == "finished"
    assert snapshot(tmp_path / "new" / "in") == snapshot(tmp_path / "ref")
    assert (tmp_path / "new" / "in.backup" / "notes.txt").exists()


@pytest.mark.usefixtures("committed")
def test_what_was_put_in_a_removed_files_place_meanwhile_is_left_there(old: Path) -> None:
    (old / "notes.txt").unlink()
    (old.parent / "in.backup" / "notes.txt").write_text("to go\n")
    (old / "notes.txt").write_text("written meanwhile")
    assert recover(str(old)) == "finished"
    assert (old / "notes.txt").read_text() == "written meanwhile"


def test_an_uncommitted_write_is_rolled_back(merge: Plan, old: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    work = old / ".ckpt-work"
    (work / "new" / "deep").mkdir(parents=True)
    (work / "new" / "deep" / "file").touch()
    (work / "new" / "link").symlink_to(tmp_path / "ref")
    (work / "lock").write_text("1\n")  # only the lock counts, whatever the lock file contains
    (work / "journal.draft").write_text(
        json.dumps({"version": 1, "replace": [], "remove": [], "backup": "in.backup"})
    )
    (tmp_path / "in.backup").mkdir()
    refusal(errors.WriteInterrupted, lambda: write_in_place(merge))
    assert recover(str(old)) == "undone"
    assert snapshot(tmp_path) == before


def test_rolling_back_keeps_a_backup_that_is_not_empty(old: Path, tmp_path: Path) -> None:
    work = old / ".ckpt-work"
    (work / "new").mkdir(parents=True)
    (work / "lock").touch()
    (work / "journal.draft").write_text(
        json.dumps({"version": 1, "replace": [], "remove": [], "backup": "in.backup"})
    )
    (tmp_path / "in.backup").mkdir()
    (tmp_path / "in.backup" / "precious").touch()
    assert recover(str(old)) == "undone"
    assert (tmp_path / "in.backup" / "precious").exists()


def test_an_unfinished_new_folder_is_removed(merge: Plan, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    (tmp_path / ".out.ckpt-partial" / "new").mkdir(parents=True)
    (tmp_path / ".out.ckpt-partial" / "lock").touch()
    assert recover(str(tmp_path / "out")) == "undone"
    assert snapshot(tmp_path) == before
    write_new(merge, str(tmp_path / "out"))
    (tmp_path / ".out.ckpt-partial").mkdir()
    assert recover(str(tmp_path / "out")) == "finished"
    assert names(tmp_path) == ["in", "out", "ref"]


@pytest.mark.parametrize("name", ["in/.ckpt-work", ".in.ckpt-partial"])
def test_a_workspace_is_busy_while_its_lock_is_held_whatever_the_lock_file_contains(
    name: str, old: Path, tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    with (tmp_path / name / "lock").open("w") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refusal(errors.LockedByOther, lambda: recover(str(old))).endswith(
            ": another process is writing to this folder; wait until it has finished"
        )
    recover(str(old))
    assert names(tmp_path) == ["in"]
    assert ".ckpt-work" not in names(old)


def test_a_lock_that_was_removed_before_it_could_be_locked_is_busy(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old / ".ckpt-work").mkdir()
    (old / ".ckpt-work" / "lock").touch()
    original = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        original(descriptor, operation)
        (old / ".ckpt-work" / "lock").unlink()
        (old / ".ckpt-work" / "lock").touch()

    monkeypatch.setattr(fcntl, "flock", late)
    refusal(errors.LockedByOther, lambda: recover(str(old)))


def test_where_nothing_can_be_locked_nothing_is_written(
    merge: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    before = snapshot(tmp_path)
    for write in (lambda: write_new(merge, str(tmp_path / "out")), lambda: write_in_place(merge)):
        assert "no locks available" in refusal(errors.Unwritable, write)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["in/.ckpt-work", ".in.ckpt-partial"])
@pytest.mark.parametrize("make", ["link", "folder"])
def test_what_only_has_the_name_of_a_workspace_is_not_removed(
    name: str, make: str, old: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    if make == "link":
        (tmp_path / name).symlink_to(precious)
    else:
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
    before = snapshot(tmp_path)
    assert (
        "has the name of a folder that ckpt creates, but was not created by it; rename or move it"
        in refusal(errors.Unwritable, lambda: recover(str(old)))
    )
    assert snapshot(tmp_path) == before


# --- journals that ckpt did not write -------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        "\xff",
        '{"version": 2, "replace": [], "remove": [], "backup": null}',
        '{"version": 1, "replace": ["../precious"], "remove": [], "backup": null}',
        '{"version": 1, "replace": [], "remove": ["/etc/passwd"], "backup": null}',
        '{"version": 1, "replace": [], "remove": ["a\\u0000"], "backup": null}',
        '{"version": 1, "replace": [], "remove": [""], "backup": null}',
        '{"version": 1, "replace": [], "remove": [3], "backup": null}',
        '{"version": 1, "replace": [], "remove": [], "backup": "../x"}',
        '{"version": 1, "replace": [], "remove": [], "backup": ".."}',
        '{"version": 1, "replace": [], "remove": [], "backup": 3}',
        '{"version": 1, "replace": [], "remove": []}',
    ],
)
def test_a_journal_that_is_damaged_or_leads_elsewhere_is_not_carried_out(
    text: str, old: Path, tmp_path: Path
) -> None:
    (old / ".ckpt-work").mkdir()
    (old / ".ckpt-work" / "lock").touch()
    (old / ".ckpt-work" / "journal.json").write_text(text, encoding="latin-1")
    before = snapshot(tmp_path)
    line = refusal(errors.WriteInterrupted, lambda: recover(str(old)))
    assert line.startswith(
        f"{old}/.ckpt-work/journal.json: not a valid journal of ckpt; check the files of the folder"
    )
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("which", ["in/sub", "in/.ckpt-work/new", "in.backup"])
def test_a_journal_is_not_carried_out_through_links(which: str, old: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "sub").mkdir(parents=True)
    (precious / "x").write_text("precious")
    (old / ".ckpt-work").mkdir()
    (old / ".ckpt-work" / "lock").touch()
    if which != "in/.ckpt-work/new":
        (old / ".ckpt-work" / "new" / "sub").mkdir(parents=True)
        (old / ".ckpt-work" / "new" / "sub" / "x").touch()
        (old / ".ckpt-work" / "new" / "x").touch()
    (tmp_path / which).symlink_to(precious)
    entry = {"version": 1, "replace": ["sub/x", "x"], "remove": [], "backup": "in.backup"}
    (old / ".ckpt-work" / "journal.json").write_text(json.dumps(entry))
    before = snapshot(tmp_path)
    assert "leads out of the folder" in refusal(errors.PathEscapes, lambda: recover(str(old)))
    assert snapshot(tmp_path) == before


# --- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["in", f"in/{plans.ONE}", f"in/{plans.INDEX}", "run"])
def test_a_folder_with_an_unfinished_write_is_not_read(
    where: str, old: Path, tmp_path: Path
) -> None:
    (old / ".ckpt-work").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pretrained_model").symlink_to("../in")
    refusal(errors.WriteInterrupted, lambda: read(f"{tmp_path}/{where}"))
