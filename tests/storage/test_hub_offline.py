"""Offline, the cache may contain only a part of a repository.

It is read, but missing files prove nothing, and cached files are verified.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer

ROOT = Path(__file__).parents[2]
REPO = "tester/policy"
CARD = (
    b"---\nlicense: apache-2.0\nlibrary_name: lerobot\npipeline_tag: robotics\n---\n\n# A policy\n"
)
NORMAL = {path.name: path.read_bytes() for path in (ROOT / "fixtures" / "normal").iterdir()} | {
    "README.md": CARD
}


def run(hub: HubServer, home: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = hub.environment(home / "home", token=hub.token) | {"PYTHONPATH": str(ROOT)} | more
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=environment,
    )


def partly_cached(hub: HubServer, home: Path) -> Path:
    """A repository with a pickle in it, all but that in the cache, and the same files beside it."""
    hub.add_repo(REPO, NORMAL | {"evil.bin": b"\x80\x04N."})
    done = run(hub, home, "huggingface_hub.cli.hf", "download", REPO, "--exclude", "evil.bin")
    assert done.returncode == 0, done.stderr
    (home / "here").mkdir()
    for name, data in NORMAL.items():
        (home / "here" / name).write_bytes(data)
    return home / "here"


@pytest.mark.parametrize("command", [("gate", f"hf://{REPO}"), ("hash", "here", "--remote", REPO)])
def test_a_partial_cache_is_not_enough_to_pass(
    hub: HubServer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    partly_cached(hub, tmp_path)
    assert run(hub, tmp_path, "ckpt_tools", *command).returncode == 1
    done = run(hub, tmp_path, "ckpt_tools", *command, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "offline mode is enabled (HF_HUB_OFFLINE is set), and the cache may be incomplete"
        in done.stderr
    )


def test_the_suggestions_for_offline_mode_lead_to_a_verdict(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, NORMAL)
    done = run(hub, tmp_path, "ckpt_tools", "gate", f"hf://{REPO}", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    what, _, command = done.stderr.strip().partition(" instead: hf ")
    assert what.endswith(
        "unset HF_HUB_OFFLINE, or run this while online and name the folder policy"
    )
    assert run(hub, tmp_path, "huggingface_hub.cli.hf", *command.split()).returncode == 0
    done = run(hub, tmp_path, "ckpt_tools", "gate", "policy", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stdout
    done = run(hub, tmp_path, "ckpt_tools", "hash", "policy", "--remote", REPO, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hf download" not in done.stderr, "the cache is never enough"
    assert run(hub, tmp_path, "ckpt_tools", "hash", "policy", "--remote", REPO).returncode == 0


def test_what_the_cache_lacks_of_a_branch_is_fetched_by_the_suggested_command(
    hub: HubServer, tmp_path: Path
) -> None:
    partly_cached(hub, tmp_path)
    where = f"hf://{REPO}/evil.bin"
    done = run(hub, tmp_path, "ckpt_tools", "show", where, HF_HUB_OFFLINE="1")
    command = done.stderr.strip().partition("while online: hf ")[2]
    assert "--revision" in command, done.stderr
    assert run(hub, tmp_path, "huggingface_hub.cli.hf", *command.split()).returncode == 0
    done = run(hub, tmp_path, "ckpt_tools", "show", where, HF_HUB_OFFLINE="1")
    assert "pickles can run code and are never opened" in done.stderr


def test_a_modified_cache_file_is_not_taken_for_the_commit(hub: HubServer, tmp_path: Path) -> None:
    here = partly_cached(hub, tmp_path)
    (cached,) = (tmp_path / "home").rglob("snapshots/*/config.json")
    blob = cached.resolve()
    text = blob.read_text()
    config = json.loads(text)
    blob.chmod(0o644)
    blob.write_text(
        text.replace(
            f'"num_steps": {config["num_steps"]}', f'"num_steps": {99 - config["num_steps"]}'
        )
    )
    assert blob.read_text() != text
    done = run(hub, tmp_path, "ckpt_tools", "diff", str(here), f"hf://{REPO}")
    assert "num_steps" not in done.stdout
    done = run(hub, tmp_path, "ckpt_tools", "diff", str(here), f"hf://{REPO}", HF_HUB_OFFLINE="1")
    assert (done.returncode, "num_steps" in done.stdout) == (2, False)


def test_gitattributes_added_by_the_hub_is_not_a_difference(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, NORMAL | {".gitattributes": b"*.safetensors filter=lfs\n"})
    (tmp_path / "here").mkdir()
    for name, data in NORMAL.items():
        (tmp_path / "here" / name).write_bytes(data)
    done = run(hub, tmp_path, "ckpt_tools", "diff", f"hf://{REPO}", "here")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "here" / "config.json").unlink()
    assert run(hub, tmp_path, "ckpt_tools", "diff", f"hf://{REPO}", "here").returncode == 1


def test_a_path_missing_from_the_repository_exits_2(hub: HubServer, tmp_path: Path) -> None:
    partly_cached(hub, tmp_path)
    done = run(hub, tmp_path, "ckpt_tools", "hash", "here", "--remote", f"{REPO}/typo")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the repository has no such file or folder at this commit" in done.stderr


def test_an_invalid_client_variable_is_one_line(hub: HubServer, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "ckpt_tools", "show", f"hf://{REPO}", HF_HUB_DOWNLOAD_TIMEOUT="abc")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "check the variables that start with HF_" in done.stderr
    assert os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") is None
