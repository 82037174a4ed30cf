"""One case for every error of a safetensors header: bytes, error class, message.

The reference library reads the same bytes: it rejects those of a HeaderError and accepts those of a
SpecificationError.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest
from safetensors import SafetensorError, deserialize

from ckpt_tools import errors
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.read import read

if TYPE_CHECKING:
    from pathlib import Path

U8 = '{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'


def as_file(text: bytes | str, payload: int = 0) -> bytes:
    """Return a file with this header text and `payload` zero bytes."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + bytes(payload)


def entry(
    dtype: str = '"U8"',
    shape: str = "[2]",
    offsets: str = "[0,2]",
    payload: int = 2,
    name: str = "a",
) -> bytes:
    """Return a file with one tensor."""
    return as_file(
        f'{{"{name}":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}', payload
    )


def two(first: str, second: str, payload: int = 4) -> bytes:
    """Return a file with two U8 tensors of two bytes, at these offsets."""
    return as_file(
        f'{{"a":{{"dtype":"U8","shape":[2],"data_offsets":{first}}},'
        f'"b":{{"dtype":"U8","shape":[2],"data_offsets":{second}}}}}',
        payload,
    )


class Case(NamedTuple):
    """A file, the error it raises, and what its message must have.

    The message names the tensor (or other part), and has words that say what is wrong.
    """

    error: type[errors.FormatError]
    data: bytes
    subject: str
    words: str


CASES = (
    Case(errors.HeaderTooSmall, b"1234567", "", "has 7 bytes, too few for a safetensors file"),
    Case(errors.HeaderTooSmall, b"", "", "has 0 bytes"),
    Case(
        errors.HeaderTooLarge,
        (100_000_001).to_bytes(8, "little") + b"{}",
        "",
        "100,000,001 bytes, more than the limit of 100,000,000",
    ),
    Case(errors.HeaderTooLarge, (1 << 63).to_bytes(8, "little"), "", "9,223,372,036,854,775,808"),
    Case(
        errors.HeaderPastEnd,
        (3).to_bytes(8, "little") + b"{}",
        "",
        "states a header of 3 bytes, but the file has 10",
    ),
    Case(errors.HeaderNotUtf8, as_file(b'{"\xff":1}'), "", "header byte 2 is not UTF-8"),
    Case(errors.HeaderNotJson, as_file('{"a":'), "", "not JSON: line 1, column 6"),
    Case(errors.HeaderNotJson, as_file("\ufeff{}"), "", "not JSON"),
    Case(errors.HeaderNotJson, as_file(""), "", "not JSON"),
    Case(errors.HeaderNotJson, as_file("[" * 128 + "]" * 128), "", "nested deeper than 127"),
    Case(errors.HeaderNotJson, as_file('{"a":NaN}'), "", "NaN is not JSON"),
    Case(errors.HeaderNotObject, as_file("[]"), "", "header is a list, not an object"),
    Case(
        errors.MetadataInvalid,
        as_file('{"__metadata__":[]}'),
        "__metadata__",
        "is a list, not an object",
    ),
    Case(
        errors.MetadataInvalid,
        as_file('{"__metadata__":{"k":1}}'),
        "__metadata__",
        '"k" is a number, not a string',
    ),
    Case(
        errors.MetadataRepeated,
        as_file('{"__metadata__":{},"__metadata__":{}}'),
        "__metadata__",
        "occurs more than once",
    ),
    Case(
        errors.EntryInvalid,
        as_file('{"a":1}'),
        'tensor "a"',
        "the entry is a number, not an object",
    ),
    Case(
        errors.EntryInvalid, as_file('{"a":["U8",[2]]}'), 'tensor "a"', "the entry is a list of 2"
    ),
    Case(
        errors.FieldMissing,
        as_file('{"a":{"dtype":"U8","shape":[0]}}'),
        'tensor "a"',
        "the entry has no data_offsets",
    ),
    Case(
        errors.FieldRepeated,
        as_file('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'),
        'tensor "a"',
        "has dtype more than once",
    ),
    Case(errors.DtypeUnknown, entry(dtype='"F99"'), 'tensor "a"', 'dtype "F99" is unknown'),
    Case(errors.DtypeUnknown, entry(dtype="8"), 'tensor "a"', "dtype 8 is unknown"),
    Case(errors.ShapeInvalid, entry(shape="2"), 'tensor "a"', "the shape is a number, not a list"),
    Case(
        errors.ShapeInvalid,
        entry(shape="[-2]"),
        'tensor "a"',
        "the shape contains -2, not an integer from 0",
    ),
    Case(errors.ShapeInvalid, entry(shape="[true]"), 'tensor "a"', "the shape contains true"),
    Case(
        errors.ShapeInvalid,
        entry(shape="[18446744073709551616]"),
        'tensor "a"',
        "not an integer from 0 to 2^64-1",
    ),
    Case(
        errors.OffsetsInvalid,
        entry(offsets="[0]"),
        'tensor "a"',
        "data_offsets are [0], not two integers",
    ),
    Case(
        errors.OffsetsInvalid, entry(offsets="[0,2.0]"), 'tensor "a"', "data_offsets are [0, 2.0]"
    ),
    Case(
        errors.OffsetsReversed,
        two("[0,2]", "[2,1]"),
        'tensor "b"',
        "ends at payload byte 1, before it starts at 2",
    ),
    Case(
        errors.PayloadGap,
        two("[0,2]", "[3,5]", 5),
        'tensor "b"',
        "starts at payload byte 3, after a gap: the tensor before it ends at 2",
    ),
    Case(
        errors.PayloadOverlap,
        two("[0,2]", "[1,3]", 3),
        'tensor "b"',
        "starts at payload byte 1, inside the tensor before it, which ends at 2",
    ),
    Case(
        errors.SizeMismatch,
        entry(offsets="[0,3]", payload=3),
        'tensor "a"',
        "has 3 bytes, but U8 [2] needs 2",
    ),
    Case(
        errors.SizeFractional,
        entry(dtype='"F4"', shape="[3]"),
        'tensor "a"',
        "has 12 bits, not a multiple of 8",
    ),
    Case(
        errors.SizeOverflow,
        entry(shape="[4294967296,4294967296,0]"),
        'tensor "a"',
        "has 2^64 bits or more",
    ),
    Case(
        errors.PayloadTruncated,
        entry(payload=1),
        "",
        "is truncated: the header lists 2 payload bytes, the file has 1",
    ),
    Case(errors.PayloadTrailing, entry(payload=5), "", "3 bytes follow the last tensor"),
    Case(
        errors.TensorRepeated,
        as_file(f'{{"a":{U8},"a":{U8}}}', 2),
        'tensor "a"',
        "occurs more than once",
    ),
    Case(
        errors.MetadataKeyRepeated,
        as_file('{"__metadata__":{"k":"1","k":"2"}}'),
        "__metadata__",
        'key "k" occurs more than once',
    ),
    Case(
        errors.MetadataNull,
        as_file('{"__metadata__":null}'),
        "__metadata__",
        "is null, not an object",
    ),
    Case(
        errors.FieldUnknown,
        as_file('{"a":{"x":1,"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        'tensor "a"',
        'an unknown field "x"',
    ),
    Case(
        errors.FieldUnknown,
        as_file('{"a":{"x":1,"x":2,"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        'tensor "a"',
        'an unknown field "x"',
    ),
    Case(
        errors.EntryPositional,
        as_file('{"a":["U8",[0],[0,0]]}'),
        'tensor "a"',
        "the entry is a list, not an object",
    ),
    Case(
        errors.DtypeWrapped,
        entry(dtype='{"U8":null}'),
        'tensor "a"',
        "the dtype U8 is wrapped in an object",
    ),
    Case(errors.NameWithNul, entry(name="a\\u0000b"), 'tensor "a\\u0000b"', "contains a NUL"),
    Case(errors.HeaderIndented, as_file(" {}"), "", "starts with white space instead of {"),
)


def decode(data: bytes, *, lenient: bool = False) -> header.Header:
    """Return what the header of `data` says."""
    length = header.header_length(data[:8], len(data))
    return header.decode(data[8 : 8 + length], len(data) - 8 - length, lenient=lenient)


def concrete(kind: type[errors.FormatError]) -> set[type[errors.FormatError]]:
    """Return the classes below `kind` that have none below them."""
    below = kind.__subclasses__()
    return {leaf for child in below for leaf in concrete(child)} if below else {kind}


def test_every_header_error_has_a_case() -> None:
    assert {case.error for case in CASES} == concrete(errors.HeaderError) | concrete(
        errors.SpecificationError
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.error.__name__}-{case.words[:30]}")
def test_an_invalid_header_raises_its_own_error(case: Case) -> None:
    with pytest.raises(errors.FormatError) as refusal:
        decode(case.data)
    assert type(refusal.value) is case.error
    assert refusal.value.subject == case.subject
    assert case.words in refusal.value.what
    assert refusal.value.next
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.error.__name__}-{case.words[:30]}")
def test_the_reference_rejects_header_errors_and_reads_specification_errors(case: Case) -> None:
    if issubclass(case.error, errors.SpecificationError):
        read_by_reference = deserialize(case.data)  # type: ignore[no-untyped-call]  # the library's stub leaves it untyped
        assert {tensor.name for tensor in decode(case.data, lenient=True).tensors} == {
            name for name, _ in read_by_reference
        }
        return
    with pytest.raises(SafetensorError):
        deserialize(case.data)  # type: ignore[no-untyped-call]  # as above
    with pytest.raises(case.error):
        decode(case.data, lenient=True)


def test_tensor_names_are_printed_with_control_characters_escaped() -> None:
    with pytest.raises(errors.DtypeUnknown) as refusal:
        decode(entry(dtype='"F99"', name="vision.é.\\u001b[2J\\n"))
    assert str(refusal.value).startswith(
        'tensor "vision.é.\\u001b[2J\\n": dtype "F99" is unknown; '
    )


@pytest.mark.parametrize("claimed", [100_000_001, 9_000_000_000, 1 << 63, (1 << 64) - 1])
def test_a_header_longer_than_the_limit_is_rejected_before_it_is_read(
    claimed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(claimed.to_bytes(8, "little"))
    os.truncate(path, 10 << 30)
    lengths = spy_on_reads(monkeypatch)
    with pytest.raises(errors.HeaderTooLarge, match=f"{claimed:,} bytes"):
        read(str(path))
    assert lengths == [8]


def test_a_header_longer_than_the_file_is_rejected_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((90_000_000).to_bytes(8, "little") + b"{}")
    lengths = spy_on_reads(monkeypatch)
    with pytest.raises(
        errors.HeaderPastEnd, match="states a header of 90,000,000 bytes, but the file has 10"
    ):
        read(str(path))
    assert lengths == [8]


def spy_on_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the length of every read that is asked for.

    One of more than a kilobyte is refused.
    """
    lengths: list[int] = []
    pread = os.pread

    def spy(descriptor: int, length: int, offset: int) -> bytes:
        lengths.append(length)
        assert length <= 1024
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", spy)
    return lengths
