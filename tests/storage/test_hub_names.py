"""Which arguments name a Hub repository, and errors about its name and access."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api, errors
from ckpt_tools.checkpoint.read import read
from tests.support.hub.policies import NAME, NORMAL, REPO, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.hub.server import HubServer


pytestmark = pytest.mark.usefixtures("led")


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        "hf://",
        "hf://x",
        "hf://a/b c",
        "hf://a--b/c",
        "hf://a/b@",
        "hf://a/b@-x",
        "hf://a/b@x/../../y",
        "hf://a/b//c",
        "hf://a/b/../c",
        "hf://a/b/\0",
        "hf:///a/b",
    ],
)
def test_an_invalid_hub_name_is_rejected_before_any_request(hub: HubServer, where: str) -> None:
    assert "write hf://owner/name" in refusal(errors.HubNameInvalid, lambda: read(where))
    assert not hub.requests


@pytest.mark.parametrize(
    "where",
    [
        "fixtures/none",
        "a/b/c",
        "a",
        "./a/b",
        "a/b.safetensors",
        "/a/b",
        "a//b",
        "a/b@c@d/",
        "ä/b",
        "",
    ],
)
def test_a_missing_path_that_cannot_be_a_hub_name_sends_no_request(
    hub: HubServer, where: str, tmp_path: Path
) -> None:
    (tmp_path / "fixtures").mkdir()
    assert "no such file or directory" in refusal(errors.PathNotFound, lambda: read(where))
    assert not hub.requests


def test_a_url_is_rejected_with_the_hf_form() -> None:
    line = refusal(errors.PathNotFound, lambda: read("https://huggingface.co/tester/policy"))
    assert line.endswith(
        "no such file or directory; write a checkpoint on the Hub as hf://owner/name"
    )


def test_an_existing_path_is_never_read_from_the_hub(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, NORMAL)
    (tmp_path / REPO).mkdir(parents=True)
    assert "contains no .safetensors file" in refusal(errors.NotACheckpoint, lambda: read(REPO))
    assert not hub.requests


def test_datasets_and_spaces_are_rejected_by_their_type(hub: HubServer) -> None:
    hub.add_repo("datasets/tester/data", {"a": b"1"})
    hub.add_repo("spaces/tester/app", {"a": b"1"})
    assert "hf://tester/data: is a dataset; checkpoints are in model repositories" in refusal(
        errors.HubNameInvalid, lambda: read("hf://tester/data")
    )
    assert "is a Space" in refusal(errors.HubNameInvalid, lambda: read("hf://tester/app"))
    assert "names a dataset" in refusal(
        errors.HubNameInvalid, lambda: read("hf://datasets/tester/data")
    )


@pytest.mark.parametrize(
    "path", ["../model.safetensors", "/etc/passwd", "a/../../b", "C:\\x", "..\\x", "a\0b", "a//b"]
)
def test_a_repository_with_a_path_outside_itself_is_rejected(hub: HubServer, path: str) -> None:
    hub.add_repo(REPO, NORMAL | {path: b"x"})
    assert "which is outside the repository" in refusal(errors.PathEscapes, lambda: read(NAME))


# --- who may read ---------------------------------------------------------------------------------


def test_missing_private_and_gated_repositories_are_distinguished(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo("tester/private", NORMAL, private=True)
    hub.add_repo("tester/gated", NORMAL, gated=True)
    assert len(read("hf://tester/private").tensors) == 500
    missing = "no such model on the Hub, or it is private; check the spelling"
    assert (
        f"hf://tester/none: {missing}, and that your token can read it: `hf auth whoami`"
        in refusal(errors.NoRepository, lambda: read("hf://tester/none"))
    )
    assert "tester/none: no such file or directory, and no such model on the Hub" in refusal(
        errors.PathNotFound, lambda: read("tester/none")
    )
    assert "hf://tester/policy@v9: no such branch, tag or commit; branches: " in refusal(
        errors.PathNotFound, lambda: read(f"{NAME}@v9")
    )
    gated = refusal(errors.AccessRefused, lambda: read("hf://tester/gated"))
    assert gated.endswith(
        "is gated: its owner decides who may read it; request access at"
        f" {hub.endpoint}/tester/gated"
    )
    monkeypatch.delenv("HF_TOKEN")
    assert f"{missing}; to read a private one, log in with `hf auth login`" in refusal(
        errors.NoRepository, lambda: read("hf://tester/private")
    )
    assert "then log in with `hf auth login`" in refusal(
        errors.AccessRefused, lambda: read("hf://tester/gated")
    )
    monkeypatch.setenv("HF_TOKEN", "hf_someone_elses")
    assert (
        "the Hub denied access (401): Invalid credentials in Authorization header; check the token"
        in refusal(errors.AccessRefused, lambda: read(NAME))
    )


@pytest.mark.parametrize(
    "command",
    [
        lambda where: api.plan(where, ()),
        api.sanitize,
        api.recover,
        api.restore,
        lambda where: api.verify(where, values=True),
        lambda where: api.verify(where, load=True),
        lambda where: api.upload("tester/x", where),
    ],
)
def test_commands_that_need_local_files_print_the_download_command(
    hub: HubServer, command: Callable[[str], object]
) -> None:
    line = refusal(errors.RemoteNotSupported, lambda: command(f"{NAME}@v1/sub"))
    get = (
        "download it first: hf download tester/policy --revision v1 --include 'sub*'"
        " --local-dir policy"
    )
    assert line == f"{NAME}@v1/sub: is a Hub repository, but this command needs local files; {get}"
    assert not hub.requests
