"""Standard streams that are closed, full or a terminal.

Each test holds one law: results come out whole or not at all, and the exit code is the verdict.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import forked

FIXTURES = Path(__file__).parents[2] / "fixtures"
NORMAL, REFLOW = FIXTURES / "normal", FIXTURES / "reflow"
VERDICTS = {
    ("diff", NORMAL, NORMAL): 0,
    ("diff", NORMAL, REFLOW): 1,
    ("verify", NORMAL): 0,
    ("show", FIXTURES / "nothing"): 2,
    ("hash", NORMAL): 0,
    (): 2,
}


def run(arguments: tuple[str | Path, ...], redirections: str) -> int:
    """Return the exit code of `ckpt` where a shell has redirected its streams."""
    command = [
        "sh",
        "-c",
        f'exec "$@" {redirections}',
        "sh",
        sys.executable,
        "-m",
        "ckpt_tools",
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"Traceback" not in done.stdout + done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("arguments", "redirections"),
    [
        *((arguments, ">&- 2>&-") for arguments in VERDICTS),
        *(
            (("diff", NORMAL, REFLOW), redirections)
            for redirections in (
                ">&-",
                "2>&-",
                "2>/dev/full",
                "</dev/null >/dev/null 2>/dev/full",
            )
        ),
    ],
)
def test_who_closes_a_stream_gets_the_verdict_all_the_same(
    arguments: tuple[str | Path, ...], redirections: str
) -> None:
    assert run(arguments, redirections) == VERDICTS[arguments]


@pytest.mark.parametrize(
    "arguments", [("diff", NORMAL, NORMAL), ("hash", NORMAL)], ids=["diff", "hash"]
)
def test_a_result_that_could_not_be_written_is_trouble(arguments: tuple[str | Path, ...]) -> None:
    assert run(arguments, ">/dev/full") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        *("rules", "--version", f"config {NORMAL} get"),
        *("--help", "-h", "verify -h", "config --help", "config get -h", "audit show --help"),
        *("spec -h", "spec write --help", "help diff", "completion bash"),
    ],
)
def test_a_result_that_could_not_be_written_is_said_to_be_on_standard_output(
    arguments: str,
) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m ckpt_tools {arguments} >/dev/full"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == (
        "ckpt: standard output: no space left on device; check where it is written to\n"
    )


def test_what_is_written_without_an_ear_for_it_is_written(tmp_path: Path) -> None:
    assert run(("hash", NORMAL, "--write", tmp_path / "a.json"), ">&- 2>&-") == 0
    assert run(("hash", NORMAL, "--check", tmp_path / "a.json"), "2>/dev/full") == 0


@pytest.mark.parametrize(
    "command",
    [
        ("hash", NORMAL),
        ("hash", NORMAL, "--sha256", "--write", "{}/manifest.json"),
        ("show", NORMAL, "--values", "--no-cache"),
        ("diff", NORMAL, REFLOW, "--values", "--no-cache"),
        ("verify", REFLOW, "--values"),
        ("gate", REFLOW),
    ],
    ids=lambda command: " ".join(map(str, command[:1])),
)
def test_a_bar_on_the_terminal_takes_nothing_from_the_result(
    command: tuple[str | Path, ...], tmp_path: Path
) -> None:
    arguments = [*(str(part).format(tmp_path) for part in command), "--format", "json"]
    master, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "40", "TERM": "xterm"}
    try:
        seen = subprocess.run(
            [sys.executable, "-m", "ckpt_tools", *arguments],
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=False,
            env=environment,
            timeout=300,
        )
    finally:
        os.close(terminal)
        os.close(master)
    assert seen.stdout.decode() == forked.ckpt(*arguments, env=environment).stdout
    assert json.loads(seen.stdout)
