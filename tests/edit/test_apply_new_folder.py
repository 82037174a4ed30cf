"""Applying a plan to a new folder.

The bytes equal those of a second, simple writer; invalid outputs are rejected.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.read import read
from ckpt_tools.edit.apply import write_in_place, write_new
from ckpt_tools.edit.model import Text
from tests.support import plans
from tests.support.file_modes import modes, umask
from tests.support.write_checks import fail, refusal, unchanged
from tests.support.write_faults import names, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.edit.model import Plan


@pytest.mark.parametrize("maker", plans.MAKERS)
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
    assert line == f"{tmp_path}/out: already exists; choose another output=, or remove it first"


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
        " another output=, outside of it"
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
        ("a\0b", "; give another path with output="),
        ("notes/out", "{}/notes is not a folder; give another path with output="),
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
