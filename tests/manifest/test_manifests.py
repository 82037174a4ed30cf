"""Manifests of what a checkpoint holds. The laws, each a test below:

- the content digest is the same for the same tensors, however they lie in shards, in whatever
  order, with whatever metadata, on any number of threads;
- any bit, name, dtype or shape that changes, changes it; so does a tensor more or less;
- what is written is read again, and is the same text for the same checkpoint;
- a manifest that was edited is told, with the place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import (
    ChangedDuringRead,
    CkptError,
    ManifestInvalid,
    NotAFile,
    PathNotFound,
    RemoteNotSupported,
    ShardMissing,
    Unwritable,
)
from ckpt_tools.manifest import build as manifest_build
from ckpt_tools.manifest import digests
from ckpt_tools.manifest.format import content_bytes, parse, text
from ckpt_tools.manifest.model import FileDigest, Manifest, TensorDigest
from ckpt_tools.storage import schemas
from tests.support.checkpoints import INDEX, tensors, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.checkpoints import Tensors

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


def content(where: str, **options: Any) -> str:
    return api.manifest(where, **options).manifest.content


# --- the content digest ---------------------------------------------------------------------------


@given(
    tensors(least=2),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
    st.dictionaries(st.text("abc"), st.text("abc"), max_size=2),
)
def test_shards_order_metadata_and_threads_make_no_difference(
    home: Path, held: Tensors, random: Any, threads: int, metadata: dict[str, str]
) -> None:
    expected = content(written(home / "a", held), threads=1)
    names = list(held)
    random.shuffle(names)
    cut = random.randint(1, len(names) - 1) if len(names) > 1 else 1
    shards = [{name: held[name] for name in part} for part in (names[:cut], names[cut:]) if part]
    assert content(written(home / "b", *shards, metadata=metadata), threads=threads) == expected
    assert content(written(home / "b", *shards[::-1]), threads=threads, sha256=True) == expected


@given(tensors(), st.data())
def test_any_change_of_a_tensor_changes_it(home: Path, held: Tensors, data: st.DataObject) -> None:
    before = content(written(home / "c", held))
    name = data.draw(st.sampled_from(sorted(held)))
    dtype, shape, payload = held[name]
    changes: list[Tensors] = [
        {f"{old}x" if old == name else old: tensor for old, tensor in held.items()}
        if f"{name}x" not in held
        else {},
        {
            **held,
            name: (
                {
                    Dtype.BF16: Dtype.F16,
                    Dtype.F16: Dtype.BF16,
                    Dtype.U8: Dtype.BOOL,
                    Dtype.F32: Dtype.I32,
                }[dtype],
                shape,
                payload,
            ),
        },
        {**held, name: (dtype, (*shape, 1), payload)},
        {old: tensor for old, tensor in held.items() if old != name},
        {**held, f"{name}.more": (Dtype.U8, (0,), b"")} if f"{name}.more" not in held else {},
    ]
    if payload:
        bit = data.draw(st.integers(0, len(payload) * 8 - 1))
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        changes.append({**held, name: (dtype, shape, bytes(flipped))})
    assert all(content(written(home / "c", changed)) != before for changed in changes if changed)


def test_it_is_what_the_documents_say() -> None:
    """In ten lines, with other means."""
    from safetensors import safe_open  # noqa: PLC0415 - another reader, for this test alone

    path = FIXTURES / "language-model/model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    lines = ["ckpt-tools content 1\n"]
    with safe_open(path, "np") as file:
        for name in sorted(file.keys()):
            entry = header[name]
            first, end = entry["data_offsets"]
            lines.append(
                json.dumps(
                    [
                        name,
                        entry["dtype"],
                        entry["shape"],
                        blake3(data[start + first : start + end]).hexdigest(),
                    ]
                )
                + "\n"
            )
    assert content(str(path.parent)) == blake3("".join(lines).encode()).hexdigest()


def test_it_is_fixed_for_ever() -> None:
    """Manifests that people have written must stay good.

    A change of this needs another version of the format.
    """
    assert (
        content(str(FIXTURES / "normal"))
        == "08cd3d4af60fbaf3acb98a6ae583f5db79f4ca5fbb858d709c87cc3d9ea06dbb"
    )


@pytest.mark.parametrize("where", ["sharded", "normal/model.safetensors", f"sharded/{INDEX}"])
def test_it_is_that_of_the_tensors_wherever_they_lie(where: str) -> None:
    assert content(str(FIXTURES / where)) == content(str(FIXTURES / "normal"))


def test_it_is_the_same_whatever_shards_are_called(tmp_path: Path) -> None:
    expected = content(str(FIXTURES / "normal"))
    for number, path in enumerate(sorted((FIXTURES / "sharded").glob("model-*"))):
        shutil.copy(path, tmp_path / f"{'zyx'[number]}.safetensors")
    index = json.loads((FIXTURES / "sharded" / INDEX).read_text())
    names = {
        f"model-0000{number}-of-00003.safetensors": f"{'zyx'[number - 1]}.safetensors"
        for number in (1, 2, 3)
    }
    (tmp_path / INDEX).write_text(
        json.dumps(
            {"weight_map": {name: names[path] for name, path in index["weight_map"].items()}}
        )
    )
    assert content(str(tmp_path)) == expected


# --- the text -------------------------------------------------------------------------------------


DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SIZES = st.integers(0, (1 << 64) - 1)
ENTRIES = st.tuples(st.sampled_from(list(Dtype)), st.lists(SIZES, max_size=3).map(tuple), DIGESTS)
FILES = st.tuples(SIZES, DIGESTS, st.just("") | DIGESTS, st.booleans())
MANIFESTS = st.builds(
    lambda where, content, whole, tensors, files: Manifest(
        where,
        content,
        whole,
        tuple(TensorDigest(name, *tensors[name]) for name in sorted(tensors)),
        tuple(FileDigest(name, *files[name]) for name in sorted(files)),
    ),
    TEXTS,
    DIGESTS,
    st.booleans(),
    st.dictionaries(TEXTS, ENTRIES, max_size=4),
    st.dictionaries(TEXTS, FILES, max_size=4),
)


def valid(document: object) -> bool:
    return bool(jsonschema.Draft202012Validator(schemas.load("manifest")).is_valid(document))


@given(MANIFESTS)
def test_what_is_written_is_read_and_follows_the_schema(manifest: Manifest) -> None:
    found = text(manifest)
    assert parse(found) == manifest
    assert found.isascii()
    assert found.replace("\n", "").isprintable()
    assert valid(json.loads(found))


@given(MANIFESTS)
def test_the_content_digest_is_of_ascii_lines_one_a_tensor(manifest: Manifest) -> None:
    lines = content_bytes(reversed(manifest.tensors)).decode("ascii").splitlines()
    assert lines[0] == "ckpt-tools content 1"
    assert [tuple(json.loads(line)) for line in lines[1:]] == [
        (name, dtype.label, list(shape), digest) for name, dtype, shape, digest in manifest.tensors
    ]


def test_a_manifest_is_the_same_on_every_machine(tmp_path: Path) -> None:
    copy = shutil.copytree(FIXTURES / "normal", tmp_path / "normal")
    (copy / "model.safetensors").touch()
    first, second = (
        text(api.manifest(str(where), sha256=True).manifest)
        for where in (FIXTURES / "normal", copy)
    )
    assert first == second
    assert str(ROOT) not in first


def test_files_are_what_their_digests_say() -> None:
    found = {
        file.path: file
        for file in api.manifest(str(FIXTURES / "normal"), sha256=True).manifest.files
    }
    assert set(found) == {path.name for path in (FIXTURES / "normal").iterdir()}
    for name, file in found.items():
        data = (FIXTURES / "normal" / name).read_bytes()
        told = (
            data[: 8 + int.from_bytes(data[:8], "little")] if name == "model.safetensors" else data
        )
        assert file == FileDigest(
            name,
            len(data),
            blake3(told).hexdigest(),
            hashlib.sha256(data).hexdigest(),
            name == "model.safetensors",
        )


# --- manifests that are none ----------------------------------------------------------------------


GOOD: dict[str, Any] = {
    "version": 1, "content": "0" * 64, "written_from": "x", "whole": True,
    "files": {"a/b": {"size": 1, "blake3": "0" * 64}},
    "tensors": {"a/b": {"dtype": "F32", "shape": [1], "blake3": "0" * 64}},
}  # fmt: skip


def edited(*path: str, value: Any) -> str:
    """Return a good manifest with something else at `path`; with None, nothing."""
    document = json.loads(json.dumps(GOOD))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("manifest", "place", "words"),
    [
        ("", "", "is empty"),
        ("[]", "", "expected an object"),
        ("{}", "", "missing field 'content'"),
        ('{"version":1,"version":1}', "", "stands more than once"),
        (edited("version", value=2), "/version", "unsupported version 2, expected 1"),
        (edited("version", value=True), "/version", "unsupported version true, expected 1"),
        (edited("content", value="0" * 63), "/content", "expected a digest"),
        (edited("content", value="A" * 64), "/content", "expected a digest"),
        (edited("content", value=None), "", "missing field 'content'"),
        (edited("whole", value=1), "/whole", "expected true or false"),
        (edited("written_from", value=1), "/written_from", "expected a string"),
        (edited("more", value=1), "", "unknown field 'more'"),
        (edited("files", value=[]), "/files", "expected an object"),
        (edited("files", "a/b", value=1), "/files/a~1b", "expected an object"),
        (edited("files", "a/b", "size", value=-1), "/files/a~1b/size", "expected an integer"),
        (edited("files", "a/b", "size", value=True), "/files/a~1b/size", "expected an integer"),
        (
            edited("files", "a/b", "header", value="0" * 64),
            "/files/a~1b",
            "unknown field 'blake3'",
        ),
        (edited("files", "a/b", "sha256", value="0"), "/files/a~1b/sha256", "expected a digest"),
        (edited("tensors", value=None), "", "missing field 'tensors'"),
        (
            edited("tensors", "a/b", "dtype", value="F33"),
            "/tensors/a~1b/dtype",
            "expected one of BOOL",
        ),
        (edited("tensors", "a/b", "shape", value=3), "/tensors/a~1b/shape", "expected a list"),
        (
            edited("tensors", "a/b", "shape", value=[1.5]),
            "/tensors/a~1b/shape/0",
            "expected an integer",
        ),
        (
            edited("tensors", "a/b", "blake3", value="0" * 65),
            "/tensors/a~1b/blake3",
            "expected a digest",
        ),
        (
            edited("tensors", "a/b", "blake3", value="0" * 64 + "\n"),
            "/tensors/a~1b/blake3",
            "expected a digest",
        ),
    ],
)
def test_what_is_no_manifest_is_told_with_the_place(
    manifest: str, place: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    path.write_text(manifest)
    with pytest.raises(ManifestInvalid) as raised:
        manifest_build.read_manifest(str(path))
    assert (raised.value.path, raised.value.subject) == (str(path), place)
    assert words in str(raised.value)
    assert "; " in str(raised.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS | st.just("0" * 64),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner),
    ),
    st.data(),
)
def test_any_json_in_the_place_of_another_is_read_or_refused_as_the_schema_does(
    value: Any, data: st.DataObject
) -> None:
    paths = [
        ("files",),
        ("tensors",),
        ("files", "a/b"),
        ("tensors", "a/b"),
        *((key,) for key in GOOD),
        *(("tensors", "a/b", key) for key in GOOD["tensors"]["a/b"]),
    ]
    document = edited(*data.draw(st.sampled_from(paths)), value=value if value is not None else [])
    try:
        parse(document)
    except ManifestInvalid:
        assert not valid(json.loads(document) | {"$schema": "ckpt-tools/manifest.schema.json"})
    else:
        assert valid(json.loads(document) | {"$schema": "ckpt-tools/manifest.schema.json"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"F32"', '"BF16"'),
        ('"shape": [3]', '"shape": [4]'),
        ('"blake3": "5a58033f', '"blake3": "5a58033e'),
        ("action_in", "action_on"),
    ],
)
def test_a_manifest_that_was_edited_is_told(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    made = text(api.manifest(str(FIXTURES / "normal")).manifest)
    assert old in made
    path.write_text(made.replace(old, new, 1))
    with pytest.raises(
        ManifestInvalid,
        match=(
            r"m.json: /content: does not match the listed tensors: the file was edited or"
            r" damaged; write it"
        ),
    ):
        manifest_build.read_manifest(str(path))


# --- writing --------------------------------------------------------------------------------------


def test_a_manifest_is_written_over_an_older_one_and_over_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    for where in ("normal", "reflow"):
        found = api.manifest(str(FIXTURES / where), write=str(path)).manifest
        assert path.read_text() == text(found)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.json"]
    path.write_text("{}")
    with pytest.raises(
        ManifestInvalid,
        match=(
            r"m.json: already exists and is not a manifest: missing field 'content'; choose"
            r" another file"
        ),
    ):
        api.manifest(str(FIXTURES / "normal"), write=str(path))
    assert path.read_text() == "{}"


def test_what_cannot_be_written_is_told_before_anything_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(digests, "digest_files", never)
    monkeypatch.setattr(manifest_build, "digest_files", never)
    with pytest.raises(Unwritable, match="the folder does not exist"):
        api.manifest(str(FIXTURES / "normal"), write=str(tmp_path / "no" / "m.json"))
    with pytest.raises(NotAFile, match="is a folder"):
        api.manifest(str(FIXTURES / "normal"), write=str(tmp_path))


def test_a_manifest_inside_the_checkpoint_is_no_part_of_it(tmp_path: Path) -> None:
    folder = shutil.copytree(FIXTURES / "normal", tmp_path / "normal")
    path = str(folder / "m.json")
    before = text(api.manifest(str(folder)).manifest)
    assert text(api.manifest(str(folder), write=path).manifest) == before == Path(path).read_text()
    assert text(api.manifest(str(folder), write=path).manifest) == before
    assert api.check_manifest(str(folder), path).same


# --- what is in the folder ------------------------------------------------------------------------


def nested(folder: Path) -> None:
    (folder / "assets" / "deep").mkdir(parents=True)
    (folder / "assets" / "deep" / "vocab.txt").write_text("a")
    for ignored in (".git", ".cache/huggingface", "assets/.git"):
        (folder / ignored).mkdir(parents=True)
        (folder / ignored / "config").write_text("x")
    (folder / ".cache" / "mine").write_text("y")


def test_files_below_count_and_those_of_git_and_of_the_client_do_not(tmp_path: Path) -> None:
    folder = shutil.copytree(FIXTURES / "language-model", tmp_path / "m")
    nested(folder)
    found = [file.path for file in api.manifest(str(folder)).manifest.files]
    assert found == sorted(
        {".cache/mine", "assets/deep/vocab.txt", *os.listdir(FIXTURES / "language-model")}
    )


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "links"
    folder.mkdir()
    for path in (FIXTURES / "normal").iterdir():
        (folder / path.name).symlink_to(path)
    assert (
        api.manifest(str(folder)).manifest._replace(written_from="normal")
        == api.manifest(str(FIXTURES / "normal")).manifest
    )


def change(act: Callable[[Path], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        copy = shutil.copytree(FIXTURES / "normal", folder / "normal")
        act(copy)
        return copy

    return build


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (
            change(lambda folder: os.mkfifo(folder / "pipe")),
            NotAFile,
            "normal/pipe: is a named pipe, not a file; ",
        ),
        (
            change(lambda folder: os.mkfifo(folder / "sub.safetensors")),
            CkptError,
            "is a named pipe, not a file; ",
        ),
        (
            change(lambda folder: (folder / "gone").symlink_to("nowhere")),
            PathNotFound,
            "normal/gone: is a broken link; ",
        ),
        (
            change(lambda folder: (folder / "loop").symlink_to(folder)),
            NotAFile,
            "normal/loop: a symbolic link to a folder; ",
        ),
        (
            change(lambda folder: (folder / os.fsdecode(b"\xff")).write_text("")),
            NotAFile,
            "the file name is not UTF-8; rename it",
        ),
        (lambda folder: folder / "none", PathNotFound, "no such file or directory; "),
        (lambda _: Path("hf://me/policy"), CkptError, "hf:/me/policy: no such file or directory"),
    ],
)
def test_what_cannot_be_hashed_is_told(
    build: Callable[[Path], Path], kind: type[CkptError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as raised:
        api.manifest(str(build(tmp_path)))
    assert words in str(raised.value)


def test_a_name_on_the_hub_is_told_how_to_go_on() -> None:
    with pytest.raises(
        RemoteNotSupported,
        match=(
            r"hf://me/policy@v1: is a Hub repository, but this command needs local files;"
            r" download it first: hf download me/policy --rev"
        ),
    ):
        api.manifest("hf://me/policy@v1")


def test_a_file_that_is_replaced_after_the_headers_were_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = change(lambda _: None)(tmp_path)
    reading = api.read

    def meddling(where: str) -> Any:
        found = reading(where)
        shutil.copy(FIXTURES / "normal" / "model.safetensors", folder / "new")
        (folder / "new").replace(folder / "model.safetensors")
        return found

    monkeypatch.setattr(manifest_build, "read", meddling)
    with pytest.raises(ChangedDuringRead, match=r"model.safetensors: changed while it was read"):
        api.manifest(str(folder))


def test_half_a_checkpoint_has_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "model-00002-of-00003.safetensors").write_bytes(
        (FIXTURES / "sharded" / "model-00002-of-00003.safetensors").read_bytes()
    )
    with pytest.raises(ShardMissing):
        api.manifest(str(tmp_path))
