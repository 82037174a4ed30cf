"""Addresses that fsspec reads: what commands read there, refuse there, and say when it fails.

The file system is fsspec's own in memory; S3's protocol is spoken in `test_fsspec_s3`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import fsspec
import pytest

from ckpt_tools import api, errors
from ckpt_tools.audit.sources import candidates, remember_listing
from ckpt_tools.checkpoint.read import read
from ckpt_tools.cli.main import main
from ckpt_tools.storage import fsspec_library
from ckpt_tools.storage.address import fetch_command, is_address
from ckpt_tools.storage.fsspec_storage import FsspecStorage
from ckpt_tools.storage.session import hub_session, is_remote
from tests.support.hub.policies import NORMAL, REFLOW, ROOT, contents, refusal
from tests.support.hub.uploads import shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEMORY = fsspec.filesystem("memory")


def fill(folder: str, files: Mapping[str, bytes]) -> str:
    for path, data in files.items():
        MEMORY.pipe_file(f"/{folder}/{path}", data)
    return f"memory://{folder}"


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    MEMORY.store.clear()
    MEMORY.pseudo_dirs[:] = [""]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The ranges that are read, as (path, bytes)."""
    done: list[tuple[str, int]] = []
    cat_file = type(MEMORY).cat_file

    def noted(self: object, path: str, start: int = 0, end: int = 0) -> bytes:
        done.append((path.rpartition("/")[2], end - start))
        data: bytes = cat_file(self, path, start=start, end=end)
        return data

    monkeypatch.setattr(type(MEMORY), "cat_file", noted)
    return done


# --- reading --------------------------------------------------------------------------------------


def test_what_is_at_an_address() -> None:
    assert all(map(is_address, ("s3://b", "gs://b/x", "memory://x", "hf://buckets/o/b/x")))
    assert not any(map(is_address, ("hf://o/n", "https://x/y", "x/y", "./s3:/b", "C:\\x", "")))
    assert is_remote("s3://b/x")


def test_a_checkpoint_is_read_as_on_this_machine_with_two_ranges_of_its_weights(
    reads: list[tuple[str, int]],
) -> None:
    there, here = read(fill("lab/policy", NORMAL)), read(str(ROOT / "fixtures" / "normal"))
    assert (there.weights, there.states, there.documents) == (
        here.weights,
        here.states,
        here.documents,
    )
    assert there.root == "memory://lab/policy"
    assert len([one for one in reads if one[0] == "model.safetensors"]) <= 2
    assert "README.md" not in dict(reads)
    assert sum(length for _, length in reads) < 300_000


def test_show_diff_verify_and_gate_answer_as_they_do_here() -> None:
    there, other = fill("lab/policy", NORMAL), fill("lab/other", REFLOW)
    here = str(ROOT / "fixtures" / "normal")
    assert api.show(there).tensors == api.show(here).tensors
    found = api.verify(there)
    assert {one.code for one in found.findings} == {
        one.code for one in api.verify(here).findings if one.code != "CK814"
    }
    assert found.transferred is None
    assert api.diff(fill("lab/same", contents(here)), here).same
    assert not api.diff(there, other).same
    assert api.gate(there).passes == api.gate(here, values=False).passes


def test_shards_a_file_and_an_index_are_read(reads: list[tuple[str, int]]) -> None:
    where = fill("lab/sharded", shards(3, 4))
    assert len(read(where).tensors) == 12
    assert [name for name, _ in reads].count("model-00001-of-00003.safetensors") == 1
    name = min(name for name in shards(3, 4) if name.endswith(".safetensors"))
    assert len(read(f"{where}/{name}").tensors) == 4
    assert len(read(f"{where}/model.safetensors.index.json").tensors) == 12
    assert len(read(f"{where}/").tensors) == 12


def test_the_command_line_takes_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    where = fill("lab/policy", NORMAL)
    assert main(["show", where]) == 0
    assert main(["verify", where, "--format", "json"]) in {0, 1}
    document = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert document["where"] == where


# --- refusing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "show {} --values",
        "verify {} --values",
        "verify {} --load",
        "diff {} {} --values",
        "hash {}",
        "config {} get type",
        "config {} set type smolvla",
        "strip {} --output y",
        "rename {} a b --output y",
        "cast {} bf16 --output y",
        "sanitize {}",
        "recover {}",
        "doctor {} {}",
        "upload me/policy {}",
    ],
)
def test_what_needs_local_files_says_so(
    command: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = fill("lab/policy", NORMAL)
    monkeypatch.chdir(str(tmp_path))
    assert main([word.format(where) for word in command.split()]) == 2
    error = capsys.readouterr().err
    assert f"{where}: is at a remote address, but this command needs local files" in error, error


def test_what_copies_an_address_is_said() -> None:
    def command(where: str) -> str:
        return fetch_command(where, where)[0]

    assert command("s3://b/a b") == "aws s3 cp --recursive 's3://b/a b' 'a b'"
    assert command("gs://b/x/") == "gcloud storage cp --recursive gs://b/x/ x"
    assert command("hf://buckets/o/b/x") == "hf buckets sync hf://buckets/o/b/x x"
    assert command("hf://o/n") == "hf download o/n --local-dir n"
    assert (command("memory://x"), command("/data/x")) == ("", "")


# --- trouble --------------------------------------------------------------------------------------


class NoCredentialsError(Exception):
    pass


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (FileNotFoundError("x"), errors.PathNotFound, "no such bucket, folder or file"),
        (PermissionError("Forbidden"), errors.AccessRefused, "access is denied (Forbidden)"),
        (NoCredentialsError("x"), errors.AccessRefused, "no valid credentials were found"),
        (OSError("Could not connect\nto x"), errors.Unreachable, "Could not connect to x"),
        (RuntimeError("y" * 999), errors.Unreachable, "yyy…"),
        (TimeoutError(), errors.Unreachable, "TimeoutError"),
    ],
)
@pytest.mark.parametrize("method", ["ls", "info", "cat_file"])
def test_what_a_file_system_raises_is_a_sentence(
    raised: Exception,
    kind: type[errors.CkptError],
    words: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise raised

    where = fill("lab/policy", NORMAL)
    monkeypatch.setattr(type(MEMORY), method, refuse)
    if method == "info" and isinstance(raised, FileNotFoundError):
        assert read(where).tensors
    else:
        assert words in refusal(kind, lambda: read(where))


def test_what_is_not_there_or_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such bucket" in refusal(errors.PathNotFound, lambda: read("memory://none"))
    unknown = refusal(errors.UnknownSelection, lambda: read("nothing://x"))
    assert "nothing is known that reads nothing://" in unknown

    def refuse(_: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "get_filesystem_class", refuse)
    missing = refusal(errors.LibraryMissing, lambda: read("gs://b/x"))
    assert missing.endswith("that is not installed; pip install 'ckpt-tools[gcs]'")


def test_a_folder_without_weights_is_no_checkpoint() -> None:
    where = fill("lab/empty", {"README.md": b""})
    with pytest.raises(errors.NotACheckpoint, match=r"contains no \.safetensors file"):
        read(where)


def test_a_file_that_becomes_shorter_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    where = fill("lab/policy", NORMAL)
    cut = lambda *_, **__: b"short"  # noqa: E731 - one line says it
    monkeypatch.setattr(type(MEMORY), "cat_file", cut)
    assert "became shorter" in refusal(errors.ChangedDuringRead, lambda: read(where))


def test_a_file_system_that_fails_to_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(fsspec_library, "_options", refuse)
    assert "no valid credentials" in refusal(errors.AccessRefused, lambda: read("memory://x"))


# --- audits ---------------------------------------------------------------------------------------


def test_an_audit_finds_what_is_below_an_address_and_its_check_lists_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = fill("lab", {
        **{f"run/checkpoints/000{n}00/pretrained_model/{path}": data
           for n in (1, 2) for path, data in NORMAL.items()},
        "run/checkpoints/000100/training_state/optimizer_state.safetensors": b"1",
        "loose/a.safetensors": NORMAL["model.safetensors"],
        "loose/b.safetensors": NORMAL["model.safetensors"],
        "old/pytorch_model.bin": b"1",
    })  # fmt: skip
    found = {one.location: one for one in candidates([where])}
    assert [location.removeprefix("memory://lab/") for location in found] == [
        "loose/a.safetensors",
        "loose/b.safetensors",
        "old",
        "run/checkpoints/000100/pretrained_model",
        "run/checkpoints/000200/pretrained_model",
    ]
    step = found["memory://lab/run/checkpoints/000100/pretrained_model"]
    assert {file.path: file.size for file in step.files} == {
        path: len(data) for path, data in NORMAL.items()
    }
    assert all(file.modified_ns for file in step.files)
    assert (step.owner, step.source, step.revision) == ("lab", where, "")
    assert step.name == "run/checkpoints/000100/pretrained_model"
    assert "only pickles" in found["memory://lab/old"].trouble

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(type(MEMORY), "ls", refuse)
    monkeypatch.setattr(type(MEMORY), "info", refuse)
    for one in (step, found["memory://lab/loose/a.safetensors"]):
        with hub_session():
            remember_listing(one.address, one.files)
            assert api.verify(one.address).checkpoint


def test_an_audit_says_what_it_cannot_list(monkeypatch: pytest.MonkeyPatch) -> None:
    where = fill("lab", {"a/model.safetensors": b"", "b/model.safetensors": b"", "c.txt": b""})
    entries = FsspecStorage.entries

    def refuse(self: FsspecStorage, folder: str) -> object:
        if folder.endswith("/b"):
            raise errors.AccessRefused("access is denied", path=folder)
        return entries(self, folder)

    monkeypatch.setattr(FsspecStorage, "entries", refuse)
    a, b, gone, file = candidates([where, "memory://none", f"{where}/a/model.safetensors"])
    assert (a.trouble, b.listed) == ("", False)
    assert b.trouble.startswith("access is denied; ")
    assert gone.trouble.startswith("no such bucket")
    assert file.location == f"{where}/a/model.safetensors"
    assert [one.path for one in file.files] == ["model.safetensors"]


def test_a_bucket_of_many_folders_is_listed_in_order() -> None:
    where = fill("many", {f"{n:03}/model.safetensors": b"1" for n in range(100)})
    assert [one.name for one in candidates([where])] == [f"{n:03}" for n in range(100)]
