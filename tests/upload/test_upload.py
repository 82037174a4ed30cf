"""`ckpt upload` with the real client against the stand-in.

What arrives is what was checked, and what does not pass never leaves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.api import _upload
from ckpt_tools.errors import CkptError, WrittenWrong
from ckpt_tools.upload import hf_cli, snapshot
from tests.support import forked
from tests.support.hub.policies import contents
from tests.support.hub.server import Fault, HubServer
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.upload.snapshot import UploadedFile

ROOT = Path(__file__).parents[2]
REPO = "tester/policy"
CARD = (
    "---\nlicense: apache-2.0\nlibrary_name: lerobot\npipeline_tag: robotics\n---\n\n# A policy\n"
)
HF = str(Path(sys.executable).parent / "hf")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A checkpoint that may be uploaded."""
    folder = tmp_path / "work" / "out"
    shutil.copytree(ROOT / "fixtures" / "normal", folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def ckpt(hub: HubServer, folder: Path, *arguments: str, token: str | None = "") -> forked.Done:
    """Run `ckpt upload` beside the checkpoint, in an environment that knows this hub only."""
    environment = hub.environment(folder.parent / "home", token=hub.token if token == "" else token)
    return forked.ckpt("upload", *arguments, folder=folder.parent, env=environment)


def leftovers(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder.parent) if name.startswith(".ckpt")]


# --- what passes ----------------------------------------------------------------------------------


def test_exactly_the_files_arrive(hub: HubServer, out: Path) -> None:
    before = contents(out)
    done = ckpt(hub, out, REPO, "out")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    there = hub.files(REPO)
    there.pop(".gitattributes")
    assert there == before == contents(out)
    commit = f"{hub.endpoint}/{REPO}/commit/{hub.commits(REPO)[0].id}"
    assert f"uploaded and compared {len(before)} files: {commit}" in done.stdout
    assert "Uploaded" in done.stdout
    assert leftovers(out) == []
    assert ckpt(hub, out, REPO, "out").returncode == 0, "the repository holds the same already"


def test_what_stands_after_the_dashes_goes_to_the_client(hub: HubServer, out: Path) -> None:
    done = ckpt(
        hub,
        out,
        REPO,
        "out",
        "--",
        "--commit-message",
        "First release",
        "--revision=v1",
        "--private",
    )
    assert done.returncode == 0, done.stderr
    assert hub.commits(REPO, "v1")[0].title == "First release"
    assert contents(out).items() <= hub.files(REPO, "v1").items()
    assert list(hub.files(REPO)) == [".gitattributes"]
    (created,) = hub.requests.of("POST", "/api/repos/create")
    assert created.status == 200
    environment = hub.environment(out.parent / "other", token=None)
    assert (
        subprocess.run(
            [HF, "download", REPO], env=environment, capture_output=True, check=False
        ).returncode
        == 1
    )


def test_a_pull_request_holds_what_was_checked_and_main_stays(hub: HubServer, out: Path) -> None:
    assert ckpt(hub, out, REPO, "out").returncode == 0
    before = hub.files(REPO)
    (out / "README.md").write_text(CARD + "\nBetter.\n", encoding="utf-8")
    done = ckpt(hub, out, REPO, "out", "--", "--create-pr")
    assert done.returncode == 0, done.stderr
    assert hub.files(REPO) == before
    assert hub.files(REPO, "refs/pr/1")["README.md"].endswith(b"Better.\n")
    assert f"{hub.endpoint}/{REPO}/commit/{hub.commits(REPO, 'refs/pr/1')[0].id}" in done.stdout


def test_a_single_file_is_sent_alone(hub: HubServer, out: Path) -> None:
    done = ckpt(hub, out, REPO, "out/model.safetensors")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(hub.files(REPO)) == {".gitattributes", "model.safetensors"}


def test_a_dry_run_prints_the_list_and_sends_nothing(hub: HubServer, out: Path) -> None:
    done = ckpt(hub, out, REPO, "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    summed = subprocess.run(
        ["sha256sum", "--check", "--strict"],
        input=done.stdout,
        text=True,
        cwd=out,
        capture_output=True,
        check=True,
    ).stdout
    assert sorted(line.removesuffix(": OK") for line in summed.splitlines()) == sorted(
        contents(out)
    )
    assert not hub.requests


# --- what does not --------------------------------------------------------------------------------


def pickled(folder: Path) -> None:
    (folder / "optimizer.pt").write_bytes(b"\x80\x04.")


def unread(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def piped(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def with_teacher(folder: Path) -> None:
    shutil.copytree(ROOT / "fixtures" / "reflow", folder, dirs_exist_ok=True)


def with_a_question_open(folder: Path) -> None:
    """Nothing says which tensors the model has, and ckpt.toml requires that it is checked."""
    shutil.rmtree(folder)
    model(folder, {"a.weight": (2, 3)}, {"config.json": {"model_type": "new"}})
    (folder.parent / "ckpt.toml").write_text('require = ["completeness"]\n')


@pytest.mark.parametrize("spoil", [pickled, unread, piped, with_teacher, with_a_question_open])
def test_a_dirty_one_is_refused_without_a_request(
    hub: HubServer, out: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(out)
    done = ckpt(hub, out, REPO, "out")
    assert done.returncode == 1, done.stderr
    assert done.stderr == "ckpt: out: failed the gate; nothing was uploaded\n"
    assert "CK" in done.stdout
    assert not hub.requests
    assert leftovers(out) == []


def test_what_the_settings_require_can_be_given(hub: HubServer, out: Path, tmp_path: Path) -> None:
    with_a_question_open(out)
    (out.parent / "ckpt.toml").write_text('require = ["completeness", "values"]\n')
    assert "--reference or --spec" in ckpt(hub, out, REPO, "out").stdout
    shutil.copytree(out, tmp_path / "reference")
    done = ckpt(hub, out, REPO, "out", "--reference", str(tmp_path / "reference"))
    assert done.returncode == 0, done.stderr
    assert "config.json" in hub.files(REPO)


def test_without_weights_there_is_nothing_to_send(hub: HubServer, out: Path) -> None:
    (out / "model.safetensors").unlink()
    assert ckpt(hub, out, REPO, "out").returncode in {1, 2}
    assert not hub.requests


def test_nothing_there_is_trouble(hub: HubServer, out: Path) -> None:
    done = ckpt(hub, out, REPO, "absent")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not hub.requests


@pytest.mark.parametrize("token", [None, "hf_wrong"])
def test_a_wrong_token_or_none_is_one_line(hub: HubServer, out: Path, token: str | None) -> None:
    done = ckpt(hub, out, REPO, "out", token=token)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ckpt: {REPO}: hf upload failed: ")
    assert done.stderr.count("\n") == 1
    assert (
        "Invalid username or password" if token is None else "Invalid credentials"
    ) in done.stderr
    assert leftovers(out) == []


@pytest.mark.parametrize("argument", ["--include=*.json", "--exclude", "--every"])
def test_what_would_send_something_else_is_refused(
    hub: HubServer, out: Path, argument: str
) -> None:
    done = ckpt(hub, out, REPO, "out", "--", argument, "*.json")
    assert done.returncode == 2
    assert "would send something other than what is checked; copy what you" in done.stderr
    assert not hub.requests


def test_an_option_that_the_client_does_not_know_is_its_error(hub: HubServer, out: Path) -> None:
    done = ckpt(hub, out, REPO, "out", "--", "--nonsense")
    assert done.returncode == 2
    assert "--nonsense" in done.stderr
    assert done.stderr.count("\n") == 1


# --- changes in between ---------------------------------------------------------------------------


def swapped(path: Path) -> None:
    """Another file in its place, with its size and times."""
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"x" * status.st_size)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def rewritten(path: Path) -> None:
    """Other bytes in the same file, with its times."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [swapped, rewritten, Path.unlink, lambda path: path.write_bytes(b"{}")],
    ids=["swapped", "rewritten", "gone", "short"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_changes_after_the_gate_is_never_sent(
    out: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Path], None]
) -> None:
    sent: list[str] = []
    gate = api.gate

    def gate_then_change(where: str, **options: object) -> object:
        verdict = gate(where, **options)  # type: ignore[arg-type]  # passed on
        if where == str(out):
            change(out / name)
        return verdict

    monkeypatch.setattr(_upload, "gate", gate_then_change)
    monkeypatch.setattr(hf_cli, "send", lambda *_: sent.append("sent"))
    with pytest.raises(CkptError) as raised:
        _upload.upload(REPO, str(out))
    assert name in str(raised.value)
    assert sent == []
    assert leftovers(out) == []


def test_a_file_that_is_added_after_the_gate_is_not_sent(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = snapshot.staged
    monkeypatch.setattr(
        snapshot, "staged", lambda *these: [(out / "token.txt").write_text("x"), staged(*these)][1]
    )
    monkeypatch.setattr(
        hf_cli,
        "send",
        lambda _repo, folder, *_: (
            pytest.fail(f"{contents(Path(folder)).keys()}")
            if "token.txt" in contents(Path(folder))
            else None
        ),
    )
    monkeypatch.setattr(hf_cli, "compare", lambda *_: None)
    with pytest.raises(AttributeError, match="url"):
        _upload.upload(REPO, str(out))


def test_the_copy_is_private_read_only_and_checked(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, set[int]]] = []
    gated: list[str] = []
    gate = api.gate

    def note(where: str, **options: object) -> object:
        gated.append(where)
        return gate(where, **options)  # type: ignore[arg-type]  # passed on

    def send(_repo: str, folder: str, *_: object) -> hf_cli.Commit:
        assert gated[-1] == folder
        seen.append(
            (
                Path(folder).parent.stat().st_mode & 0o777,
                {path.stat().st_mode & 0o777 for path in Path(folder).rglob("*") if path.is_file()},
            )
        )
        assert contents(Path(folder)) == contents(out)
        return hf_cli.Commit(REPO, "model", "0" * 40, "url")

    monkeypatch.setattr(_upload, "gate", note)
    monkeypatch.setattr(hf_cli, "send", send)
    monkeypatch.setattr(hf_cli, "compare", lambda *_: None)
    done = _upload.upload(REPO, str(out))
    assert (done.url, [file.path for file in done.files]) == ("url", sorted(contents(out)))
    assert seen == [(0o700, {0o400})]
    assert leftovers(out) == []


# --- what the Hub says afterwards -----------------------------------------------------------------


def frozen(out: Path) -> tuple[UploadedFile, ...]:
    return snapshot.hashed(str(out), snapshot.identities(str(out), snapshot.files_below(str(out))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"model.safetensors": b"x"}, "model.safetensors differs"),
        ({"config.json": b"x"}, "config.json differs"),
        ({"README.md": None}, "README.md is missing"),
    ],
)
def test_the_hub_is_asked_what_it_has(
    hub: HubServer,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, bytes | None],
    words: str,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    commit = hub.add_repo(
        REPO, {path: data for path, data in (contents(out) | change).items() if data is not None}
    )
    sent = hf_cli.Commit(REPO, "model", commit, f"{hub.endpoint}/{REPO}/commit/{commit}")
    if not words:
        hf_cli.compare(sent, frozen(out), hub.token)
        return
    with pytest.raises(
        WrittenWrong,
        match=f"something other than what was checked: {words}; do not use this commit",
    ):
        hf_cli.compare(sent, frozen(out), hub.token)


def test_a_hub_that_does_not_say_is_trouble(hub: HubServer, out: Path) -> None:
    hub.misbehave(Fault.SERVER_ERROR, times=20, path_contains="/tree/")
    done = ckpt(hub, out, REPO, "out")
    assert done.returncode == 2
    assert "was uploaded, but the Hub did not list its files" in done.stderr


def test_a_client_that_names_no_commit_is_told_of() -> None:
    with pytest.raises(WrittenWrong, match="hf printed no commit"):
        hf_cli._commit(REPO, "Uploaded")


def test_the_commit_is_found_in_what_the_client_says() -> None:
    sent = hf_cli._commit(
        "x",
        "\x1b[32m✓ Uploaded\x1b[0m\n  url: http://127.0.0.1:1/datasets/me/x/commit/"
        + "a" * 40
        + "\n",
    )
    assert (sent.repo, sent.kind, sent.commit) == ("me/x", "dataset", "a" * 40)


def test_a_token_among_the_arguments_is_used_to_ask() -> None:
    assert hf_cli.token_in(("--token", "a")) == hf_cli.token_in(("--private", "--token=a")) == "a"
    assert hf_cli.token_in(("--private",)) is None


# --- in the shell ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dirty", [False, True])
def test_the_gate_guards_hf_upload_in_a_shell(hub: HubServer, out: Path, *, dirty: bool) -> None:
    if dirty:
        with_teacher(out)
    script = f"{sys.executable} -m ckpt_tools gate out/ && {HF} upload {REPO} out/ ."
    environment = hub.environment(out.parent / "home") | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=out.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(dirty), done.stdout + done.stderr
    assert bool(hub.requests) == (not dirty)
    assert dirty or contents(out).items() <= hub.files(REPO).items()
