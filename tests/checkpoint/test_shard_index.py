"""The shard index.

One case for every way in which it can be wrong, alone or against its shards, and the spellings that
leave the folder.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import errors
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import ShardIndex, Tensor, TensorFile
from ckpt_tools.checkpoint.shard_index import decode, disagreements, shard_family, shards
from ckpt_tools.storage.paths import leaves_folder

ONE, TWO, THREE = (f"model-{number:05}-of-00002.safetensors" for number in (1, 2, 3))


def index(**weight_map: str) -> ShardIndex:
    """Return an index that places each named tensor in a shard."""
    return ShardIndex(
        path="model.safetensors.index.json",
        size=0,
        weight_map=tuple(weight_map.items()),
        total_size=None,
    )


def shard(path: str, *names: str) -> TensorFile:
    """Return a shard that holds the named tensors."""
    tensors = tuple(Tensor(name, Dtype.U8, (0,), path, 0, 0) for name in names)
    return TensorFile(path=path, size=0, payload_start=0, tensors=tensors, metadata=None)


def test_an_index_keeps_the_order_of_its_text_and_the_total_it_claims() -> None:
    text = json.dumps(
        {"metadata": {"total_size": 12}, "weight_map": {"b": TWO, "a": ONE, "c": TWO}}
    )
    read = decode(text, "i.json")
    assert read == ShardIndex(
        path="i.json",
        size=len(text),
        weight_map=(("b", TWO), ("a", ONE), ("c", TWO)),
        total_size=12,
    )
    assert shards(read) == (TWO, ONE)


@pytest.mark.parametrize("metadata", [None, {}, [], {"total_size": "12"}, {"total_size": None}])
def test_an_index_that_claims_no_total_has_none(metadata: object) -> None:
    assert (
        decode(json.dumps({"metadata": metadata, "weight_map": {"a": ONE}}), "i.json").total_size
        is None
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "has no weight_map"),
        ('{"weight_map":[]}', "weight_map is a list, not an object"),
        ('{"weight_map":"a"}', "weight_map is a string, not an object"),
        ('{"weight_map":{"w":1}}', 'tensor "w": the index lists no file for it'),
        ('{"weight_map":{"w":null}}', 'tensor "w": the index lists no file for it'),
        ('{"weight_map":{"w":""}}', 'tensor "w": the index lists no file for it'),
    ],
)
def test_an_index_of_another_structure_is_rejected(text: str, words: str) -> None:
    with pytest.raises(errors.IndexInvalid) as refusal:
        decode(text, "i.json")
    assert type(refusal.value) is errors.IndexInvalid
    assert (
        str(refusal.value)
        == f"{words}; the shards and the index do not belong together: fetch or save them again"
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", errors.JsonSyntax),
        ("[]", errors.JsonNotObject),
        ('{"weight_map":{},"weight_map":{}}', errors.JsonKeyRepeated),
        (f'{{"weight_map":{{"a":"{ONE}","a":"{TWO}"}}}}', errors.JsonKeyRepeated),
    ],
)
def test_an_index_is_strict_json(text: str, error: type[errors.JsonInvalid]) -> None:
    with pytest.raises(error):
        decode(text, "i.json")


OUTSIDE = (
    "..",
    "../a.safetensors",
    "../../etc/passwd",
    "sub/../../a",
    "sub/..",
    "a/../b",
    "/abs",
    "//server/share",
    "/",
    "C:\\x",
    "c:x",
    "C:/x",
    "\\x",
    "\\\\server\\share",
    "..\\a",
    "sub\\..\\..\\a",
    "a\0b",
    "\0",
)
INSIDE = (
    ONE,
    "sub/a.safetensors",
    "..a",
    "a..",
    "a..b/c",
    ".../a",
    ".hidden",
    "./a",
    "é/\U0001f600",
    "a b",
    "cc:x",
)


@pytest.mark.parametrize("path", OUTSIDE, ids=repr)
def test_a_shard_outside_the_folder_is_rejected_on_every_operating_system(path: str) -> None:
    assert leaves_folder(path)
    with pytest.raises(errors.PathEscapes) as refusal:
        decode(json.dumps({"weight_map": {"model.w": path}}), "i.json")
    assert refusal.value.subject == 'tensor "model.w"'
    assert "outside the folder" in str(refusal.value)
    assert "do not use this checkpoint" in str(refusal.value)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("path", INSIDE, ids=repr)
def test_a_shard_inside_the_folder_is_accepted(path: str) -> None:
    assert not leaves_folder(path)
    assert shards(decode(json.dumps({"weight_map": {"w": path}}), "i.json")) == (path,)


@given(
    st.lists(
        st.sampled_from(("..", ".", "", "a", "C:", "...", "/", "\\")), min_size=1, max_size=6
    ).map("".join)
)
def test_an_accepted_path_is_relative_without_parents_on_any_operating_system(path: str) -> None:
    if not leaves_folder(path):
        for pure in (PurePosixPath(path), PureWindowsPath(path)):
            assert not pure.is_absolute()
            assert not pure.drive
            assert ".." not in pure.parts


@pytest.mark.parametrize(
    ("first", "second"), [("a", "./a"), ("sub/a", "sub//a"), ("sub/./a", "sub/a"), ("./a", "././a")]
)
def test_one_shard_in_two_spellings_is_rejected(first: str, second: str) -> None:
    with pytest.raises(
        errors.ShardListedTwice, match=f"lists one shard as '{first}' and as '{second}'"
    ):
        decode(json.dumps({"weight_map": {"v": first, "w": second, "x": first}}), "i.json")


def test_an_index_and_shards_that_agree_have_no_disagreement() -> None:
    files = [shard(ONE, "a", "b"), shard(TWO, "c")]
    assert (
        disagreements(
            index(a=ONE, b=ONE, c=TWO),
            files,
            [ONE, TWO, "config.json", "other.safetensors", "model-00001-of-00003.safetensors"],
        )
        == ()
    )


def test_a_shard_not_in_the_index_is_an_orphan() -> None:
    (found,) = disagreements(index(a=ONE), [shard(ONE, "a")], [ONE, TWO, "other.safetensors"])
    assert type(found) is errors.ShardOrphan
    assert str(found).startswith(f"{TWO}: is not listed in the index; ")


def test_a_tensor_not_in_the_index_is_reported() -> None:
    (found,) = disagreements(index(a=ONE), [shard(ONE, "a", "extra")], [ONE])
    assert type(found) is errors.TensorNotInIndex
    assert str(found).startswith(f'tensor "extra": is in {ONE}, but not in the index; ')


def test_a_tensor_in_no_shard_is_reported() -> None:
    (found,) = disagreements(index(a=ONE, lost=TWO), [shard(ONE, "a"), shard(TWO)], [ONE, TWO])
    assert type(found) is errors.TensorNotInShard
    assert str(found).startswith(f'tensor "lost": is listed in {TWO}, but is in no shard; ')


def test_a_tensor_in_another_shard_than_the_index_says_is_reported() -> None:
    (found,) = disagreements(
        index(a=ONE, b=ONE, c=TWO), [shard(ONE, "a"), shard(TWO, "b", "c")], [ONE, TWO]
    )
    assert type(found) is errors.TensorNotInShard
    assert str(found).startswith(f'tensor "b": is listed in {ONE}, but is in {TWO}; ')


def test_a_tensor_in_two_shards_is_reported_with_both() -> None:
    found = disagreements(index(a=ONE, b=TWO), [shard(ONE, "a"), shard(TWO, "a", "b")], [ONE, TWO])
    doubles = [error for error in found if type(error) is errors.TensorInTwoShards]
    assert [str(error).partition(";")[0] for error in doubles] == [
        f'tensor "a": is in {ONE} and {TWO}'
    ]


@pytest.mark.parametrize(
    ("path", "family"),
    [
        (ONE, ("model", 2)),
        ("diffusion.model-00012-of-00345.safetensors", ("diffusion.model", 345)),
        ("sub/model-00001-of-00002.safetensors", ("sub/model", 2)),
        ("model.safetensors", None),
        ("model-1-of-2.safetensors", None),
        ("model-00001-of-00002.safetensors.index.json", None),
        ("-00001-of-00002.safetensors", None),
    ],
)
def test_a_shard_is_recognized_by_its_name(path: str, family: tuple[str, int] | None) -> None:
    assert shard_family(path) == family
