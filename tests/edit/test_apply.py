"""Carrying out a plan.

new folder   the bytes are those of a second, simple-minded writer; where it may be; what is refused
in place     what is replaced, kept, untouched; modes, links, hard links; backups
size         memory does not grow with the checkpoint
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit.apply import hard_linked, write_in_place, write_new
from ckpt_tools.edit.journal import recover
from ckpt_tools.edit.model import Text
from tests.support import plans
from tests.support.write_checks import fail, refusal, unchanged
from tests.support.write_faults import names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.edit.model import Plan

MAKERS = (plans.merging, plans.rewriting, plans.dropping)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*")
    }


# --- a new folder ---------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_a_new_folder_equals_what_a_simple_writer_writes_and_the_old_one_is_unchanged(
    maker: Callable[[Path, Path], Plan], old: Path, tmp_path: Path
) -> None:
    made = maker(old, tmp_path / "ref")
    told: list[int] = []
    with unchanged(old):
        write_new(made, str(tmp_path / "out"), told.append)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "ref")
    assert sum(told) == sum(
        path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert names(tmp_path) == ["in", "out", "ref"]
    assert read(str(tmp_path / "out"))._replace(where="", root="") == made.after


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_new_files_have_the_mode_that_any_program_would_give_them(
    mask: int, merge: Plan, tmp_path: Path
) -> None:
    with umask(mask):
        write_new(merge, str(tmp_path / "out"))
    expected = {0o666 & ~mask, 0o777 & ~mask}
    assert set(modes(tmp_path / "out").values()) == expected
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~mask


def test_an_empty_folder_is_accepted_and_keeps_its_mode(merge: Plan, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("out")
    write_new(merge, str(tmp_path / "link") + "/")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "ref")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "make",
    [
        lambda path: (path / "x").mkdir(parents=True),
        Path.touch,
        lambda path: path.symlink_to("gone"),
    ],
    ids=["folder", "file", "link"],
)
def test_an_existing_output_is_not_overwritten(
    make: Callable[[Path], None], merge: Plan, tmp_path: Path
) -> None:
    make(tmp_path / "out")
    with unchanged(tmp_path):
        line = refusal(errors.OutputExists, lambda: write_new(merge, str(tmp_path / "out")))
    assert line == f"{tmp_path}/out: already exists; choose another --output, or remove it first"


@pytest.mark.parametrize("name", ["out", "out.safetensors"])
def test_what_appears_meanwhile_is_not_written_over(name: str, tmp_path: Path) -> None:
    made = plans.shortening(plans.single(tmp_path / "in"), tmp_path / "ref")

    def appear(_: int) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "precious").touch()
        (tmp_path / "out.safetensors").write_text("precious")

    refusal(errors.OutputExists, lambda: write_new(made, str(tmp_path / name), appear))
    assert names(tmp_path) == ["in", "out", "out.safetensors", "ref"]
    assert names(tmp_path / "out") == ["precious"]
    assert (tmp_path / "out.safetensors").read_text() == "precious"


@pytest.mark.parametrize("where", ["in/out", "in", "in/../in/a", "link/out", "."])
def test_a_place_inside_or_around_the_checkpoint_is_refused(
    where: str, merge: Plan, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("in")
    with unchanged(tmp_path):
        line = refusal(errors.OutputInside, lambda: write_new(merge, f"{tmp_path}/{where}"))
    assert line == (
        f"{tmp_path}/{where}: overlaps with the checkpoint that is read, {tmp_path}/in; choose"
        " an --output outside"
    )


def test_a_place_whose_name_only_begins_like_the_checkpoint_is_not_inside_it(
    merge: Plan, tmp_path: Path
) -> None:
    write_new(merge, str(tmp_path / "in-2"))
    assert snapshot(tmp_path / "in-2") == snapshot(tmp_path / "ref")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("a/b/out", "its folder does not exist; create it first: mkdir -p {}/a/b"),
        ("a\0b", "; give another path with --output"),
        ("notes/out", "{}/notes is not a folder; give another path with --output"),
    ],
)
def test_a_place_that_cannot_be_is_refused(
    where: str, words: str, merge: Plan, tmp_path: Path
) -> None:
    (tmp_path / "notes").touch()
    with unchanged(tmp_path):
        assert words.format(tmp_path) in refusal(
            errors.Unwritable, lambda: write_new(merge, f"{tmp_path}/{where}")
        )


def test_a_single_file_becomes_a_file_beside_it_or_a_folder(tmp_path: Path) -> None:
    made = plans.shortening(plans.single(tmp_path / "in", "x.safetensors"), tmp_path / "ref")
    expected = (tmp_path / "ref" / "x.safetensors").read_bytes()
    for where in ("in/y.safetensors", "z.safetensors", "folder"):
        write_new(made, str(tmp_path / where))
    assert (
        (tmp_path / "in" / "y.safetensors").read_bytes()
        == (tmp_path / "z.safetensors").read_bytes()
        == expected
    )
    assert snapshot(tmp_path / "folder") == snapshot(tmp_path / "ref")
    assert names(tmp_path / "in") == ["x.safetensors", "y.safetensors"]


def test_without_hard_links_a_single_file_is_renamed_to_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plans.shortening(plans.single(tmp_path / "in"), tmp_path / "ref")
    monkeypatch.setattr(os, "link", lambda *_, **__: fail(errno.EPERM))
    write_new(made, str(tmp_path / "out.safetensors"))
    assert (tmp_path / "out.safetensors").read_bytes() == (
        tmp_path / "ref" / plans.SINGLE
    ).read_bytes()
    (tmp_path / "other.safetensors").touch()
    refusal(errors.OutputExists, lambda: write_new(made, str(tmp_path / "other.safetensors")))


def test_in_a_copied_folder_links_to_files_are_followed_and_links_to_folders_stay(
    old: Path, tmp_path: Path
) -> None:
    (tmp_path / "blob").write_text("blob")
    (old / "assets" / "linked").symlink_to("../../blob")
    (old / "assets" / "gone").symlink_to("nowhere")
    (old / "assets" / "deep").mkdir()
    (old / "assets" / "deep" / "up").symlink_to("..")
    (old / "above").symlink_to("..")
    made = plans.same(old)
    write_new(made, str(tmp_path / "out"))
    assert (tmp_path / "out" / "assets" / "linked").read_text() == "blob"
    assert not (tmp_path / "out" / "assets" / "linked").is_symlink()
    assert (tmp_path / "out" / "assets" / "gone").readlink() == Path("nowhere")
    assert (tmp_path / "out" / "assets" / "deep").is_dir()
    assert (tmp_path / "out" / "assets" / "deep" / "up").readlink() == old / "assets"
    assert (tmp_path / "out" / "above").readlink() == tmp_path


def test_what_is_no_file_is_not_copied(old: Path, tmp_path: Path) -> None:
    os.mkfifo(old / "pipe")
    made = plans.same(old)
    with unchanged(tmp_path):
        assert "in/pipe: is a named pipe, not a file; " in refusal(
            errors.NotAFile, lambda: write_new(made, str(tmp_path / "out"))
        )


def test_a_link_that_leads_nowhere_is_copied_as_a_link(old: Path, tmp_path: Path) -> None:
    (old / "gone").symlink_to("nowhere")
    write_new(plans.same(old), str(tmp_path / "out"))
    assert (tmp_path / "out" / "gone").readlink() == Path("nowhere")


def test_a_file_in_a_copied_folder_can_be_rewritten_or_left_out(old: Path, tmp_path: Path) -> None:
    shutil.move(old / plans.TWO, old / "assets" / "x.safetensors")
    weight_map = dict.fromkeys(("a", "b", "bytes"), plans.ONE) | dict.fromkeys(
        "cde", "assets/x.safetensors"
    )
    (old / plans.INDEX).write_text(json.dumps({"weight_map": weight_map}))
    before = read(str(old))
    index = Text(
        plans.INDEX,
        json.dumps(
            {"weight_map": dict.fromkeys(("a", "b"), plans.ONE) | {"c": "assets/y.safetensors"}}
        ),
    )
    written = (
        plans.file(before, plans.ONE, {"a": "a", "b": "b"}),
        plans.file(before, "assets/y.safetensors", {"c": "c"}),
        index,
    )
    made = plans.plan(
        before, [*plans.kept(before, "assets/", "config.json"), *written], tmp_path / "ref"
    )
    write_new(made, str(tmp_path / "out"))
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "ref")
    kept = write_in_place(made)
    assert snapshot(old) == snapshot(tmp_path / "ref")
    assert names(f"{kept}/assets") == ["x.safetensors"]


def test_a_path_that_leads_out_of_the_folder_is_never_written(plan: Plan, tmp_path: Path) -> None:
    made = plan._replace(outputs=(*plan.outputs, Text("../precious", "")))
    with unchanged(tmp_path):
        for write in (lambda: write_new(made, str(tmp_path / "out")), lambda: write_in_place(made)):
            assert "would be written to '../precious', outside the folder" in refusal(
                errors.PathEscapes, write
            )


# --- in place -------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
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
    assert snapshot(Path(kept)) == gone
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


def test_a_plan_that_only_adds_needs_no_backup(old: Path, tmp_path: Path) -> None:
    before = read(str(old))
    made = plans.plan(
        before,
        [*plans.kept(before, *before.paths), Text("train_config.json", "{}")],
        tmp_path / "ref",
    )
    assert write_in_place(made) is None
    assert snapshot(old) == snapshot(tmp_path / "ref")


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
        " another disk: write to a new folder with --output"
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
        " write to a new folder with --output"
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
