"""The text of a manifest: it is deterministic, is read back, and errors name their location."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.errors import (
    ManifestInvalid,
)
from ckpt_tools.manifest import build as manifest_build
from ckpt_tools.manifest.format import content_bytes, parse, text
from ckpt_tools.manifest.model import FileDigest, Manifest, TensorDigest
from ckpt_tools.storage import schemas

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


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
def test_a_manifest_round_trips_and_matches_the_schema(manifest: Manifest) -> None:
    found = text(manifest)
    assert parse(found.encode()) == manifest
    assert found.isascii()
    assert found.replace("\n", "").isprintable()
    assert valid(json.loads(found))


@given(MANIFESTS)
def test_the_content_digest_hashes_one_ascii_line_per_tensor(manifest: Manifest) -> None:
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


def test_file_digests_match_the_files() -> None:
    found = {
        file.path: file
        for file in api.manifest(str(FIXTURES / "normal"), sha256=True).manifest.files
    }
    assert set(found) == {path.name for path in (FIXTURES / "normal").iterdir()}
    for name, file in found.items():
        data = (FIXTURES / "normal" / name).read_bytes()
        hashed = (
            data[: 8 + int.from_bytes(data[:8], "little")] if name == "model.safetensors" else data
        )
        assert file == FileDigest(
            name,
            len(data),
            blake3(hashed).hexdigest(),
            hashlib.sha256(data).hexdigest(),
            name == "model.safetensors",
        )


# --- manifests that are none ----------------------------------------------------------------------


VALID: dict[str, Any] = {
    "version": 1, "content": "0" * 64, "written_from": "x", "whole": True,
    "files": {"a/b": {"size": 1, "blake3": "0" * 64}},
    "tensors": {"a/b": {"dtype": "F32", "shape": [1], "blake3": "0" * 64}},
}  # fmt: skip


def edited(*path: str, value: Any) -> str:
    """Return a valid manifest with `value` at `path`; None removes the key."""
    document = json.loads(json.dumps(VALID))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("manifest", "location", "words"),
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
def test_an_invalid_manifest_is_rejected_with_its_location(
    manifest: str, location: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    path.write_text(manifest)
    with pytest.raises(ManifestInvalid) as raised:
        manifest_build.read_manifest(str(path))
    assert (raised.value.path, raised.value.subject) == (str(path), location)
    assert words in str(raised.value)
    assert "; " in str(raised.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS | st.just("0" * 64),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner),
    ),
    st.data(),
)
def test_the_reader_and_the_schema_accept_the_same_mutations(
    value: Any, data: st.DataObject
) -> None:
    paths = [
        ("files",),
        ("tensors",),
        ("files", "a/b"),
        ("tensors", "a/b"),
        *((key,) for key in VALID),
        *(("tensors", "a/b", key) for key in VALID["tensors"]["a/b"]),
    ]
    document = edited(*data.draw(st.sampled_from(paths)), value=value if value is not None else [])
    try:
        parse(document.encode())
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
def test_an_edited_manifest_is_rejected(old: str, new: str, tmp_path: Path) -> None:
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
