"""Checkpoints on the Hub, read by the real client's session from the stand-in.

What is read, what it costs, how it is named, and what is never sent.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import jsonschema
import pytest
from huggingface_hub import HfApi, constants

from ckpt_tools import api, errors
from ckpt_tools.api import _gate
from ckpt_tools.api._doctor import ProbeOptions
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.checkpoint.read import read
from ckpt_tools.doctor.model import Note, NoteKind, Skip, Skipped
from ckpt_tools.report.formats import text
from ckpt_tools.report.json import diff as diff_json
from ckpt_tools.report.json import findings as findings_json
from ckpt_tools.report.pages import verdict as verdict_page
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.show import show_page
from ckpt_tools.rules.finding import Need
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.scan.folder import listing
from ckpt_tools.storage.hub_api import repository
from ckpt_tools.storage.session import hub_session, remote_storage
from ckpt_tools.storage.storage import HEADER_GUESS
from tests.support.hub.policies import CARD, NAME, NORMAL, OTHER, REFLOW, REPO, ROOT, lead, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.hub.server import HubServer

pytestmark = pytest.mark.usefixtures("led")
VALUES = {rule.code for rule in api.known_rules() if Need.VALUES in rule.needs}


def download(hub: HubServer, ignore: str | None = None) -> None:
    HfApi(endpoint=hub.endpoint, token=hub.token).snapshot_download(
        REPO, cache_dir=constants.HF_HUB_CACHE, ignore_patterns=ignore
    )


# --- what is read ---------------------------------------------------------------------------------


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


def test_a_folder_and_a_file_inside_can_be_named(hub: HubServer) -> None:
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


def test_a_branch_with_a_slash_is_named_as_hf_names_it(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    api_ = HfApi(endpoint=hub.endpoint, token=hub.token)
    for branch in ("side/track", "refs/pr/1"):
        api_.create_branch(REPO, branch=branch)
    assert (
        len(read(f"{NAME}@side%2Ftrack").tensors) == len(read(f"{NAME}@refs/pr/1").tensors) == 500
    )
    assert len(read(f"{NAME}@refs/pr/1/model.safetensors").tensors) == 500


def shards(count: int, tensors: int) -> dict[str, bytes]:
    """A sharded checkpoint with its index."""
    files: dict[str, bytes] = {}
    where: dict[str, str] = {}
    for number in range(1, count + 1):
        name = f"model-{number:05}-of-{count:05}.safetensors"
        entries = [
            Tensor(
                f"model.layers.{number}.experts.{at}.gate_proj.weight",
                Dtype.F32,
                (8, 16),
                "",
                0,
                512,
            )
            for at in range(tensors)
        ]
        placed = header.layout(entries)
        files[name] = header.encode(placed) + bytes(placed[-1].end)
        where |= {tensor.name: name for tensor in placed}
    index = {"metadata": {"total_size": 512 * count * tensors}, "weight_map": where}
    return files | {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "config.json": b"{}",
    }


def test_a_sharded_checkpoint_takes_two_requests_a_shard_and_no_more_of_it_than_its_header(
    hub: HubServer,
) -> None:
    """The index tells how long each header may be."""
    files = shards(12, 40)
    hub.add_repo(REPO, files)
    found = read(NAME)
    assert (len(found.weights), len(found.tensors)) == (12, 480)
    for name in files:
        if name.endswith(".safetensors"):
            (asked,) = hub.requests.of("GET", f"/{name}")
            assert asked.range is not None
            last = int(asked.range.partition("-")[2])
            length = 8 + int.from_bytes(files[name][:8], "little")
            assert length <= last + 1 <= length * 1.25 + 2048
    assert len(hub.requests.of(path_contains="/cdn/")) == 12


def test_what_differs_is_the_same_from_afar(hub: HubServer, tmp_path: Path) -> None:
    for repo, files in ((REPO, NORMAL), (OTHER, REFLOW)):
        hub.add_repo(repo, files)
        for path, data in files.items():
            (tmp_path / repo).mkdir(parents=True, exist_ok=True)
            (tmp_path / repo / path).write_bytes(data)
    here = {side: str(tmp_path / repo) for side, repo in (("a", REPO), ("b", OTHER))}
    expected = api.diff(here["a"], here["b"])
    for a, b in ((NAME, f"hf://{OTHER}"), (here["a"], f"hf://{OTHER}"), (NAME, here["b"])):
        found = api.diff(a, b)
        assert (found.stories, found.watched, found.diff.values, found.diff.files) == (
            expected.stories, expected.watched, expected.diff.values, expected.diff.files
        )  # fmt: skip
    assert api.diff(NAME, here["a"]).diff.same
    assert expected.transferred is None


def test_verifying_and_gating_find_the_same_from_afar(hub: HubServer, tmp_path: Path) -> None:
    secret = b"hf_" + b"aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYzC"
    spoiled = REFLOW | {
        "notes.txt": b"token: " + secret,
        "optimizer.pt": b"\x80\x02}q\x00.",
        "wandb/run.log": b"x",
        "big.mp4": bytes(3 << 20),
    }
    hub.add_repo(REPO, spoiled)
    for path, data in spoiled.items():
        (tmp_path / "here" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / path).write_bytes(data)
        (tmp_path / "here" / path).chmod(0o644)
    for judge in (api.verify, lambda where: _gate.gate(where).verification):
        afar, here = judge(NAME), judge(str(tmp_path / "here"))
        assert [finding._replace(remedy=Remedy()) for finding in afar.findings] == [
            finding._replace(remedy=Remedy()) for finding in here.findings
        ]
        assert {skip.code for skip in afar.skipped} - {skip.code for skip in here.skipped} <= {
            "CK745",
            "CK805",
            "CK806",
            "CK814",
            *VALUES,
        }
    (skipped,) = {skip.reason for skip in afar.skipped if skip.code in {"CK805", "CK806", "CK814"}}
    assert skipped == "about permissions and links, which files on the Hub do not have"
    assert {skip.reason for skip in afar.skipped if skip.code in VALUES} == {
        "tensor values are not read from the Hub; download the checkpoint"
    }
    assert any(finding.code == "CK810" for finding in afar.findings)
    assert all(secret.decode() not in str(finding) for finding in afar.findings)


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
def test_a_repair_of_what_is_on_the_hub_begins_with_its_download(
    hub: HubServer, where: str, fetch: str, folder: str
) -> None:
    hub.add_repo(REPO, REFLOW | {f"it's/{path}": data for path, data in REFLOW.items()})
    found = {finding.code: finding.next for finding in api.verify(where).findings}
    assert found["CK301"].startswith(f"{fetch} && ckpt sanitize ")
    download, command = (shlex.split(part) for part in found["CK301"].split(" && "))
    assert download == shlex.split(fetch)
    assert command == ["ckpt", "sanitize", folder]
    assert not found["CK742"], "what is no command stays as it is"


def test_a_diagnosis_of_what_is_on_the_hub_is_of_the_files_and_says_how_to_get_them(
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


def test_what_cannot_be_read_is_a_finding_from_afar_too(hub: HubServer) -> None:
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
def test_an_archive_too_large_to_fetch_is_not_passed(hub: HubServer, tail: bytes) -> None:
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


# --- what it costs --------------------------------------------------------------------------------


def test_a_diff_of_two_policies_takes_three_requests_a_file_at_the_most_and_300_kilobytes(
    hub: HubServer,
) -> None:
    """The fixtures have the names of full-size checkpoints, 500 and 1,000 tensors."""
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, REFLOW)
    found = api.diff(NAME, f"hf://{OTHER}")
    assert found.transferred is not None
    for repo, files in ((REPO, NORMAL), (OTHER, REFLOW)):
        assert len(hub.requests.of(path_contains=f"/api/models/{repo}/revision/")) == 1
        for path in files:
            asked = [
                record
                for record in hub.requests
                if f"{repo}/" in record.path and f"/{path}" in record.path.partition("?")[0]
            ]
            assert len(asked) <= 2, path
        assert len(hub.requests.of(path_contains=f"/cdn/{repo}/")) <= 3
    assert sum(record.sent for record in hub.requests) <= 300_000
    assert not hub.requests.of("HEAD")
    assert not hub.requests.of(path_contains="README.md")
    assert found.transferred.requests == len(hub.requests)
    assert found.transferred.received == sum(record.sent for record in hub.requests)
    assert found.transferred.total == sum(map(len, (*NORMAL.values(), *REFLOW.values())))


def test_the_pages_and_the_json_say_what_it_took(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, REFLOW)
    shown, compared, verified, gated = (
        api.show(NAME),
        api.diff(NAME, f"hf://{OTHER}"),
        api.verify(NAME),
        _gate.gate(NAME),
    )
    for page, schema, document in (
        (show_page(shown), "show", diff_json.document(shown)),
        (diff_page(compared), "diff", diff_json.document(compared)),
        (verdict_page.page(verified), "findings", findings_json.document(verified)),
        (verdict_page.page(gated), "verdict", findings_json.document(gated)),
    ):
        jsonschema.validate(
            document, json.loads((ROOT / "schemas" / f"{schema}.schema.json").read_bytes())
        )
        took = document["transferred"]
        assert isinstance(took, dict)
        assert f"from the Hub in {took['requests']} requests" in text.render(page)
    assert "transferred" not in diff_json.document(api.show(str(ROOT / "fixtures" / "normal")))


def test_the_command_line_reads_from_the_hub(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, REFLOW)
    environment = hub.environment(tmp_path / "home") | {"PYTHONPATH": str(ROOT)}

    def ckpt(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ckpt_tools", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = ckpt("diff", NAME, OTHER)
    assert (done.returncode, done.stderr) == (1, "")
    assert "different: 500 tensors only in B" in done.stdout
    done = ckpt("spec", "write", NAME)
    assert (done.returncode, len(json.loads(done.stdout)["tensors"])) == (0, 500)
    done = ckpt("sanitize", str(ROOT / "fixtures" / "reflow"), "--reference", NAME, "--dry-run")
    assert "8 steps planned, nothing written" in done.stdout
    done = ckpt("show", "hf://tester/none")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_what_both_sides_have_is_fetched_once(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    hub.add_repo(OTHER, NORMAL)
    assert api.diff(NAME, f"hf://{OTHER}").diff.same
    assert [record.path for record in hub.requests.of(path_contains=OTHER)] == [
        f"/api/models/{OTHER}/revision/main?blobs=true"
    ]


def test_a_header_longer_than_the_guess_takes_one_request_more(hub: HubServer) -> None:
    hub.add_repo(REPO, REFLOW)
    read(NAME)
    length = 8 + int.from_bytes(REFLOW["model.safetensors"][:8], "little")
    (asked,) = hub.requests.of(path_contains="/model.safetensors")
    ranges = [
        record.range
        for record in hub.requests.of(path_contains="/cdn/")
        if record.range and record.sent > 10_000
    ]
    assert asked.range == f"bytes=0-{HEADER_GUESS - 1}"
    assert ranges == [f"bytes=0-{HEADER_GUESS - 1}", f"bytes={HEADER_GUESS}-{length - 1}"]


def test_the_token_stays_with_the_hub(hub: HubServer) -> None:
    hub.add_repo(REPO, REFLOW, private=True)
    read(NAME)
    assert {record.authorized for record in hub.requests.of(path_contains="/cdn/")} == {False}
    assert {record.authorized for record in hub.requests if "/cdn/" not in record.path} == {True}


def test_one_verb_sees_one_commit(hub: HubServer) -> None:
    first = hub.add_repo(REPO, NORMAL)
    with hub_session():
        place = remote_storage(NAME)
        hub.push(REPO, REFLOW)
        found = read(NAME)
    assert (found.root, len(found.tensors), place.root) == (
        f"{NAME}@{first}",
        500,
        f"{NAME}@{first}",
    )
    assert len(read(NAME).tensors) == 1000


# --- the cache, and being offline -----------------------------------------------------------------


def test_what_the_cache_has_is_not_fetched(hub: HubServer) -> None:
    hub.add_repo(REPO, NORMAL)
    download(hub)
    hub.requests.clear()
    found = api.show(NAME)
    assert len(hub.requests) == 1
    assert found.transferred is not None
    assert found.transferred.requests == 1
    hub.push(REPO, {"config.json": b"{}"})
    hub.requests.clear()
    read(NAME)
    assert {record.path.partition("?")[0].rpartition("/")[2] for record in hub.requests} == {
        "main",
        "config.json",
    }


def test_offline_a_cached_snapshot_is_read_and_another_is_a_clear_error(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add_repo(REPO, NORMAL)
    expected = read(NAME)
    download(hub)
    hub.requests.clear()
    lead(monkeypatch, HF_HUB_OFFLINE=True)
    assert read(NAME) == expected
    assert read(f"{REPO}@{commit}").weights == expected.weights
    assert {file.path: (file.size, bool(file.content)) for file in repository(NAME).files} == {
        path: (len(data), True) for path, data in NORMAL.items()
    }
    assert not hub.requests
    line = refusal(errors.Unreachable, lambda: read("hf://tester/none@v2"))
    words = "offline mode is enabled (HF_HUB_OFFLINE is set), and the cache has no such revision"
    advice = "unset HF_HUB_OFFLINE, or run this while online"
    assert line == f"hf://tester/none@v2: {words}; {advice}: hf download tester/none --revision v2"
    assert "tester/none: no such file or directory, and offline mode is enabled" in refusal(
        errors.PathNotFound, lambda: read("tester/none")
    )


def test_offline_a_snapshot_without_its_weights_is_said_to_be_in_parts(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repo(REPO, shards(2, 3))
    download(hub, ignore="*-00002-*")
    lead(monkeypatch, HF_HUB_OFFLINE=True)
    assert "model-00002-of-00002.safetensors" in refusal(errors.ShardMissing, lambda: read(NAME))
    line = refusal(errors.PathNotFound, lambda: read(f"{NAME}/model-00002-of-00002.safetensors"))
    assert "is not in the cache, and offline mode is enabled (HF_HUB_OFFLINE is set)" in line


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
def test_a_name_that_names_nothing_is_refused_before_anything_is_sent(
    hub: HubServer, where: str
) -> None:
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
def test_a_path_that_is_not_there_is_no_name(hub: HubServer, where: str, tmp_path: Path) -> None:
    (tmp_path / "fixtures").mkdir()
    assert "no such file or directory" in refusal(errors.PathNotFound, lambda: read(where))
    assert not hub.requests


def test_an_address_is_told_how_it_is_named() -> None:
    line = refusal(errors.PathNotFound, lambda: read("https://huggingface.co/tester/policy"))
    assert line.endswith(
        "no such file or directory; write a checkpoint on the Hub as hf://owner/name"
    )


def test_a_path_that_is_there_is_never_a_name(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, NORMAL)
    (tmp_path / REPO).mkdir(parents=True)
    assert "contains no .safetensors file" in refusal(errors.NotACheckpoint, lambda: read(REPO))
    assert not hub.requests


def test_another_kind_of_repository_is_called_what_it_is(hub: HubServer) -> None:
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
def test_a_repository_with_a_file_that_leads_out_of_it_is_refused(
    hub: HubServer, path: str
) -> None:
    hub.add_repo(REPO, NORMAL | {path: b"x"})
    assert "which is outside the repository" in refusal(errors.PathEscapes, lambda: read(NAME))


# --- who may read ---------------------------------------------------------------------------------


def test_missing_private_and_gated_are_told_apart_as_far_as_the_hub_does(
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
    "job",
    [
        lambda where: api.plan(where, ()),
        api.sanitize,
        api.recover,
        lambda where: api.verify(where, values=True),
        lambda where: api.verify(where, load=True),
        lambda where: api.upload("tester/x", where),
    ],
)
def test_what_needs_the_files_says_how_to_get_them(
    hub: HubServer, job: Callable[[str], object]
) -> None:
    line = refusal(errors.RemoteNotSupported, lambda: job(f"{NAME}@v1/sub"))
    get = (
        "download it first: hf download tester/policy --revision v1 --include 'sub*'"
        " --local-dir policy"
    )
    assert line == f"{NAME}@v1/sub: is a Hub repository, but this command needs local files; {get}"
    assert not hub.requests
