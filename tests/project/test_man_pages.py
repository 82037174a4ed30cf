"""The man pages in `man/` are made from the commands' help, and groff renders them.

To accept new ones: make golden, and read the difference.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from ckpt_tools.cli.main import COMMANDS
from tools.man_pages import pages

ROOT = Path(__file__).parents[2]
MAN = ROOT / "man"
WRITE = os.environ.get("CKPT_GOLDEN") == "write"


def test_the_pages_are_those_of_the_commands() -> None:
    MAN.mkdir(exist_ok=True)
    if WRITE:
        for path in MAN.iterdir():
            path.unlink()
        for name, page in pages().items():
            (MAN / name).write_text(page, encoding="utf-8")
    assert {path.name: path.read_text(encoding="utf-8") for path in MAN.iterdir()} == pages()


def test_every_command_has_a_page_with_its_options() -> None:
    found = pages()
    assert {"ckpt.1", "ckpt-config-set.1", *(f"ckpt-{name}.1" for name in COMMANDS)} <= set(found)
    page = found["ckpt-diff.1"]
    for line in (
        '.TH CKPT\\-DIFF 1 "" "ckpt ',
        "ckpt\\-diff \\- Compare two checkpoints",
        ".B ckpt diff\n[OPTIONS] A B",
        ".B \\-\\-only ASPECT,\\[u2026]",
        ".nf\nckpt diff normal/ reflow/",
        ".BR ckpt (1)",
    ):
        assert line in page


@pytest.mark.skipif(not shutil.which("groff"), reason="groff, which renders man pages, is missing")
def test_the_pages_are_rendered_without_a_warning() -> None:
    # Of lines longer than a terminal, such as examples, nothing is lost.
    paths = sorted(MAN.iterdir())
    command = ["groff", "-man", "-Tutf8", "-ww", "-Wbreak", "-rLL=78n", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Compare checkpoints A and B" in done.stdout
    assert "'**.lm_expert.**'" in done.stdout


def test_the_wheel_brings_the_pages_to_where_man_looks(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {
            name.rpartition("/")[2] for name in archive.namelist() if "/share/man/man1/" in name
        }
    assert names == set(pages())
