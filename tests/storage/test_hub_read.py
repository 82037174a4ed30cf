"""Checkpoints on the Hub are read with the results that their files have on disk."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi

from ckpt_tools import api, errors
from ckpt_tools.api import _gate
from ckpt_tools.api._doctor_live import ProbeOptions
from ckpt_tools.checkpoint.read import read
from ckpt_tools.doctor.model import Note, NoteKind, Skip, Skipped
from ckpt_tools.rules.finding import Need
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.scan.folder import listing
from ckpt_tools.storage.session import hub_session
from tests.support.hub.policies import CARD, NAME, NORMAL, OTHER, REFLOW, REPO, ROOT, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub.server import HubServer


pytestmark = pytest.mark.usefixtures("led")
VALUE_RULES = {rule.code for rule in api.known_rules() if Need.VALUES in rule.needs}


@pytest.mark.parametrize(
    "where", [NAME, REPO, f"{NAME}@main", f"{REPO}@v1", f"hf://models/{REPO}", f"{NAME}/"]
)
def test_a_repository_reads_as_the_folder_that_was_uploaded(hub: HubServer, where: str) -> None:
    commit = hub.add_repo(REPO, NORMAL)
    hub.tag(REPO, "v1")
    found, expected = read(where), read(str(ROOT / "fixtures" / "normal"))
    assert (found.where, found.root) == (where, f"{NAME}@{commit}")
    assert (found.weights, found.states, found.documents) == (
        expected.weights,
        expected.states,
        expected.documents,
    )
    assert [other.path for other in found.others] == [".gitattributes", "README.md"]


def test_a_folder_or_file_in_a_repository_can_be_read(hub: HubServer) -> None:
    steps = {
        f"checkpoints/{step}/pretrained_model/{path}": data
        for step, files in (("000100", REFLOW), ("000200", NORMAL))
        for path, data in files.items()
    }
    commit = hub.add_repo(REPO, steps)
    latest = f"{NAME}@{commit}/checkpoints/000200/pretrained_model"
    assert read(NAME).root == latest
    assert read(f"{NAME}/checkpoints/000100").root == latest.replace("000200", "000100")
    alone = read(f"{NAME}/checkpoints/000200/pretrained_model/model.safetensors")
    assert (alone.root, alone.documents, len(alone.tensors)) == (latest, (), 500)
    line = refusal(errors.PathNotFound, lambda: read(f"{NAME}/checkpoints/000300"))
    assert (
        f"{NAME}@{commit}/checkpoints/000300: the repository has no such file or folder at"
        f" this commit; its files: {hub.endpoint}/"
    ) in line


def test_a_branch_name_with_a_slash_is_percent_encoded(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    api_ = HfApi(endpoint=hub.endpoint, token=hub.token)
    for branch in ("side/track", "refs/pr/1"):
        api_.create_branch(REPO, branch=branch)
    assert (
        len(read(f"{NAME}@side%2Ftrack").tensors) == len(read(f"{NAME}@refs/pr/1").tensors) == 500
    )
    assert len(read(f"{NAME}@refs/pr/1/model.safetensors").tensors) == 500


def test_diff_finds_the_same_on_the_hub_as_on_disk(hub: HubServer, tmp_path: Path) -> None:
    for repo, files in ((REPO, NORMAL), (OTHER, REFLOW)):
        hub.add_repo(repo, files)
        for path, data in files.items():
            (tmp_path / repo).mkdir(parents=True, exist_ok=True)
            (tmp_path / repo / path).write_bytes(data)
    local = {side: str(tmp_path / repo) for side, repo in (("a", REPO), ("b", OTHER))}
    expected = api.diff(local["a"], local["b"])
    for a, b in ((NAME, f"hf://{OTHER}"), (local["a"], f"hf://{OTHER}"), (NAME, local["b"])):
        found = api.diff(a, b)
        assert (found.stories, found.watched, found.diff.values, found.diff.files) == (
            expected.stories, expected.watched, expected.diff.values, expected.diff.files
        )  # fmt: skip
    assert api.diff(NAME, local["a"]).diff.same
    assert expected.transferred is None


def test_verify_and_gate_find_the_same_on_the_hub_as_on_disk(
    hub: HubServer, tmp_path: Path
) -> None:
    secret = b"hf_" + b"aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYzC"
    with_faults = REFLOW | {
        "notes.txt": b"token: " + secret,
        "optimizer.pt": b"\x80\x02}q\x00.",
        "wandb/run.log": b"x",
        "big.mp4": bytes(3 << 20),
    }
    hub.add_repo(REPO, with_faults)
    for path, data in with_faults.items():
        (tmp_path / "here" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / path).write_bytes(data)
        (tmp_path / "here" / path).chmod(0o644)
    for check in (api.verify, lambda where: _gate.gate(where).verification):
        remote, local = check(NAME), check(str(tmp_path / "here"))
        assert [finding._replace(remedy=Remedy()) for finding in remote.findings] == [
            finding._replace(remedy=Remedy()) for finding in local.findings
        ]
        assert {skip.code for skip in remote.skipped} - {skip.code for skip in local.skipped} <= {
            "CK139",
            "CK745",
            "CK805",
            "CK806",
            "CK814",
            *VALUE_RULES,
        }
    (skipped,) = {
        skip.reason for skip in remote.skipped if skip.code in {"CK805", "CK806", "CK814"}
    }
    assert skipped == "about permissions and links, which files on the Hub do not have"
    assert {skip.reason for skip in remote.skipped if skip.code in VALUE_RULES} == {
        "tensor values are not read from the Hub; download the checkpoint"
    }
    assert any(finding.code == "CK810" for finding in remote.findings)
    assert all(secret.decode() not in str(finding) for finding in remote.findings)


@pytest.mark.parametrize(
    ("where", "fetch", "folder"),
    [
        (NAME, "hf download tester/policy --local-dir policy", "policy"),
        ("tester/policy", "hf download tester/policy --local-dir policy", "policy"),
        (
            f"{NAME}@main/it's",
            "hf download tester/policy --revision main --include 'it'\"'\"'s*' --local-dir policy",
            "policy/it's",
        ),
    ],
)
def test_a_repair_of_a_hub_checkpoint_starts_with_its_download(
    hub: HubServer, where: str, fetch: str, folder: str
) -> None:
    hub.add_repo(REPO, REFLOW | {f"it's/{path}": data for path, data in REFLOW.items()})
    found = {finding.code: finding.next for finding in api.verify(where).findings}
    assert found["CK301"].startswith(f"{fetch} && ckpt sanitize ")
    download, command = (shlex.split(part) for part in found["CK301"].split(" && "))
    assert download == shlex.split(fetch)
    assert command == ["ckpt", "sanitize", folder, "--reference", "NORMAL"]
    assert "hf download" not in found["CK742"], "what is no command stays as it is"


def test_the_reference_of_a_repair_may_be_on_the_hub(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    where = ROOT / "fixtures/reflow"
    made = api.sanitize(where, reference=NAME)
    assert made.remains == ()
    assert made.operations == api.sanitize(where, reference=ROOT / "fixtures/normal").operations


def test_a_diagnosis_of_hub_checkpoints_is_static_and_prints_the_download(
    hub: HubServer,
) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo("tester/student", REFLOW)
    found = api.diagnose(NAME, "hf://tester/student", ProbeOptions())
    assert (found.live, found.failed, found.skipped) == (
        None,
        False,
        Skipped(Skip.ON_THE_HUB, NAME),
    )
    assert (
        Note(
            NoteKind.ON_THE_HUB,
            "hf://tester/student",
            command="hf download tester/student --local-dir student",
        )
        in found.notes
    )
    assert {cause.code.value for cause in found.causes} >= {"reflow-fields", "vlm-built-in-f32"}


def test_unreadable_weights_on_the_hub_are_a_finding(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL | {"model.safetensors": b"\xff" * 64})
    for found in (api.verify(NAME), _gate.gate(NAME).verification):
        assert [
            (finding.code, finding.path) for finding in found.findings if finding.code < "CK200"
        ] == [("CK102", "model.safetensors")]
    hub.add_repo("tester/empty", {"README.md": CARD})
    assert not _gate.gate("hf://tester/empty").passes
    assert "contains no .safetensors file" in refusal(
        errors.NotACheckpoint, lambda: api.verify("hf://tester/empty")
    )


@pytest.mark.parametrize("tail", [b"", b"PK\x05\x06" + bytes(18)])
def test_an_archive_too_large_to_fetch_does_not_pass(hub: HubServer, tail: bytes) -> None:
    tar = bytearray(512)
    tar[257:262] = b"ustar"
    large = bytes(18 << 20)
    hub.add_repo(
        REPO,
        {
            "a.gif": b"PK\x03\x04" + large + tail,
            "b.gif": bytes(tar) + large,
            "c.gif": b"GIF89a" + large,
            "d.bin": large,
        },
    )
    with hub_session():
        found = {entry.path: entry for entry in listing(NAME)}
    assert found["a.gif"].pickle.startswith("a zip archive")
    assert found["b.gif"].pickle == "a tar archive, which is not fetched for inspection"
    assert found["c.gif"].pickle == found["d.bin"].pickle == ""
    assert sum(record.sent for record in hub.requests) < 65 << 20
