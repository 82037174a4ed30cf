"""`ckpt hash --remote` with the real client against the stand-in.

By the sums that the Hub tells, and nothing is downloaded.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools.manifest.compare import check_remote
from ckpt_tools.manifest.model import LocalSums
from ckpt_tools.storage import schemas
from ckpt_tools.storage.hub_name import RemoteFile, Repository
from tests.support.hub.policies import contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.hub.server import HubServer

ROOT = Path(__file__).parents[2]
REPO = "tester/policy"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "fixtures" / "sharded", tmp_path / "here")


def ckpt(hub: HubServer, here: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `ckpt hash` in an environment that knows this hub only."""
    environment = hub.environment(here.parent / "home") | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ckpt_tools", "hash", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=here.parent, env=environment
    )


def compared(hub: HubServer, here: Path, repository: str = REPO) -> dict[str, object]:
    """Return the JSON of a comparison.

    Checks that it follows its schema and that the exit code agrees with it.
    """
    done = ckpt(hub, here, here, "--remote", repository, "--format", "json")
    assert done.stderr == ""
    document: dict[str, object] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schemas.load("remote-check")).validate(document)
    assert document["same"] is (done.returncode == 0)
    return document


def lists(document: dict[str, object]) -> tuple[list[str], list[str], list[str]]:
    """Return the paths that are different, only here, only there."""
    different = document["different"]
    assert isinstance(different, list)
    return [one["subject"] for one in different], document["only_here"], document["only_there"]  # type: ignore[return-value]  # the schema has checked it


# --- the same -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [REPO, f"hf://{REPO}", f"{REPO}@main", f"hf://{REPO}@main"])
def test_the_same_files_are_the_same_and_nothing_is_downloaded(
    hub: HubServer, here: Path, name: str
) -> None:
    commit = hub.add_repo(REPO, contents(here))
    document = compared(hub, here, name)
    assert (document["same"], document["repository"], document["commit"]) == (True, REPO, commit)
    assert document["same_files"] == sorted(contents(here))
    assert len(hub.requests) == 1
    assert hub.requests[0].path.startswith("/api/models/")


def test_the_gitattributes_that_the_hub_adds_is_not_missed(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, {**contents(here), ".gitattributes": b"*.safetensors filter=lfs\n"})
    assert compared(hub, here)["same"]


def test_the_page_says_it(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, contents(here))
    done = ckpt(hub, here, "here", "--remote", REPO)
    assert done.returncode == 0
    assert done.stdout.endswith("Verdict\n  ✓ identical to the Hub: 10 files\n")


# --- different ------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    """Change one bit: a config is no JSON then, and is compared all the same."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name",
    [
        "model-00002-of-00003.safetensors",
        "config.json",
        "policy_preprocessor_step_5_normalizer_processor.safetensors",
    ],
)
def test_a_bit_that_differs_is_found_whatever_the_sum(
    hub: HubServer, here: Path, name: str
) -> None:
    hub.add_repo(REPO, contents(here))
    flip(here / name)
    done = ckpt(hub, here, "here", "--remote", REPO)
    assert done.returncode == 1
    assert f"✗ {name}: different content, same size" in done.stdout
    assert lists(compared(hub, here)) == ([name], [], [])


def test_what_is_on_one_side_only_is_told(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, {**contents(here), "README.md": b"# Hello\n", "assets/curve.png": b"png"})
    (here / "train_config.json").unlink()
    (here / "notes").mkdir()
    (here / "notes" / "mine.txt").write_text("mine")
    (here / "policy_preprocessor.json").write_text("{}")
    assert lists(compared(hub, here)) == (
        ["policy_preprocessor.json"],
        ["notes/mine.txt"],
        ["README.md", "assets/curve.png", "train_config.json"],
    )
    shown = ckpt(hub, here, "here", "--remote", REPO).stdout
    assert "✗ policy_preprocessor.json: 2 bytes here, 1,538 on the Hub" in shown
    assert shown.endswith(
        "  ✗ differs from the Hub: 1 different, 1 only local, 3 only on the Hub\n"
    )


def test_a_revision_is_what_is_compared_with(hub: HubServer, here: Path) -> None:
    first = hub.add_repo(REPO, contents(here))
    second = hub.push(REPO, {"config.json": b"{}"})
    assert compared(hub, here, f"{REPO}@{first}")["same"]
    assert compared(hub, here, f"{REPO}@{first[:8]}")["commit"] == first
    assert compared(hub, here)["commit"] == second
    assert lists(compared(hub, here)) == (["config.json"], [], [])


def test_a_single_file_and_a_folder_in_the_repository(hub: HubServer, here: Path) -> None:
    files = contents(here)
    hub.add_repo(REPO, {f"step/{path}": data for path, data in files.items()} | {"README.md": b"#"})
    assert compared(hub, here, f"hf://{REPO}/step")["same"]
    assert not compared(hub, here)["same"]
    shutil.copy(ROOT / "fixtures/normal/model.safetensors", here.parent / "model.safetensors")
    hub.add_repo(
        "tester/other",
        {"model.safetensors": (here.parent / "model.safetensors").read_bytes(), "README.md": b"#"},
    )
    assert compared(hub, here.parent / "model.safetensors", "tester/other")["same_files"] == [
        "model.safetensors"
    ]


def test_a_file_of_which_no_sum_is_known_is_no_proof() -> None:
    local = LocalSums("here", whole=True, files=(RemoteFile("a", 1),))
    found = check_remote("here", local, Repository(REPO, "0" * 40, (RemoteFile("a", 1),)))
    assert not found.same
    assert [(one.kind, one.subject) for one in found.different] == [("unknown", "a")]


# --- trouble --------------------------------------------------------------------------------------


def missing(hub: HubServer, here: Path) -> None:
    del hub, here


def no_checkpoint(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, contents(here))
    for path in here.glob("*.safetensors*"):
        path.unlink()


@pytest.mark.parametrize(
    ("prepare", "repository", "words"),
    [
        (missing, REPO, "no such model on the Hub, or it is private; "),
        (missing, "policy", "hf://policy: is not a valid name on the Hub; write hf://owner/name"),
        (missing, "../policy", "is not a valid name on the Hub; "),
        (missing, f"{REPO}@", "has no valid branch, tag or commit after the @; "),
        (no_checkpoint, REPO, "contains no .safetensors file"),
        (no_checkpoint, f"{REPO}@nowhere", ": no such branch, tag or commit; "),
    ],
)
def test_trouble_is_one_line_and_2(
    hub: HubServer,
    here: Path,
    prepare: Callable[[HubServer, Path], None],
    repository: str,
    words: str,
) -> None:
    prepare(hub, here)
    done = ckpt(hub, here, "here", "--remote", repository)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_a_hub_that_cannot_be_reached_is_told(hub: HubServer, here: Path) -> None:
    environment = hub.environment(here.parent / "home") | {
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "ckpt_tools", "hash", str(here), "--remote", REPO]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
