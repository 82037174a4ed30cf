"""Undoing a change in place: what comes back, what goes, what stays, and what is refused."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api, errors
from ckpt_tools.edit import journal
from ckpt_tools.edit.apply import write_in_place
from ckpt_tools.edit.operations import Reshard
from tests.support import plans
from tests.support.write_checks import fail, refusal, unchanged
from tests.support.write_faults import RECORD, names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.edit.model import Plan


@pytest.mark.parametrize("maker", plans.MAKERS)
def test_an_undone_change_leaves_everything_as_it_was(
    maker: Callable[[Path, Path], Plan], old: Path, tmp_path: Path
) -> None:
    before, times = snapshot(old), modified(old)
    write_in_place(maker(old, tmp_path / "ref"))
    done = api.restore(old)
    assert (snapshot(old), modified(old)) == (before, times)
    assert names(tmp_path) == ["in", "ref"]
    assert done.backup == f"{tmp_path}/in.backup"
    assert api.recover(old) == "nothing"


def modified(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_shards_that_a_reshard_added_go_and_files_added_since_stay(tmp_path: Path) -> None:
    folder = plans.single(tmp_path / "in").parent
    before = snapshot(folder)
    written = api.write(api.plan(folder, [Reshard(max_size=1500)]), in_place=True)
    assert written.undo == f"ckpt restore {folder}"
    assert len(names(folder)) > 2
    (folder / "notes.txt").write_text("mine")
    done = api.restore(folder)
    assert done.put_back == (plans.SINGLE,)
    assert len(done.removed) > 2
    assert snapshot(folder).keys() == {*before, "notes.txt"}
    assert snapshot(folder)[plans.SINGLE] == before[plans.SINGLE]


def test_changes_are_undone_one_by_one_the_last_first(old: Path, tmp_path: Path) -> None:
    states = [snapshot(old)]
    for made in (plans.rewriting(old, tmp_path / "ref"), None):
        write_in_place(made or plans.dropping_again(old))
        states.append(snapshot(old))
    assert names(tmp_path) == ["in", "in.backup", "in.backup-2", "ref"]
    for expected in states[-2::-1]:
        api.restore(old)
        assert snapshot(old) == expected
    assert names(tmp_path) == ["in", "ref"]


def test_an_earlier_change_is_undone_by_number_if_no_later_one_touched_its_files(
    old: Path, tmp_path: Path
) -> None:
    before = snapshot(old)
    write_in_place(plans.rewriting(old, tmp_path / "ref"))
    write_in_place(plans.dropping_again(old))
    api.restore(old, backup=1)
    assert snapshot(old) == {
        name: data for name, data in before.items() if not name.startswith("assets")
    }
    assert names(tmp_path) == ["in", "in.backup-2", "ref"]
    assert api.restore(old).put_back == ("assets",)
    assert snapshot(old) == before


def test_an_earlier_change_is_not_undone_before_a_later_one_of_the_same_file(
    old: Path, tmp_path: Path
) -> None:
    write_in_place(plans.rewriting(old, tmp_path / "ref"))
    write_in_place(plans.merging_again(old, tmp_path / "ref2"))
    with unchanged(tmp_path):
        line = refusal(errors.EditRefused, lambda: api.restore(old, backup=1))
    assert line.endswith(
        ": a later change, of backup 2, concerns the same file; undo that one first:"
        f" ckpt restore {old} --backup 2"
    )


def test_the_number_of_a_new_backup_follows_all_others(old: Path, tmp_path: Path) -> None:
    (tmp_path / "in.backup-7").mkdir()
    assert write_in_place(plans.dropping_again(old)) == f"{tmp_path}/in.backup-8"
    assert api.restore(old).backup == f"{tmp_path}/in.backup-8"


@pytest.mark.parametrize("where", ["in", "in/", "in/config.json", "link", "run"])
def test_the_backup_is_found_by_every_name_that_the_checkpoint_has(
    where: str, old: Path, tmp_path: Path
) -> None:
    before = snapshot(old)
    write_in_place(plans.rewriting(old, tmp_path / "ref"))
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "run" / "checkpoints" / "000001").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last").symlink_to("000001")
    (tmp_path / "run" / "checkpoints" / "000001" / "pretrained_model").symlink_to("../../../in")
    api.restore(f"{tmp_path}/{where}")
    assert snapshot(old) == before


def test_links_come_back_as_links(old: Path, tmp_path: Path) -> None:
    (old / "config.json").rename(tmp_path / "blob")
    (old / "config.json").symlink_to("../blob")
    before = snapshot(old)
    write_in_place(plans.rewriting(old, tmp_path / "ref"))
    api.restore(old)
    assert snapshot(old) == before


def test_without_hard_links_the_backup_is_copied(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, times = snapshot(old), modified(old)
    write_in_place(plans.merging(old, tmp_path / "ref"))
    monkeypatch.setattr(os, "link", lambda *_, **__: fail(1))
    api.restore(old)
    assert (snapshot(old), modified(old)) == (before, times)


# --- what is refused ------------------------------------------------------------------------------


def test_without_a_backup_nothing_can_be_restored(old: Path, tmp_path: Path) -> None:
    (tmp_path / "in.backup").mkdir()
    (tmp_path / "in.backup" / "config.json").write_text("{}")
    write_in_place(plans.dropping_again(old), backup=False)
    with unchanged(tmp_path):
        line = refusal(errors.EditRefused, lambda: api.restore(old))
    assert line.startswith(f"{old}: has no backup of a change in place; only changes with")
    refusal(errors.PathNotFound, lambda: api.restore(tmp_path / "none"))


def test_a_backup_that_is_not_there_is_refused(old: Path, tmp_path: Path) -> None:
    write_in_place(plans.dropping_again(old))
    with unchanged(tmp_path):
        line = refusal(errors.EditRefused, lambda: api.restore(old, backup=3))
    assert line == f"{old}: has no backup 3; choose 1 with backup="


@pytest.mark.parametrize("name", ["config.json", "notes.txt", plans.SINGLE])
def test_a_file_changed_or_put_there_since_is_not_lost(
    name: str, old: Path, tmp_path: Path
) -> None:
    write_in_place(plans.merging(old, tmp_path / "ref"))
    (old / name).write_text("mine")
    with unchanged(tmp_path):
        line = refusal(errors.EditRefused, lambda: api.restore(old))
    assert line == (
        f"{old}/{name}: was changed or put there after the change that would be undone,"
        " and would be lost; move it elsewhere and try again"
    )
    (old / name).rename(tmp_path / "mine")
    api.restore(old)
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_incomplete_backup_is_not_put_back(old: Path, tmp_path: Path) -> None:
    write_in_place(plans.merging(old, tmp_path / "ref"))
    (tmp_path / "in.backup" / plans.ONE).unlink()
    with unchanged(tmp_path):
        line = refusal(errors.EditRefused, lambda: api.restore(old))
    assert f"in.backup/{plans.ONE}: is missing from the backup" in line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "kept": [], "written": {}}',
        '{"version": 1, "kept": ["../precious"], "written": {}}',
        '{"version": 1, "kept": [], "written": {"/etc/passwd": [1, 2]}}',
        '{"version": 1, "kept": [3], "written": {}}',
        '{"version": 1, "kept": [], "written": {"x": 1}}',
    ],
)
def test_a_record_that_ckpt_did_not_write_is_not_followed(
    text: str, old: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.backup").mkdir()
    (tmp_path / "in.backup" / RECORD).write_text(text)
    with unchanged(tmp_path):
        assert "not a valid record of a change" in refusal(
            errors.EditRefused, lambda: api.restore(old)
        )


def test_a_linked_folder_is_not_left_through(old: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (old / "sub").symlink_to(tmp_path / "precious")
    (tmp_path / "in.backup" / "sub").mkdir(parents=True)
    (tmp_path / "in.backup" / "sub" / "x").write_text("x")
    record = {"version": 1, "kept": ["sub/x"], "written": {}}
    (tmp_path / "in.backup" / RECORD).write_text(json.dumps(record))
    with unchanged(tmp_path):
        assert "leads out of the folder" in refusal(errors.PathEscapes, lambda: api.restore(old))


def test_a_backup_of_the_same_name_beside_a_moved_checkpoint_stays(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_place(plans.merging(old, tmp_path / "ref"))
    with monkeypatch.context() as patched:
        patched.setattr(journal, "roll_forward", lambda *_: refuse())
        refusal(errors.WriteInterrupted, lambda: api.restore(old))
    (tmp_path / "new").mkdir()
    old.rename(tmp_path / "new" / "in")
    (tmp_path / "new" / "in.backup").mkdir()
    (tmp_path / "new" / "in.backup" / RECORD).write_text("of another checkpoint")
    assert api.recover(tmp_path / "new" / "in") == "finished"
    assert (tmp_path / "new" / "in" / "notes.txt").read_text() == "to go\n"
    assert (tmp_path / "new" / "in.backup" / RECORD).exists()
    assert (tmp_path / "in.backup").exists()


def refuse() -> None:
    raise errors.Unwritable("no", path="x")
