"""Reading checkpoints from disk.

What is read, what is rejected with the file's name, and files that change while they are read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ckpt_tools import errors
from ckpt_tools.checkpoint.read import DOCUMENT_LIMIT, SMALL_FILE, read
from ckpt_tools.storage import files

if TYPE_CHECKING:
    from collections.abc import Callable

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def tensors(*names: str, width: int = 2, extra: str = "") -> bytes:
    """Return a safetensors file that holds U8 tensors of these names, `width` bytes each."""
    entries = [
        f'{json.dumps(name)}:{{"dtype":"U8","shape":[{width}],'
        f'"data_offsets":[{at * width},{(at + 1) * width}]}}'
        for at, name in enumerate(names)
    ]
    text = ("{" + ",".join([*entries, *filter(None, [extra])]) + "}").encode()
    return len(text).to_bytes(8, "little") + text + bytes(range(width * len(names)))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a folder with one weight file and a config."""
    (tmp_path / "model.safetensors").write_bytes(
        tensors("a", "b", extra='"__metadata__":{"format":"pt","alias":"a"}')
    )
    (tmp_path / "config.json").write_text('{"type": "smolvla"}')
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """Return a folder with two shards and their index."""
    (tmp_path / ONE).write_bytes(tensors("a"))
    (tmp_path / TWO).write_bytes(tensors("b"))
    write_index(tmp_path, a=ONE, b=TWO)
    return tmp_path


def write_index(folder: Path, **weight_map: str) -> None:
    (folder / INDEX).write_text(
        json.dumps({"metadata": {"total_size": 4}, "weight_map": weight_map})
    )


def refusal(where: Path, error: type[errors.CkptError], *, lenient: bool = False) -> str:
    """Return the message for `where`; its error must be exactly `error` and name a file."""
    with pytest.raises(errors.CkptError) as raised:
        read(str(where), lenient=lenient)
    assert type(raised.value) is error, str(raised.value)
    assert raised.value.path
    assert raised.value.next
    return str(raised.value)


# --- what is read ---------------------------------------------------------------------------------


def test_a_folder_is_read_completely(checkpoint: Path) -> None:
    (checkpoint / "README.md").write_text("hello")
    (checkpoint / "assets").mkdir()
    found = read(str(checkpoint))
    (weights,) = found.weights
    assert [(t.name, t.dtype.label, t.shape, t.shard, t.start, t.end) for t in weights.tensors] == [
        ("a", "U8", (2,), "model.safetensors", 0, 2),
        ("b", "U8", (2,), "model.safetensors", 2, 4),
    ]
    data = (checkpoint / "model.safetensors").read_bytes()
    assert (weights.size, data[weights.payload_start :], weights.payload) == (
        len(data),
        bytes(range(4)),
        None,
    )
    assert dict(weights.metadata or ()) == {"format": "pt", "alias": "a"}
    assert weights.aliases == (("alias", "a"),)
    assert [(document.path, document.text, document.value) for document in found.documents] == [
        ("config.json", '{"type": "smolvla"}', {"type": "smolvla"})
    ]
    assert [(other.path, other.size, bool(other.sha256)) for other in found.others] == [
        ("README.md", 5, True),
        ("assets/", 0, False),
    ]


def test_a_sharded_folder_is_read_in_the_order_of_its_index(sharded: Path) -> None:
    write_index(sharded, b=TWO, a=ONE)
    found = read(str(sharded))
    assert [file.path for file in found.weights] == [TWO, ONE]
    assert [(tensor.name, tensor.shard) for tensor in found.tensors] == [("b", TWO), ("a", ONE)]
    assert found.shard_index is not None
    assert found.shard_index.total_size == 4
    assert found.others == ()


def test_shards_in_a_subfolder_are_read(sharded: Path) -> None:
    (sharded / "sub").mkdir()
    (sharded / TWO).rename(sharded / "sub" / "x.safetensors")
    write_index(sharded, a=ONE, b="sub/x.safetensors")
    assert [tensor.shard for tensor in read(str(sharded)).tensors] == [ONE, "sub/x.safetensors"]


def test_an_index_passed_as_the_path_reads_its_shards(sharded: Path) -> None:
    assert [tensor.name for tensor in read(str(sharded / INDEX)).tensors] == ["a", "b"]


def test_a_complete_set_of_shards_needs_no_index(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    assert [tensor.name for tensor in read(str(sharded)).tensors] == ["a", "b"]


def test_a_cached_snapshot_is_read_through_its_links(tmp_path: Path) -> None:
    blobs, snapshot = (
        tmp_path / "models--a--b" / "blobs",
        tmp_path / "models--a--b" / "snapshots" / "c0ffee",
    )
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for blob, name, data in (("w", "model.safetensors", tensors("a")), ("c", "config.json", b"{}")):
        (blobs / blob).write_bytes(data)
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
    for where in (snapshot, tmp_path / "models--a--b", snapshot / "model.safetensors"):
        found = read(str(where))
        assert [tensor.name for tensor in found.tensors] == ["a"]
        assert found.size == (blobs / "w").stat().st_size


def test_processor_state_is_read_with_its_payload(checkpoint: Path) -> None:
    (checkpoint / "policy_preprocessor.json").write_text(
        json.dumps({"steps": [{"state_file": "s.safetensors"}, {}, 3, {"state_file": None}]})
    )
    (checkpoint / "s.safetensors").write_bytes(tensors("mean"))
    (state,) = read(str(checkpoint)).states
    assert (state.path, state.payload) == ("s.safetensors", b"\0\1")


def test_processor_state_shared_by_two_processors_is_read_once(checkpoint: Path) -> None:
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        (checkpoint / name).write_text(json.dumps({"steps": [{"state_file": "s.safetensors"}]}))
    (checkpoint / "s.safetensors").write_bytes(tensors("mean"))
    assert [state.path for state in read(str(checkpoint)).states] == ["s.safetensors"]


def test_payload_is_not_read(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[int, int]] = []
    pread = os.pread

    def spy(descriptor: int, length: int, offset: int) -> bytes:
        reads.append((offset, length))
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", spy)
    where = checkpoint / "model.safetensors"
    (weights,) = read(str(where)).weights
    assert max(offset + length for offset, length in reads) == weights.payload_start


def test_a_large_file_next_to_the_weights_is_not_read(checkpoint: Path) -> None:
    (checkpoint / "video.mp4").touch()
    os.truncate(checkpoint / "video.mp4", SMALL_FILE + 1)
    (other,) = read(str(checkpoint)).others
    assert (other.path, other.size, other.sha256) == ("video.mp4", SMALL_FILE + 1, "")


def test_special_files_next_to_the_weights_are_listed_without_blocking(
    checkpoint: Path,
) -> None:
    os.mkfifo(checkpoint / "pipe")
    (checkpoint / "dangling").symlink_to("gone")
    assert [(other.path, other.size, other.sha256) for other in read(str(checkpoint)).others] == [
        ("dangling", 0, ""),
        ("pipe", 0, ""),
    ]


def test_a_link_to_itself_is_listed_like_any_broken_link(
    checkpoint: Path,
) -> None:
    (checkpoint / "loop").symlink_to("loop")
    assert [(other.path, other.size, other.sha256) for other in read(str(checkpoint)).others] == [
        ("loop", 0, "")
    ]


# --- strict and lenient ---------------------------------------------------------------------------


class Disagreement(NamedTuple):
    """A change to a sharded folder, the error it raises, and words of the message."""

    change: Callable[[Path], object]
    error: type[errors.IndexInvalid]
    words: str


DISAGREEMENTS = (
    Disagreement(
        lambda folder: (folder / "model-00003-of-00002.safetensors").write_bytes(tensors()),
        errors.ShardOrphan,
        "model-00003-of-00002",
    ),
    Disagreement(
        lambda folder: (folder / ONE).write_bytes(tensors("a", "extra")),
        errors.TensorNotInIndex,
        f'tensor "extra": is in {ONE}',
    ),
    Disagreement(
        lambda folder: write_index(folder, a=ONE, b=TWO, lost=ONE),
        errors.TensorNotInShard,
        'tensor "lost": is listed in',
    ),
    Disagreement(
        lambda folder: write_index(folder, a=TWO, b=ONE),
        errors.TensorNotInShard,
        f'tensor "a": is listed in {TWO}, but is in {ONE}',
    ),
    Disagreement(
        lambda folder: (folder / TWO).write_bytes(tensors("a", "b")),
        errors.TensorInTwoShards,
        f'tensor "a": is in {ONE} and {TWO}',
    ),
)


@pytest.mark.parametrize("case", DISAGREEMENTS, ids=lambda case: case.error.__name__)
def test_an_index_that_disagrees_with_its_shards_is_read_only_leniently(
    case: Disagreement, sharded: Path
) -> None:
    case.change(sharded)
    line = refusal(sharded, case.error)
    assert line.startswith(f"{sharded}/{INDEX}: ")
    assert case.words in line
    assert read(str(sharded), lenient=True).weights


@pytest.mark.parametrize("lenient", [False, True])
def test_a_shard_missing_from_the_folder_is_rejected_even_leniently(
    lenient: bool,
    sharded: Path,
) -> None:
    (sharded / TWO).unlink()
    line = refusal(sharded, errors.ShardMissing, lenient=lenient)
    assert TWO in line


@pytest.mark.parametrize("lenient", [False, True])
def test_incomplete_shards_without_an_index_are_rejected_even_leniently(
    lenient: bool,
    sharded: Path,
) -> None:
    (sharded / INDEX).unlink()
    (sharded / TWO).unlink()
    assert "the shard model-00002-of-00002.safetensors is missing" in refusal(
        sharded, errors.ShardMissing, lenient=lenient
    )


def test_shards_whose_numbers_do_not_match_their_count_are_rejected(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    (sharded / TWO).rename(sharded / "model-00007-of-00002.safetensors")
    refusal(sharded, errors.ShardMissing)


def test_a_tensor_in_two_shards_without_an_index_is_rejected(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    (sharded / TWO).write_bytes(tensors("a"))
    assert f"{ONE} and {TWO}" in refusal(sharded, errors.TensorInTwoShards)


@pytest.mark.parametrize("lenient", [False, True])
def test_an_index_that_leaves_the_folder_is_rejected_even_leniently(
    lenient: bool,
    sharded: Path,
) -> None:
    write_index(sharded, a=ONE, b="../secret.safetensors")
    assert (
        f"{sharded}/{INDEX}: tensor \"b\": the index lists it in '../secret.safetensors'"
        in refusal(sharded, errors.PathEscapes, lenient=lenient)
    )


@pytest.mark.parametrize("lenient", [False, True])
def test_processor_state_outside_the_folder_is_rejected_even_leniently(
    lenient: bool,
    checkpoint: Path,
) -> None:
    (checkpoint / "policy_postprocessor.json").write_text(
        json.dumps({"steps": [{"state_file": "/etc/passwd"}]})
    )
    assert "policy_postprocessor.json: names the state file '/etc/passwd'" in refusal(
        checkpoint, errors.PathEscapes, lenient=lenient
    )


def test_a_header_outside_the_specification_is_read_only_leniently(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(tensors("a", extra='"__metadata__":null'))
    line = refusal(checkpoint, errors.MetadataNull)
    assert line.startswith(f"{checkpoint}/model.safetensors: __metadata__: is null")
    assert "lenient=True does the same" in line
    assert [tensor.name for tensor in read(str(checkpoint), lenient=True).tensors] == ["a"]


# --- refused --------------------------------------------------------------------------------------


def test_every_error_of_a_header_names_its_shard(sharded: Path) -> None:
    (sharded / TWO).write_bytes(tensors("b")[:-1])
    assert refusal(sharded, errors.PayloadTruncated).startswith(
        f"{sharded}/{TWO}: is truncated: the header lists 2 payload bytes, the file has 1; "
    )


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pipe_is_rejected_without_waiting_for_a_writer(name: str, checkpoint: Path) -> None:
    (checkpoint / name).unlink()
    os.mkfifo(checkpoint / name)
    assert refusal(checkpoint, errors.NotAFile).startswith(
        f"{checkpoint}/{name}: is a named pipe, not a file; "
    )


def test_a_config_over_the_size_limit_is_rejected_before_it_is_read(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(checkpoint / "config.json", DOCUMENT_LIMIT + 1)
    lengths: list[int] = []
    pread = os.pread

    def spy(descriptor: int, length: int, offset: int) -> bytes:
        lengths.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", spy)
    assert (
        f"{checkpoint}/config.json: has {DOCUMENT_LIMIT + 1:,} bytes; files of this kind"
        in refusal(checkpoint, errors.Unreadable)
    )
    assert max(lengths) < DOCUMENT_LIMIT


@pytest.mark.parametrize(
    "reads_before", [0, 1, 2], ids=["before the length", "before the header", "before the config"]
)
def test_a_file_that_shrinks_while_it_is_read_is_rejected(
    reads_before: int, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread, count = os.pread, 0

    def shrinking(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal count
        if count == reads_before:
            for name in ("model.safetensors", "config.json"):
                os.truncate(checkpoint / name, 3)
        count += 1
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", shrinking)
    name = "config.json" if reads_before == 2 else "model.safetensors"
    line = refusal(checkpoint, errors.ChangedDuringRead)
    assert line.startswith(
        f"{checkpoint}/{name}: became shorter while it was read; another program is writing"
        " to this checkpoint: "
    )


def test_a_read_that_returns_less_than_asked_is_continued(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(str(checkpoint))
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda descriptor, length, offset: pread(descriptor, min(length, 3), offset)
    )
    assert read(str(checkpoint)) == expected


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionError(13, "Permission denied"),
            "permission denied; ask for read access, or run as the user who owns it",
        ),
        (OSError(5, "Input/output error"), "input/output error; check the path and the disk"),
        (OSError(24, "Too many open files"), "too many open files; "),
    ],
    ids=["permission", "disk", "descriptors"],
)
@pytest.mark.parametrize("call", ["open", "pread"])
def test_os_errors_are_reported_with_the_file(
    call: str, error: OSError, words: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise error

    monkeypatch.setattr(os, call, refused)
    assert f"{checkpoint}/model.safetensors: {words}" in refusal(checkpoint, errors.Unreadable)


@pytest.mark.parametrize("call", ["scandir", "stat"])
def test_a_folder_that_cannot_be_listed_is_reported(
    call: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refused)
        with pytest.raises(errors.Unreadable) as raised:
            read(str(checkpoint))
    assert (
        str(raised.value)
        == f"{checkpoint}: permission denied; ask for read access, or run as the user who owns it"
    )


def open_descriptors() -> set[str]:
    """Return the numbers of the descriptors that this process holds."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_every_descriptor_is_closed_however_reading_ends(checkpoint: Path) -> None:
    before = open_descriptors()
    read(str(checkpoint))
    (checkpoint / "config.json").write_text("[")
    refusal(checkpoint, errors.JsonSyntax)
    (checkpoint / "model.safetensors").write_bytes(b"\xff" * 16)
    refusal(checkpoint, errors.HeaderTooLarge)
    with pytest.raises(errors.NotAFile), files.open_regular(str(checkpoint)):
        pass
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", errors.JsonSyntax),
        (b"{", errors.JsonSyntax),
        (b"[]", errors.JsonNotObject),
        (b'{"a":NaN}', errors.JsonSyntax),
        (b'{"a":1,"a":2}', errors.JsonKeyRepeated),
        (b"\xef\xbb\xbf{}", errors.JsonNotUtf8),
        (b'{"a":"\xff"}', errors.JsonNotUtf8),
        (b"[" * 128 + b"]" * 128, errors.JsonTooDeep),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "train_config.json", "policy_preprocessor.json"])
def test_a_document_that_is_not_a_strict_json_object_is_rejected_by_name(
    name: str, data: bytes, error: type[errors.JsonInvalid], checkpoint: Path
) -> None:
    (checkpoint / name).write_bytes(data)
    assert refusal(checkpoint, error).startswith(f"{checkpoint}/{name}: ")
