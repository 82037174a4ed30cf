"""The documents say what is true: every command in them runs, and prints what they show.

Every link leads somewhere.

Blocks marked `text` hold commands with placeholders, which are the reader's to fill in; they are
not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

# `make test` runs this very test, so its recipe is printed instead of run; `make demo` trains for
# fewer steps.
INSTEAD = {"make test": "make --dry-run test", "make demo": "make demo STEPS=10"}


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (document, text) of every fenced block in `language`."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [
        (path.relative_to(ROOT).as_posix(), block)
        for path in DOCUMENTS
        for block in fence.findall(path.read_text(encoding="utf-8"))
    ]


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as in the activated environment, standard error with the output."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }
    return subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(("document", "block"), blocks("console"))
def test_a_console_block_shows_what_the_command_prints(document: str, block: str) -> None:
    """To show new output on purpose: make golden, and read the difference."""
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        printed = run(command).stdout
        if os.environ.get("CKPT_GOLDEN") == "write":
            path = ROOT / document
            path.write_text(
                path.read_text(encoding="utf-8").replace(
                    f"$ {command}\n{shown}```", f"$ {command}\n{printed}```"
                ),
                encoding="utf-8",
            )
        else:
            assert printed == shown, f"{document}: {command}"


@pytest.mark.parametrize(("document", "block"), blocks("sh"))
def test_a_shell_block_runs(document: str, block: str) -> None:
    for command in block.strip().splitlines():
        done = run(INSTEAD.get(command, command))
        assert done.returncode == 0, f"{document}: {command}\n{done.stdout}"


@pytest.mark.parametrize(("document", "block"), blocks("python"))
def test_a_python_block_runs_and_prints_what_its_comments_say(
    document: str, block: str, tmp_path: Path
) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    command = [sys.executable, "-W", "error", "-c", block]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{document}: {done.stderr}"
    expected = re.findall(r"print\(.*\)  # (.*)", block)
    assert [line for line in expected if line not in done.stdout.splitlines()] == [], document


def test_the_readme_shows_a_diff_and_the_two_commands() -> None:
    assert ("README.md", "make demo\nmake test\n") in blocks("sh")
    assert any(
        document == "README.md" and "ckpt diff" in block for document, block in blocks("console")
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []
