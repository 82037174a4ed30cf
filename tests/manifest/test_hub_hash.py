"""`ckpt hash --remote` with the real client and the test Hub.

It compares the digests that the Hub lists, and downloads nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools.manifest.compare import check_remote
from ckpt_tools.manifest.model import LocalSums
from ckpt_tools.storage import schemas
from ckpt_tools.storage.hub_name import RemoteFile, Repository
from tests.support import forked
from tests.support.hub.policies import contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.hub.server import HubServer

ROOT = Path(__file__).parents[2]
REPO = "tester/policy"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "fixtures" / "sharded", tmp_path / "here")


def ckpt(hub: HubServer, here: Path, *arguments: str | Path, **more: str) -> forked.Done:
    """Run `ckpt hash` in an environment that knows this hub only."""
    environment = hub.environment(here.parent / "home") | more
    return forked.ckpt("hash", *arguments, folder=here.parent, env=environment)


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


def differing_paths(document: dict[str, object]) -> tuple[list[str], list[str], list[str]]:
    """Return the paths that are different, only here, only there."""
    different = document["different"]
    assert isinstance(different, list)
    return [one["subject"] for one in different], document["only_here"], document["only_there"]  # type: ignore[return-value]  # the schema has checked it


# --- the same -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [REPO, f"hf://{REPO}", f"{REPO}@main", f"hf://{REPO}@main"])
def test_equal_files_compare_equal_without_a_download(
    hub: HubServer, here: Path, name: str
) -> None:
    commit = hub.add_repo(REPO, contents(here))
    document = compared(hub, here, name)
    assert (document["same"], document["repository"], document["commit"]) == (True, REPO, commit)
    assert document["same_files"] == sorted(contents(here))
    assert len(hub.requests) == 1
    assert hub.requests[0].path.startswith("/api/models/")


def test_gitattributes_added_by_the_hub_is_not_reported_missing(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, {**contents(here), ".gitattributes": b"*.safetensors filter=lfs\n"})
    assert compared(hub, here)["same"]


def test_the_page_reports_identical_files(hub: HubServer, here: Path) -> None:
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
def test_a_flipped_bit_is_found_with_every_kind_of_digest(
    hub: HubServer, here: Path, name: str
) -> None:
    hub.add_repo(REPO, contents(here))
    flip(here / name)
    done = ckpt(hub, here, "here", "--remote", REPO)
    assert done.returncode == 1
    assert f"✗ {name}: different content, same size" in done.stdout
    assert differing_paths(compared(hub, here)) == ([name], [], [])


def test_files_on_one_side_only_are_listed(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, {**contents(here), "README.md": b"# Hello\n", "assets/curve.png": b"png"})
    (here / "train_config.json").unlink()
    (here / "notes").mkdir()
    (here / "notes" / "mine.txt").write_text("mine")
    (here / "policy_preprocessor.json").write_text("{}")
    assert differing_paths(compared(hub, here)) == (
        ["policy_preprocessor.json"],
        ["notes/mine.txt"],
        ["README.md", "assets/curve.png", "train_config.json"],
    )
    shown = ckpt(hub, here, "here", "--remote", REPO).stdout
    assert "✗ policy_preprocessor.json: 2 bytes here, 1,538 on the Hub" in shown
    assert shown.endswith(
        "  ✗ differs from the Hub: 1 different, 1 only local, 3 only on the Hub\n"
    )


def test_the_given_revision_is_compared(hub: HubServer, here: Path) -> None:
    first = hub.add_repo(REPO, contents(here))
    second = hub.push(REPO, {"config.json": b"{}"})
    assert compared(hub, here, f"{REPO}@{first}")["same"]
    assert compared(hub, here, f"{REPO}@{first[:8]}")["commit"] == first
    assert compared(hub, here)["commit"] == second
    assert differing_paths(compared(hub, here)) == (["config.json"], [], [])


def test_a_single_file_or_a_folder_of_the_repository_is_compared(
    hub: HubServer, here: Path
) -> None:
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


def test_a_file_without_a_known_digest_does_not_pass() -> None:
    local = LocalSums("here", whole=True, files=(RemoteFile("a", 1),))
    found = check_remote("here", local, Repository(REPO, "0" * 40, (RemoteFile("a", 1),)))
    assert not found.same
    assert [(one.kind, one.subject) for one in found.different] == [("unknown", "a")]


# --- trouble --------------------------------------------------------------------------------------


def no_repository(hub: HubServer, here: Path) -> None:
    del hub, here


def no_checkpoint(hub: HubServer, here: Path) -> None:
    hub.add_repo(REPO, contents(here))
    for path in here.glob("*.safetensors*"):
        path.unlink()


@pytest.mark.parametrize(
    ("prepare", "repository", "words"),
    [
        (no_repository, REPO, "no such model on the Hub, or it is private; "),
        (
            no_repository,
            "policy",
            "hf://policy: is not a valid name on the Hub; write hf://owner/name",
        ),
        (no_repository, "../policy", "is not a valid name on the Hub; "),
        (no_repository, f"{REPO}@", "has no valid branch, tag or commit after the @; "),
        (no_checkpoint, REPO, "contains no .safetensors file"),
        (no_checkpoint, f"{REPO}@nowhere", ": no such branch, tag or commit; "),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
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


def test_an_unreachable_hub_is_one_line_and_exit_code_2(hub: HubServer, here: Path) -> None:
    done = ckpt(hub, here, here, "--remote", REPO, HF_ENDPOINT="http://127.0.0.1:9")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
