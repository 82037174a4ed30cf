"""Runs every command from the wheel, installed in fresh environments.

They have the newest or the lowest allowed dependencies, and no LeRobot. A command must behave as it
does in the development environment: same exit code, same output, same files.
A new command needs a case in `CASES`.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import click
import pytest

from ckpt_tools.cli.main import cli
from tests.project.environments import ROOT
from tests.support.hub.policies import CARD, NORMAL, REPO, contents
from tests.support.hub.server import HubServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.project.environments import Environment

pytestmark = pytest.mark.slow

FIXTURES = ("normal", "reflow", "reflow-clean", "sharded")
RECIPE = (
    'operations:\n  - drop: ["teacher.**"]\n  - cast: {dtype: F64, select:'
    ' ["model.state_proj.**"]}\n'
)

CASES = {
    "show": (0, "show normal --values"),
    "diff": (1, "diff normal reflow --values"),
    "hash": (0, "hash normal --sha256 --write manifest.json"),
    "doctor": (1, "doctor normal reflow --no-live"),
    "verify": (1, "verify reflow --values --reference normal --format sarif"),
    "gate": (1, "gate reflow --profile lerobot"),
    "upload": (0, f"upload {REPO} card --dry-run"),
    "audit run": (1, "audit run normal reflow --out a.db"),
    "audit show": (1, "audit run normal reflow --out a.db; audit show a.db"),
    "audit diff": (
        1,
        "audit run normal --out a.db; audit run normal reflow --out b.db; audit diff a.db b.db",
    ),
    "audit graph": (0, "audit run normal reflow --out a.db; audit graph a.db --format json"),
    "audit export": (2, "audit export absent.db tables"),
    "rules": (0, "rules --format json"),
    "explain": (0, "explain CK301"),
    "spec write": (0, "spec write normal -o spec.json"),
    "sanitize": (0, "sanitize reflow --reference normal -o out"),
    "config get": (0, "config normal get load_vlm_weights"),
    "config set": (0, "config normal set load_vlm_weights false"),
    "config unset": (0, "config reflow unset use_reflow"),
    "config diff": (1, "config normal diff reflow"),
    "config validate": (0, "config normal validate"),
    "strip": (0, "strip reflow -o out"),
    "rename": (0, "rename normal model.** policy.** -o out"),
    "cast": (0, "cast normal bf16 --allow-lossy -o out"),
    "extract": (0, "extract normal model.state_proj.** -o out"),
    "reshard": (0, "reshard normal --max-size 50KB -o out"),
    "merge": (0, "merge sharded -o out"),
    "plan": (1, "plan reflow recipe.yaml --format json"),
    "apply": (0, "plan reflow recipe.yaml -o plan.json; apply plan.json -o out"),
    "recover": (0, "recover normal"),
    "help": (0, "help diff"),
    "completion": (0, "completion zsh"),
    "restore": (0, "sanitize reflow --reference normal --in-place; restore reflow"),
}
"""Exit code and arguments by command, for a folder with fixtures and a recipe.

Commands before a ; prepare the last one.
"""

HUB_CASES = {
    "show": (0, f"show hf://{REPO}@main"),
    "diff": (0, f"diff hf://{REPO} card"),
    "verify": (0, f"verify hf://{REPO}"),
    "gate": (0, f"gate hf://{REPO}"),
    "hash": (0, f"hash card --remote {REPO}"),
    "cached": (0, f"hf download {REPO}; show {REPO}"),
    "missing": (2, "show hf://tester/none"),
}
"""The same for a model on the test Hub."""


VOLATILE = (
    r'(?<="mtime_ns": )\d+|(?<="digest": )"\w+"|\d+(?= rules checked)|\d{4}-\d\d-\d\dT[\d:]+Z'
)
"""What identifies one copy of a checkpoint; times; and rules, one of which needs safetensors.

The tool does not depend on that library, and the development environment has it.
"""


class Outcome(NamedTuple):
    """The result of a command: exit code, output, and the SHA-256 of every file in the folder."""

    code: int
    output: str
    errors: str
    files: dict[str, str]


def commands(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the names of all commands and subcommands, such as 'show' and 'config get'."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield " ".join((*above, name))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with fixtures, a recipe and a checkpoint with a model card."""
    with TemporaryDirectory() as name:
        yield filled(Path(name))


def filled(folder: Path) -> Path:
    for name in FIXTURES:
        shutil.copytree(ROOT / "fixtures" / name, folder / name)
    shutil.copytree(ROOT / "fixtures" / "normal", folder / "card")
    (folder / "card" / "README.md").write_bytes(CARD)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


@cache
def expected(script: str) -> Outcome:
    """Run a case in the development environment."""
    with TemporaryDirectory() as folder:
        return outcome(
            script, filled(Path(folder)), Path(sys.executable).parent, {"PYTHONPATH": str(ROOT)}
        )


def outcome(script: str, folder: Path, programs: Path, more: dict[str, str]) -> Outcome:
    """Run a case with the programs of an environment and a test Hub that has one model."""
    with HubServer() as hub, TemporaryDirectory() as home:
        hub.add_repo(REPO, NORMAL)
        for command in script.split("; "):
            done = run(
                command,
                folder,
                programs,
                hub.environment(Path(home)) | {"XDG_CACHE_HOME": home} | more,
            )
        out, errors = (
            _normalized(text, folder, hub.endpoint, home) for text in (done.stdout, done.stderr)
        )
    files = {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "plan.json" and path.suffix != ".db"
    }
    return Outcome(done.returncode, out, errors, files)


def _normalized(text: str, folder: Path, endpoint: str, home: str) -> str:
    """Replace the parts of an output that differ between runs."""
    return re.sub(
        VOLATILE,
        "",
        text.replace(str(folder), "FOLDER").replace(endpoint, "HUB").replace(home, "HOME"),
    )


def run(
    command: str, folder: Path, programs: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a `ckpt` command, or an `hf` command, in a folder."""
    program, *arguments = (
        command.split() if command.startswith("hf ") else f"ckpt {command}".split()
    )
    (
        Path(environment["HF_HOME"]) / ".check_for_update_done"
    ).touch()  # keeps old clients from looking for a newer version
    clean = {"PYTHONPATH": "", "COLUMNS": "200"} | environment
    return subprocess.run(
        [programs / program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean,
    )


def test_every_command_has_a_case() -> None:
    assert set(commands(cli)) == set(CASES)


@pytest.mark.parametrize("command", CASES)
def test_every_command_works_with_the_allowed_versions(
    command: str, environment: Environment, folder: Path
) -> None:
    code, script = CASES[command]
    done = outcome(script, folder, environment.programs, {})
    assert done.code == code, done.errors
    assert done == expected(script)


@pytest.mark.parametrize("case", HUB_CASES)
def test_models_on_the_hub_are_read_with_the_allowed_versions(
    case: str, environment: Environment, folder: Path
) -> None:
    code, script = HUB_CASES[case]
    done = outcome(script, folder, environment.programs, {})
    assert done.code == code, done.errors
    assert done == expected(script)


def test_an_upload_arrives_with_the_allowed_versions(
    environment: Environment, folder: Path, tmp_path: Path
) -> None:
    with HubServer() as hub:
        done = run(f"upload {REPO} card", folder, environment.programs, hub.environment(tmp_path))
        assert done.returncode == 0, done.stderr
        assert hub.files(REPO).items() >= contents(folder / "card").items()


@pytest.mark.parametrize("command", ["show", "diff", "verify", "gate", "cast"])
def test_tensor_values_are_the_same_without_the_kernel(
    command: str, without_kernel: Environment, folder: Path
) -> None:
    script = CASES[command][1]
    assert outcome(script, folder, without_kernel.programs, {}) == expected(script)


def test_the_version_tells_whether_the_kernel_is_missing(
    environment: Environment, without_kernel: Environment, folder: Path
) -> None:
    versions = [
        outcome("--version", folder, installed.programs, {}).output
        for installed in (environment, without_kernel)
    ]
    assert ["without the compiled kernel" in version for version in versions] == [False, True]


def test_a_terminal_shows_colors_with_the_allowed_versions(
    environment: Environment, folder: Path
) -> None:
    master, terminal = pty.openpty()
    arguments: list[str | Path] = [environment.programs / "ckpt", "hash", "normal"]
    done = subprocess.run(
        arguments,
        check=False,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        env=os.environ | {"TERM": "xterm", "PYTHONPATH": ""},
        timeout=300,
    )
    os.close(terminal)
    seen = b""
    with suppress(OSError):  # the end, on Linux
        while more := os.read(master, 65536):
            seen += more
    os.close(master)
    assert (done.returncode, b"Traceback" in seen, b"\x1b[" in seen) == (0, False, True), seen
