"""Bad arguments and paths: devices, names with escape sequences, missing permissions.

Each ends with exit code 2, nothing on standard output and exactly one line on standard error.
"""

from __future__ import annotations

import errno
import gc
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from tests.support.bad_checkpoints import config, model, weights
from tests.support.ckpt_process import Outcome, assert_one_line, ckpt, listing

if TYPE_CHECKING:
    from collections.abc import Iterator


# --- arguments ------------------------------------------------------------------------------------


def test_the_bad_side_of_a_diff_is_named_whichever_it_is(good: Path, tmp_path: Path) -> None:
    where = model(b"")(tmp_path)
    assert ckpt("diff", where, good) == ckpt("diff", good, where)
    assert_one_line(
        ckpt("diff", where, tmp_path / "none"), f"{where}/model.safetensors: has 0 bytes"
    )


@pytest.mark.parametrize("output_format", ["json", "markdown"])
def test_bad_input_leaves_standard_output_empty_in_every_format(
    output_format: str, tmp_path: Path
) -> None:
    where = config("[")(tmp_path)
    assert_one_line(ckpt("show", where, "--format", output_format), "config.json: ")
    assert_one_line(ckpt("diff", where, where, "--format", output_format), "config.json: ")


def test_an_empty_where_is_told(good: Path) -> None:
    assert_one_line(ckpt("show", ""), "no such file or directory; expected")
    assert_one_line(ckpt("diff", good, ""), "no such file or directory; expected")


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("hash --check", "a manifest"),
        ("verify --spec", "a lockfile of `ckpt spec`"),
        ("verify --settings", "a ckpt.toml"),
    ],
)
def test_a_missing_file_beside_the_checkpoint_is_said_to_be_of_its_kind(
    option: str, kind: str, good: Path
) -> None:
    assert_one_line(
        ckpt(option.split(maxsplit=1)[0], good, option.split()[1], "/nowhere/none"),
        f"/nowhere/none: no such file or directory; expected {kind}",
    )


def test_a_path_that_is_not_utf8_is_told_with_escapes(tmp_path: Path) -> None:
    assert_one_line(
        ckpt("show", os.fsencode(tmp_path) + b"/\xff\xfe"),
        "/\\udcff\\udcfe: no such file or directory; ",
    )


@pytest.mark.parametrize("where", ["/dev/null", "/dev/full", "/dev/tty", "/dev/stdin"])
def test_devices_are_told_and_not_read(where: str) -> None:
    if not Path(where).exists():
        pytest.skip(f"this machine has no {where}")
    assert_one_line(ckpt("show", where), f"{where}: is ", "; ")


def test_a_good_name_with_escape_sequences_reaches_no_terminal(good: Path, tmp_path: Path) -> None:
    where = model(weights("\x1b]0;owned\x07\x1b[2J\n\u009b\u202ename"))(tmp_path)
    (where / "config.json").write_text('{"\\u001b[31mkey":"\\u001b[2Jvalue\\u0007"}')
    for arguments in (("show", where), ("show", where, "--tree"), ("diff", good, where, "--full")):
        formats = ("text", "markdown") if "--tree" in arguments else ("text", "markdown", "json")
        for output_format in formats:
            outcome = ckpt(*arguments, "--format", output_format)
            assert outcome.code in (0, 1)
            assert outcome.stderr == ""
            assert [
                character
                for character in outcome.stdout
                if not character.isprintable() and character != "\n"
            ] == []


# --- errors of the operating system ---------------------------------------------------------------


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run as nobody where the tests run as root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    assert callable(api.show)  # imported while its files can be read: they are root's
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a folder that every user reaches; pytest's own is for one user."""
    folder = Path(tempfile.mkdtemp(prefix="ckpt-permissions-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Return what `ckpt` does with `arguments` in this process.

    Nobody may not run this interpreter.
    """
    try:
        code = main(list(arguments))
    finally:
        gc.enable()
    written = capsys.readouterr()
    return Outcome(code, written.out, written.err)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "."])
def test_permission_denied_is_told_with_the_file(
    name: str, reachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = reachable / "checkpoint"
    where.mkdir()
    (where / "model.safetensors").write_bytes(weights())
    (where / "config.json").write_text("{}")
    (where / name).chmod(0)
    before = listing(reachable)
    with without_privileges():
        outcome = in_process(capsys, "show", str(where))
    assert_one_line(outcome, f"{where / name}: permission denied; ask for read access")
    assert listing(reachable) == before


@pytest.mark.parametrize("folder", ["checkpoints", "checkpoints/000100", "snapshots", "refs"])
def test_permission_denied_on_the_way_is_told(
    folder: str, reachable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reachable / folder / "pretrained_model").mkdir(parents=True)
    (reachable / "snapshots" / "c0ffee").mkdir(parents=True, exist_ok=True)
    (reachable / folder).chmod(0)
    with without_privileges():
        outcome = in_process(capsys, "show", str(reachable))
    assert_one_line(outcome, str(reachable))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied; ask for read access"),
        (errno.EPERM, "permission denied; ask for read access"),
        (errno.EIO, "input/output error; check the path and the disk"),
        (errno.EMFILE, "too many open files; "),
        (errno.ESTALE, "stale file handle; "),
    ],
    ids=lambda part: part if isinstance(part, str) else errno.errorcode[part],
)
def test_whatever_the_machine_refuses_is_told_on_one_line(
    number: int,
    words: str,
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened = os.open

    def refused(path: str, flags: int, *rest: int) -> int:
        if str(path).startswith(str(good)):
            raise OSError(number, os.strerror(number), path)
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", refused)
    assert_one_line(in_process(capsys, "show", str(good)), f"{good}/model.safetensors: ", words)
