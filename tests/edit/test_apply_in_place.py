"""Applying a plan in place.

What is replaced, kept and untouched; modes, links, hard links; backups; memory use.
"""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit.apply import hard_linked, write_in_place
from ckpt_tools.edit.journal import recover
from ckpt_tools.edit.model import Text
from ckpt_tools.edit.restore import restore
from tests.support import plans, write_faults
from tests.support.file_modes import umask
from tests.support.write_checks import fail, refusal, unchanged
from tests.support.write_faults import names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.edit.model import Plan


# --- in place -------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", plans.MAKERS)
def test_in_place_the_result_is_the_same_and_the_backup_has_what_went(
    maker: Callable[[Path, Path], Plan], old: Path, tmp_path: Path
) -> None:
    made = maker(old, tmp_path / "ref")
    told: list[int] = []
    before, expected = snapshot(old), snapshot(tmp_path / "ref")
    kept = write_in_place(made, progress=told.append)
    assert kept == f"{tmp_path}/in.backup"
    assert snapshot(old) == expected
    gone = {name: data for name, data in before.items() if expected.get(name) != data}
    assert write_faults.kept(kept) == gone
    assert names(tmp_path) == ["in", "in.backup", "ref"]
    assert recover(str(old)) == "nothing"


def test_files_that_stay_are_not_touched_at_all(plan: Plan, old: Path) -> None:
    before = {
        name: os.stat(old / name)
        for name in (plans.TWO, "README.md", plans.STATE, "assets/vocabulary.txt")
    }
    write_in_place(plan)
    for name, status in before.items():
        now = os.stat(old / name)
        assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )


def test_without_a_backup_nothing_is_kept(plan: Plan, old: Path, tmp_path: Path) -> None:
    assert write_in_place(plan, backup=False) is None
    assert snapshot(old) == snapshot(tmp_path / "ref")
    assert names(tmp_path) == ["in", "ref"]


def test_a_second_backup_has_a_name_of_its_own(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "in.backup").mkdir()
    (tmp_path / "in.backup-2").touch()
    assert write_in_place(plan) == f"{tmp_path}/in.backup-3"
    assert (tmp_path / "in.backup-3" / "notes.txt").read_text() == "to go\n"
    assert names(tmp_path / "in.backup") == []


@pytest.mark.usefixtures("old")
def test_the_backup_is_named_as_the_checkpoint_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_in_place(plans.rewriting(Path("in"), tmp_path / "ref")) == "in.backup"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to("../in")
    assert (
        write_in_place(plans.dropping_again(tmp_path / "elsewhere" / "link"))
        == f"{tmp_path}/in.backup-2"
    )


def test_a_plan_that_changes_nothing_writes_nothing(old: Path, tmp_path: Path) -> None:
    with unchanged(tmp_path):
        assert write_in_place(plans.same(old)) is None


def test_a_plan_that_only_adds_can_be_undone(old: Path, tmp_path: Path) -> None:
    before, files = read(str(old)), snapshot(old)
    made = plans.plan(
        before,
        [*plans.kept(before, *before.paths), Text("train_config.json", "{}")],
        tmp_path / "ref",
    )
    assert write_in_place(made, backup=False) is None
    (old / "train_config.json").unlink()
    assert write_in_place(made) == f"{tmp_path}/in.backup"
    assert snapshot(old) == snapshot(tmp_path / "ref")
    assert restore(str(old)).removed == ("train_config.json",)
    assert (snapshot(old), names(tmp_path)) == (files, ["in", "ref"])


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_replaced_file_keeps_its_mode(mode: int, plan: Plan, old: Path) -> None:
    (old / plans.ONE).chmod(mode)
    with umask(0o022):
        write_in_place(plan)
    assert stat.S_IMODE((old / plans.ONE).stat().st_mode) == mode
    assert stat.S_IMODE((old / "config.json").stat().st_mode) == 0o644


def test_a_new_file_has_the_mode_that_any_program_would_give_it(merge: Plan, old: Path) -> None:
    with umask(0o027):
        write_in_place(merge)
    assert stat.S_IMODE((old / plans.SINGLE).stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_replaced_file_keeps_its_owner(plan: Plan, old: Path) -> None:
    os.chown(old / plans.ONE, 12345, 54321)
    write_in_place(plan)
    assert ((old / plans.ONE).stat().st_uid, (old / plans.ONE).stat().st_gid) == (12345, 54321)


def cached(old: Path) -> Path:
    """Turn a folder into a snapshot of a Hugging Face cache: links into blobs."""
    blobs = old.parent / "blobs"
    blobs.mkdir()
    for path in [path for path in old.iterdir() if path.is_file()]:
        path.rename(blobs / path.name)
        path.symlink_to(f"../blobs/{path.name}")
    (blobs / plans.ONE).chmod(0o640)
    return blobs


def test_a_link_into_a_cache_is_replaced_and_its_blob_is_not(old: Path, tmp_path: Path) -> None:
    blobs = cached(old)
    made = plans.rewriting(old, tmp_path / "ref")
    with unchanged(blobs):
        kept = Path(str(write_in_place(made)))
    assert {path.name for path in old.iterdir() if path.is_symlink()} == {
        plans.TWO,
        "README.md",
        "policy_preprocessor.json",
        plans.STATE,
    }
    assert read(str(old))._replace(where="", root="") == made.after
    assert (old / plans.ONE).read_bytes() == (tmp_path / "ref" / plans.ONE).read_bytes()
    assert stat.S_IMODE((old / plans.ONE).lstat().st_mode) == 0o640
    assert (kept / plans.ONE).readlink() == Path(f"../blobs/{plans.ONE}")
    assert (kept / plans.ONE).samefile(blobs / plans.ONE)
    assert hard_linked(made) == ()


def test_a_hard_linked_file_is_detached_and_reported(plan: Plan, old: Path, tmp_path: Path) -> None:
    os.link(old / plans.ONE, tmp_path / "other")
    os.link(old / plans.TWO, tmp_path / "untouched")
    before = (tmp_path / "other").read_bytes()
    assert hard_linked(plan) == (plans.ONE,)
    write_in_place(plan)
    assert (tmp_path / "other").read_bytes() == before
    assert (old / plans.ONE).read_bytes() == (tmp_path / "ref" / plans.ONE).read_bytes()
    assert (old / plans.TWO).samefile(tmp_path / "untouched")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_without_hard_links_old_files_are_moved_to_the_backup(
    number: int, merge: Plan, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", lambda *_, **__: fail(number))
    kept = write_in_place(merge)
    assert snapshot(old) == snapshot(tmp_path / "ref")
    assert names(str(kept)) == sorted(
        ["config.json", "notes.txt", plans.INDEX, plans.ONE, plans.TWO]
    )


def test_without_hard_links_and_a_backup_old_files_are_dropped(
    merge: Plan, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", lambda *_, **__: fail(errno.EPERM))
    assert write_in_place(merge, backup=False) is None
    assert snapshot(old) == snapshot(tmp_path / "ref")
    assert names(tmp_path) == ["in", "ref"]


def test_a_backup_on_another_disk_is_refused_before_anything_changes(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    monkeypatch.setattr(
        os,
        "replace",
        lambda old, new: fail(errno.EXDEV) if new.endswith(".backup") else replace(old, new),
    )
    with unchanged(tmp_path):
        line = refusal(errors.Unwritable, lambda: write_in_place(plan))
    assert line == (
        f"{tmp_path}/in.backup: cannot be written: invalid cross-device link; it is on"
        " another disk: write to a new folder with output="
    )
    assert write_in_place(plan, backup=False) is None


def test_of_a_folder_only_the_file_that_was_named_is_written(tmp_path: Path) -> None:
    path = plans.single(tmp_path / "in", "x.safetensors")
    (tmp_path / "in" / "other.safetensors").write_text("no checkpoint at all")
    (tmp_path / "in" / "config.json").write_text("{")
    kept = write_in_place(plans.shortening(path, tmp_path / "ref"))
    assert kept == f"{tmp_path}/in.backup"
    assert names(kept) == ["x.safetensors"]
    assert path.read_bytes() == (tmp_path / "ref" / "x.safetensors").read_bytes()
    assert names(tmp_path / "in") == ["config.json", "other.safetensors", "x.safetensors"]


def test_a_file_in_the_current_folder_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans.single(tmp_path / "in")
    monkeypatch.chdir(tmp_path / "in")
    write_in_place(plans.shortening(Path(plans.SINGLE), tmp_path / "ref"))
    assert (tmp_path / "in" / plans.SINGLE).read_bytes() == (
        tmp_path / "ref" / plans.SINGLE
    ).read_bytes()
    assert names(tmp_path / "in.backup") == [plans.SINGLE]


def test_a_file_behind_a_linked_folder_is_not_written(old: Path, tmp_path: Path) -> None:
    shutil.move(old / "assets", tmp_path / "assets")
    (old / "assets").symlink_to("../assets")
    before = read(str(old))
    made = plans.plan(
        before,
        [*plans.kept(before, *before.paths), Text("assets/vocabulary.txt", "new")],
        tmp_path / "ref",
    )
    with unchanged(tmp_path):
        line = refusal(errors.PathEscapes, lambda: write_in_place(made))
    assert line == (
        f"{old}/assets: leads out of the folder or to another disk, to {tmp_path}/assets;"
        " write to a new folder with output="
    )


# --- size -----------------------------------------------------------------------------------------


_MEASURE = """
import pickle, resource, sys
from ckpt_tools.edit import apply
small, large = (pickle.loads(open(path, "rb").read()) for path in sys.argv[1:3])
apply.write_new(small, sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
apply.write_new(large, sys.argv[4])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path) -> None:
    for name, size in (("small", 1 << 20), ("large", 1 << 28)):
        path = plans.sparse(tmp_path / name, size)
        (tmp_path / f"{name}.plan").write_bytes(pickle.dumps(plans.halving(path)))
    command = [
        sys.executable,
        "-c",
        _MEASURE,
        *(str(tmp_path / name) for name in ("small.plan", "large.plan", "small-out", "large-out")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 64 << 20
    assert (tmp_path / "large-out" / plans.SINGLE).stat().st_size > (1 << 28) * 3 // 4
