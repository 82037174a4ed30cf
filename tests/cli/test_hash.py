"""`ckpt hash` as people and scripts use it.

Exit codes, formats, what is told where, and that it goes with the commands that change a
checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools.storage import schemas
from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CONTENT = "08cd3d4af60fbaf3acb98a6ae583f5db79f4ca5fbb858d709c87cc3d9ea06dbb"
"""Of fixtures/normal, its tensors in whatever files."""


def ckpt(*arguments: str | Path) -> forked.Done:
    """Run `ckpt` in a process of its own, at the top of the checkout."""
    return forked.ckpt(*arguments, folder=ROOT)


def validated(output: str, name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(output)
    jsonschema.Draft202012Validator(schemas.load(name)).validate(document)
    return document


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("manifest") / "m.json"
    done = ckpt("hash", "fixtures/normal", "--write", path)
    assert (done.returncode, done.stderr) == (0, f"ckpt: {path}: 500 tensors, 7 files\n")
    return path


# --- saying ---------------------------------------------------------------------------------------


def test_the_content_digest_comes_first(manifest: Path) -> None:
    done = ckpt("hash", "fixtures/normal")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["content", CONTENT]
    assert json.loads(manifest.read_text())["content"] == CONTENT


def test_json_is_the_manifest_that_is_written(manifest: Path) -> None:
    done = ckpt("hash", "fixtures/normal", "--format", "json")
    assert (done.returncode, done.stdout, done.stderr) == (0, manifest.read_text(), "")
    validated(done.stdout, "manifest")


def test_sha256_is_what_sha256sum_says() -> None:
    shown = ckpt("hash", "fixtures/sharded", "--sha256").stdout.partition("SHA-256\n")[2]
    names = sorted(os.listdir(ROOT / "fixtures/sharded"))
    said = subprocess.run(
        ["sha256sum", *names],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "fixtures/sharded",
    ).stdout
    assert shown == said


def test_full_lists_every_tensor_and_without_it_parts_of_the_model() -> None:
    full = ckpt("hash", "fixtures/normal", "--full").stdout
    manifest = json.loads(ckpt("hash", "fixtures/normal", "--format", "json").stdout)
    for name, tensor in manifest["tensors"].items():
        assert any(
            line.split()[0] == tensor["blake3"][:16] and line.endswith(f" {name}")
            for line in full.splitlines()
            if line
        )
    short = ckpt("hash", "fixtures/language-model").stdout
    assert all(len(line) <= 80 for line in short.splitlines())
    assert " decoder layers" in short
    assert "up_proj" not in short


@pytest.mark.parametrize("output_format", ["text", "markdown", "json"])
def test_hostile_names_reach_no_terminal(output_format: str, tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\x1b[2J\n\x9b"
    header = json.dumps({name: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / name).write_text("")
    done = ckpt("hash", tmp_path, "--full", "--format", output_format, "--sha256")
    assert done.returncode == 0
    assert [
        character for character in done.stdout if not character.isprintable() and character != "\n"
    ] == []


# --- holding against ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "status", "words"),
    [
        ("normal", 0, "✓ fixtures/normal matches "),
        ("sharded", 0, "model-00001-of-00003.safetensors: not in the manifest"),
        (
            "normal/model.safetensors",
            0,
            "6 other files in the manifest: only a single file was named",
        ),
        ("reflow", 1, "✗ 199 tensors: F32 here, BF16 in the manifest"),
        ("reflow-clean", 1, "✗ 155 tensors: different values"),
        ("lerobot-0.3", 1, "✗ policy_preprocessor.json: missing"),
    ],
)
def test_a_check_says_what_differs_and_its_status_says_whether(
    manifest: Path, where: str, status: int, words: str
) -> None:
    text, as_json = (
        ckpt("hash", f"fixtures/{where}", "--check", manifest, "--format", kind)
        for kind in ("text", "json")
    )
    assert (text.returncode, text.stderr, as_json.returncode) == (status, "", status)
    assert words in text.stdout
    document = validated(as_json.stdout, "manifest-check")
    assert document["same"] is (status == 0)


def test_exact_files_makes_the_layout_count(manifest: Path) -> None:
    assert ckpt("hash", "fixtures/sharded", "--check", manifest, "--exact-files").returncode == 1
    assert ckpt("hash", "fixtures/normal", "--check", manifest, "--exact-files").returncode == 0


def test_a_flipped_bit_is_found_and_named(manifest: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT / "fixtures/normal", tmp_path / "copy")
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    done = ckpt("hash", copy, "--check", manifest, "--format", "json")
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["differences"]
    assert (found["kind"], found["path"]) == ("values", "model.safetensors")


@pytest.mark.parametrize(
    ("arguments", "status", "same"),
    [
        (["reshard", "--max-size", "20kB"], 0, True),
        (["rename", "model.**", "student.**"], 1, False),
        (["strip", "model.state_proj.**"], 1, False),
    ],
)
def test_changed_checkpoints_hold_what_they_should(
    manifest: Path, arguments: list[str], status: int, *, same: bool, tmp_path: Path
) -> None:
    done = ckpt(arguments[0], "fixtures/normal", *arguments[1:], "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    checked = ckpt("hash", tmp_path / "out", "--check", manifest)
    assert checked.returncode == status
    assert (CONTENT in checked.stdout.splitlines()[0]) is same


# --- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fixtures/none"], "fixtures/none: no such file or directory; "),
        (
            ["fixtures/normal", "--check", "fixtures/none.json"],
            "fixtures/none.json: no such file or directory; ",
        ),
        (
            ["fixtures/normal", "--check", "fixtures"],
            "fixtures: is a folder, not a file; expected a manifest",
        ),
        (["fixtures/normal", "--check", "/dev/zero"], "/dev/zero: is a device, not a file; "),
        (
            ["fixtures/normal", "--check", "fixtures/normal/config.json"],
            "config.json: missing field 'content'; write it again",
        ),
        (
            ["fixtures/normal", "--check", "fixtures/normal/model.safetensors"],
            "model.safetensors: byte ",
        ),
        (
            ["fixtures/normal", "--write", "README.md"],
            "README.md: already exists and is not a manifest: line 1, column 1",
        ),
        (
            ["fixtures/normal", "--write", "none/m.json"],
            "none/m.json: its folder does not exist or is not writable",
        ),
        (
            ["fixtures/normal", "--write", "a", "--check", "b"],
            "--write cannot be combined with --check or --remote; run them one after",
        ),
        (
            ["fixtures/normal", "--check", "a", "--remote", "b/c"],
            "--check cannot be combined with --remote; run them one after the other",
        ),
        (
            ["fixtures/normal", "--exact-files"],
            "--exact-files needs --check; add --check FILE",
        ),
        (
            ["fixtures/normal", "--sha256", "--remote", "b/c"],
            (
                "--sha256 cannot be combined with --remote, which uses the Hub's checksums; leave"
                " --sha256 out"
            ),
        ),
    ],
)
def test_trouble_is_one_line_and_2(arguments: list[str], words: str) -> None:
    done = ckpt("hash", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    os.mkfifo(tmp_path / "m.json")
    yield tmp_path / "m.json"
    assert (tmp_path / "m.json").is_fifo()


def test_a_pipe_is_not_waited_for(pipe: Path) -> None:
    for option in ("--check", "--write"):
        done = ckpt("hash", "fixtures/normal", option, pipe)
        assert done.returncode == 2
        assert "m.json: is a named pipe, not a file; " in done.stderr


# --- start-up -------------------------------------------------------------------------------------


def test_the_command_loads_neither_numpy_nor_the_client_of_the_hub() -> None:
    heavy = ("numpy", "huggingface_hub")
    script = (
        "import sys, ckpt_tools.cli.hash, ckpt_tools.api._manifest; print([name for name in"
        f" {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
