"""Carrying out a plan where something goes wrong.

A source that changes, a disk that is full or lies, Ctrl-C, two writers at once; nothing is left
behind.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit import apply
from ckpt_tools.edit.apply import write_in_place, write_new
from ckpt_tools.edit.journal import recover
from ckpt_tools.storage import durable
from tests.support import plans
from tests.support.write_checks import fail, refusal, unchanged
from tests.support.write_faults import Job, names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.edit.model import Plan

FAULTS = Path(__file__).parent.parent / "support" / "write_faults.py"


# --- what goes wrong, either way ------------------------------------------------------------------


def writers(
    plan: Plan, tmp_path: Path, progress: Callable[[int], None] | None = None
) -> tuple[Callable[[], object], ...]:
    return (lambda: write_new(plan, str(tmp_path / "out"), progress)), (
        lambda: write_in_place(plan, progress=progress)
    )


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda path: os.utime(path, ns=(1, 1)),
            "has changed since the plan was made; make the plan again: ckpt plan",
        ),
        (lambda path: path.write_text("{}"), "has changed since the plan was made; "),
        (Path.unlink, "no longer exists; "),
    ],
    ids=["time", "size", "gone"],
)
@pytest.mark.parametrize("name", ["config.json", plans.TWO, "notes.txt"])
def test_a_plan_for_another_checkpoint_is_refused(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    change: Callable[[Path], None],
    words: str,
    name: str,
    way: int,
    plan: Plan,
    old: Path,
    tmp_path: Path,
) -> None:
    change(old / name)
    with unchanged(tmp_path):
        assert f"{old}/{name}: {words}" in refusal(errors.PlanStale, writers(plan, tmp_path)[way])


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
@pytest.mark.parametrize("name", ["config.json", plans.ONE, plans.TWO])
def test_a_source_that_changes_while_it_is_copied_is_noticed(
    name: str, way: int, plan: Plan, old: Path, tmp_path: Path
) -> None:
    expected = snapshot(tmp_path)
    line = refusal(
        errors.ChangedDuringRead,
        writers(plan, tmp_path, lambda _: os.utime(old / name, ns=(1, 1)))[way],
    )
    assert line.startswith(f"{old}/{name}: has changed ")
    assert line.endswith(
        "; another program is writing to this checkpoint: wait for it to finish and try again"
    )
    assert snapshot(tmp_path) == expected


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
def test_a_source_that_shrinks_while_it_is_copied_is_noticed(
    way: int, plan: Plan, old: Path, tmp_path: Path
) -> None:
    refusal(
        errors.ChangedDuringRead,
        writers(plan, tmp_path, lambda _: os.truncate(old / plans.ONE, 600))[way],
    )
    assert names(tmp_path) == ["in", "ref"]
    assert not (old / ".ckpt-work").exists()


def test_a_file_in_a_copied_folder_that_changes_meanwhile_is_noticed(
    old: Path, tmp_path: Path
) -> None:
    made, file = plans.same(old), old / "assets" / "vocabulary.txt"
    line = refusal(
        errors.ChangedDuringRead,
        lambda: write_new(
            made, str(tmp_path / "out"), lambda size: os.utime(file, ns=(size, size))
        ),
    )
    assert line.startswith(f"{file}: changed while it was copied; ")
    assert names(tmp_path) == ["in"]


def damage(folder: Path, name: str, offset: int) -> Callable[[int], None]:
    """Return a disk that gets a byte of a file wrong while others are written."""

    def progress(_: int) -> None:
        for path in [
            *folder.glob(f".out.ckpt-partial/new/{name}"),
            *folder.glob(f"in/.ckpt-work/new/{name}"),
        ]:
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(b"!")

    return progress


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
@pytest.mark.parametrize(
    ("name", "offset", "words"),
    [
        (plans.ONE, 4, "its header or its size differs"),
        (plans.ONE, 7000, "its header or its size"),
        (plans.INDEX, 0, "cannot be read"),
    ],
)
def test_what_was_written_is_read_again_and_compared(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    name: str, offset: int, words: str, way: int, plan: Plan, tmp_path: Path
) -> None:
    with unchanged(tmp_path):
        line = refusal(
            errors.WrittenWrong, writers(plan, tmp_path, damage(tmp_path, name, offset))[way]
        )
    assert words in line


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
def test_a_result_that_is_not_the_planned_one_is_not_published(
    way: int, plan: Plan, tmp_path: Path
) -> None:
    wrong = plan._replace(after=plan.after._replace(documents=plan.after.documents[:1]))
    with unchanged(tmp_path):
        assert "is not what was planned: its documents differ; check the disk" in refusal(
            errors.WrittenWrong, writers(wrong, tmp_path)[way]
        )


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
def test_a_disk_without_room_is_noticed_before_anything_is_written(
    way: int, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*found[:4], 0, *found[5:])))
    monkeypatch.setattr(os, "mkdir", lambda *_: fail(errno.EIO))
    line = refusal(errors.NoSpace, writers(plan, tmp_path)[way])
    assert "has 0 bytes free, but " in line
    assert line.endswith("; free some space, or write to another disk with output=")


def test_a_file_system_that_cannot_tell_its_room_is_written_to(
    merge: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, *(0,) * 8)))
    write_new(merge, str(tmp_path / "out"))


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
def test_a_full_disk_is_reported_and_nothing_changes(
    way: int, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        shutil.copytree(old, disk / "in")
        made = plans.merging(disk / "in", tmp_path / "ref")
        (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096 - 8192))
        monkeypatch.setattr(apply, "ensure_space", lambda *_: None)
        with unchanged(disk):
            line = refusal(errors.NoSpace, writers(made, disk)[way])
        assert "cannot be written: no space left on device; free some space" in line
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Be a user who may read the folder and not write to it."""
    folder.chmod(0o555)
    if os.geteuid():
        yield
    else:
        for above in (folder, *folder.parents)[:-2]:
            above.chmod(above.stat().st_mode | 0o055)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    folder.chmod(0o755)


def test_a_folder_without_write_permission_is_reported(
    plan: Plan, old: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with as_nobody(place):
        line = refusal(errors.Unwritable, lambda: write_new(plan, str(place / "out")))
    assert line == (
        f"{place}: cannot be written: permission denied; ask for write access, or write"
        " elsewhere with output="
    )
    with as_nobody(old), unchanged(old):
        assert refusal(errors.Unwritable, lambda: write_in_place(plan)).startswith(
            f"{old}: cannot be written: permission denied; "
        )


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
def test_a_failed_fsync_is_final(
    way: int, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        fail(errno.EIO)

    monkeypatch.setattr(os, "fsync", fsync)
    with unchanged(tmp_path):
        assert "cannot be written: input/output error; " in refusal(
            errors.Unwritable, writers(plan, tmp_path)[way]
        )
    assert len(calls) == 1


def test_a_new_file_is_never_written_over_or_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("file", "link"):
        with (
            unchanged(tmp_path),
            pytest.raises(errors.Unwritable, match="cannot be written: file exists"),
        ):
            durable.write_file(str(tmp_path / name), b"x")


def test_a_file_system_that_has_no_fsync_for_folders_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: fail(errno.EINVAL))
    durable.sync_folder(str(tmp_path))
    with pytest.raises(errors.Unwritable):
        durable.write_file(str(tmp_path / "x"), b"x")


@pytest.mark.parametrize("way", [0, 1], ids=["new", "in place"])
def test_ctrl_c_while_writing_leaves_nothing(way: int, plan: Plan, tmp_path: Path) -> None:
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell lets its background jobs ignore it
    with unchanged(tmp_path), pytest.raises(KeyboardInterrupt):
        writers(plan, tmp_path, lambda _: signal.raise_signal(signal.SIGINT))[way]()
    signal.signal(signal.SIGINT, before)


# --- two writers ----------------------------------------------------------------------------------


@contextmanager
def held(plan: Plan, tmp_path: Path, act: str) -> Iterator[subprocess.Popen[str]]:
    """Run a writer in a process of its own that stops in the middle of its work."""
    (tmp_path.parent / "plan").write_bytes(pickle.dumps(plan))
    job = Job(
        plan=str(tmp_path.parent / "plan"), pristine="", world=str(tmp_path), act=act, fault="hold"
    )
    command = [sys.executable, str(FAULTS), json.dumps(job._asdict())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            yield process
        finally:
            process.kill()


def test_of_two_writers_to_one_new_folder_the_second_is_refused_and_a_dead_one_is_replaced(
    merge: Plan, tmp_path: Path
) -> None:
    with held(merge, tmp_path, "new") as process:
        with unchanged(tmp_path):
            line = refusal(errors.LockedByOther, lambda: write_new(merge, str(tmp_path / "out")))
            assert line == (
                f"{tmp_path}: another process is writing to this folder; wait until it has finished"
            )
            refusal(errors.LockedByOther, lambda: recover(str(tmp_path / "out")))
        process.kill()
        process.wait()
        assert (tmp_path / ".out.ckpt-partial" / "new").is_dir()
        write_new(merge, str(tmp_path / "out"))
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "ref")
    assert names(tmp_path) == ["in", "out", "ref"]


def test_of_two_writers_in_place_the_second_is_refused_and_a_dead_one_must_be_recovered(
    plan: Plan, old: Path, tmp_path: Path
) -> None:
    before = snapshot(tmp_path)
    with held(plan, tmp_path, "place") as process:
        with unchanged(tmp_path):
            assert (
                refusal(errors.LockedByOther, lambda: write_in_place(plan))
                == f"{old}: another process is writing to this folder; wait until it has finished"
            )
            refusal(errors.LockedByOther, lambda: recover(str(old)))
            refusal(errors.WriteInterrupted, lambda: read(str(old)))
        process.kill()
        process.wait()
        with unchanged(tmp_path):
            assert refusal(errors.WriteInterrupted, lambda: write_in_place(plan)).endswith(
                f"; complete it or roll it back: ckpt recover {old}"
            )
    assert recover(str(old)) == "undone"
    assert snapshot(tmp_path) == before
    write_in_place(plan)
    assert snapshot(old) == snapshot(tmp_path / "ref")
