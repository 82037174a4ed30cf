"""Laws of the safetensors header codec, with the `safetensors` library (0.8) as the oracle.

round trip   decode(encode(tensors, metadata)) == (tensors, metadata), for all 22 dtypes, any names,
             empty tensors and scalars
alignment    an encoded header and its length prefix fill a multiple of 8 bytes
layout       layout keeps every tensor apart from its offsets, leaves no gap, and does not depend on
             the input order
writer       encode(layout(tensors)) is byte for byte what the reference writes
order        Dtype lists the reference's dtypes in the reference's order
verdict      any bytes decode or raise FormatError
lenient      `lenient` accepts exactly what the reference accepts: valid headers, mutated files,
             arbitrary bytes, numbers at the limits of a double
strict       without `lenient` a subset is accepted, with the same result, and a SpecificationError
             is raised for the rest of what the reference accepts
agreement    what both accept has the same names, dtypes, shapes, bytes and metadata
names        encode never drops a tensor or the metadata silently
"""

from __future__ import annotations

import ctypes
import json
import re
from math import prod
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, TensorSpec, deserialize, safe_open, serialize

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.errors import CkptError, FormatError, SpecificationError
from tests.support.header_strategies import (
    ENTRY,
    NASTY_JSON,
    as_file,
    files,
    loose_headers,
    metadata_pairs,
    names,
    tensor_lists,
)

if TYPE_CHECKING:
    from pathlib import Path


# The spelling that TensorSpec takes; the reference's writer knows no F6.
WRITABLE = {
    Dtype.BOOL: "bool",
    Dtype.F4: "float4_e2m1fn_x2",
    Dtype.U8: "uint8",
    Dtype.I8: "int8",
    Dtype.F8_E5M2: "float8_e5m2",
    Dtype.F8_E4M3: "float8_e4m3fn",
    Dtype.F8_E8M0: "float8_e8m0fnu",
    Dtype.F8_E4M3FNUZ: "float8_e4m3fnuz",
    Dtype.F8_E5M2FNUZ: "float8_e5m2fnuz",
    Dtype.I16: "int16",
    Dtype.U16: "uint16",
    Dtype.F16: "float16",
    Dtype.BF16: "bfloat16",
    Dtype.I32: "int32",
    Dtype.U32: "uint32",
    Dtype.F32: "float32",
    Dtype.C64: "complex64",
    Dtype.F64: "float64",
    Dtype.I64: "int64",
    Dtype.U64: "uint64",
}


def reference(data: bytes) -> dict[str, Any] | None:
    """Return what the reference reads in `data`, None where it refuses."""
    try:
        return dict(deserialize(data))  # type: ignore[no-untyped-call]  # the library's stub leaves it untyped
    except SafetensorError:
        return None


def decode(data: bytes, *, lenient: bool) -> header.Header:
    """Return what this package reads in `data`."""
    length = header.header_length(data[:8], len(data))
    return header.decode(data[8 : 8 + length], len(data) - 8 - length, lenient=lenient)


def decoded_or_error(data: bytes, *, lenient: bool) -> header.Header | FormatError:
    try:
        return decode(data, lenient=lenient)
    except FormatError as error:
        return error


def assert_agreement(data: bytes) -> None:
    """Assert every law that relates our two verdicts on `data` to the reference's."""
    expected, lenient, strict = (
        reference(data),
        decoded_or_error(data, lenient=True),
        decoded_or_error(data, lenient=False),
    )
    if expected is None:
        assert isinstance(lenient, FormatError)
        assert isinstance(strict, FormatError)
        return
    assert isinstance(lenient, header.Header), lenient
    assert strict == lenient or isinstance(strict, SpecificationError), strict
    payload = data[8 + int.from_bytes(data[:8], "little") :]
    read = {
        tensor.name: (tensor.dtype.label, list(tensor.shape), payload[tensor.start : tensor.end])
        for tensor in lenient.tensors
    }
    assert read == {
        name: (entry["dtype"], list(entry["shape"]), bytes(entry["data"]))
        for name, entry in expected.items()
    }


def reference_bytes(
    tensors: tuple[Tensor, ...], metadata: tuple[tuple[str, str], ...] | None
) -> bytes:
    """Return the file that the reference writes for `tensors`, their payload all zeros."""
    zeros = ctypes.create_string_buffer(max((tensor.nbytes for tensor in tensors), default=0) + 1)
    specs = {
        # An F4 tensor is given as torch stores it, two values a byte: the reference doubles the
        # last dimension.
        tensor.name: TensorSpec(
            dtype=WRITABLE[tensor.dtype],
            shape=[*tensor.shape[:-1], tensor.shape[-1] // 2]
            if tensor.dtype is Dtype.F4
            else list(tensor.shape),
            data_ptr=ctypes.addressof(zeros),
            data_len=tensor.nbytes,
        )
        for tensor in tensors
    }
    return serialize(specs, None if metadata is None else dict(metadata))


@given(tensor_lists(), metadata_pairs)
def test_decode_reads_back_what_encode_writes(
    tensors: tuple[Tensor, ...], metadata: tuple[tuple[str, str], ...] | None
) -> None:
    encoded = header.encode(tensors, metadata)
    payload = tensors[-1].end if tensors else 0
    assert header.decode(encoded[8:], payload, lenient=True) == (tensors, metadata)
    if not any("\0" in tensor.name for tensor in tensors):
        assert header.decode(encoded[8:], payload) == (tensors, metadata)


@given(tensor_lists(), metadata_pairs)
def test_an_encoded_header_is_a_multiple_of_eight_bytes_with_its_length(
    tensors: tuple[Tensor, ...], metadata: tuple[tuple[str, str], ...] | None
) -> None:
    encoded = header.encode(tensors, metadata)
    assert len(encoded) % 8 == 0
    assert header.header_length(encoded[:8], len(encoded)) == len(encoded) - 8


@pytest.mark.parametrize("dtype", Dtype, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (8,), (2, 4), (0, 3), (1, 1, 8)], ids=str)
def test_every_dtype_has_the_size_of_the_reference(dtype: Dtype, shape: tuple[int, ...]) -> None:
    bits = prod(shape) * dtype.bits
    size = -(-bits // 8)
    data = as_file(
        json.dumps({"a": {"dtype": dtype.label, "shape": shape, "data_offsets": (0, size)}}),
        bytes(size),
    )
    assert (reference(data) is not None) == (bits % 8 == 0)
    assert_agreement(data)


@given(tensor_lists(), st.randoms(use_true_random=False))
def test_layout_keeps_every_tensor_without_gaps_in_any_input_order(
    tensors: tuple[Tensor, ...], random: Any
) -> None:
    shuffled = list(tensors)
    random.shuffle(shuffled)
    placed = header.layout(shuffled)
    assert placed == header.layout(tensors)
    assert sorted((t.name, t.dtype.label, t.shape, t.nbytes) for t in placed) == sorted(
        (t.name, t.dtype.label, t.shape, t.nbytes) for t in tensors
    )
    assert [tensor.start for tensor in placed] == [0, *(tensor.end for tensor in placed)][
        : len(placed)
    ]


@given(
    tensor_lists(tuple(WRITABLE)),
    st.none()
    | st.dictionaries(names, st.text(max_size=8), max_size=1).map(
        lambda pairs: tuple(pairs.items())
    ),
)
def test_layout_and_encode_write_what_the_reference_writes(
    tensors: tuple[Tensor, ...], metadata: tuple[tuple[str, str], ...] | None
) -> None:
    whole = tuple(
        tensor
        for tensor in tensors
        if tensor.dtype is not Dtype.F4 or (tensor.shape and tensor.shape[-1] % 2 == 0)
    )
    # No tensors and empty metadata: the reference (0.8.0) writes `{},"__metadata__":{}}`, which it
    # does not read itself.
    assume(whole or metadata != ())
    placed = header.layout(whole)
    payload = bytes(placed[-1].end if placed else 0)
    assert header.encode(placed, metadata) + payload == reference_bytes(whole, metadata)


def test_dtypes_are_in_the_order_of_the_reference() -> None:
    with pytest.raises(SafetensorError) as refusal:
        deserialize(as_file('{"a":{"dtype":"F99","shape":[],"data_offsets":[0,0]}}'))  # type: ignore[no-untyped-call]  # as above
    listed = re.findall(r"`(\w+)`", str(refusal.value).partition("expected one of")[2])
    assert listed == [dtype.label for dtype in Dtype]


@given(st.binary(max_size=64))
@example(b"")
@example(b"\xff" * 8)
@example(bytes(8))
@example((1).to_bytes(8, "little") + b"{")
def test_any_bytes_decode_or_raise_a_format_error(data: bytes) -> None:
    assert_agreement(data)


@given(st.binary(max_size=40))
@settings(max_examples=300)
def test_any_header_bytes_get_the_reference_verdict(text: bytes) -> None:
    assert_agreement(as_file(text))


@given(loose_headers())
@settings(max_examples=200)
def test_headers_in_every_spelling_get_the_reference_verdict(drawn: tuple[bytes, int]) -> None:
    text, payload = drawn
    assert_agreement(as_file(text, bytes(payload)))


@given(files())
@settings(max_examples=500)
def test_tampered_files_get_the_reference_verdict(data: bytes) -> None:
    assert_agreement(data)


@pytest.mark.parametrize("token", NASTY_JSON, ids=lambda token: repr(token[:24]))
def test_a_nasty_token_anywhere_in_a_header_gets_the_reference_verdict(token: str) -> None:
    for before, after in (
        ("", ""),
        ("", "{}"),
        ("{}", ""),
        ("{", "}"),
        (f'{{"a":{ENTRY}', "}"),
        (f'{{"a":{ENTRY},', "}"),
        ('{"a":', "}"),
        (f"{{{token}:", f"{ENTRY}}}"),
        ('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":', "}}"),
        ('{"a":{"dtype":', ',"shape":[0],"data_offsets":[0,0]}}'),
        ('{"a":{"dtype":"U8","shape":', ',"data_offsets":[0,0]}}'),
        ('{"a":{"dtype":"U8","shape":[', ',0],"data_offsets":[0,0]}}'),
        ('{"a":{"dtype":"U8","shape":[0],"data_offsets":[', ",0]}}"),
        ('{"a":{"dtype":"U8","shape":[0],"data_offsets":', "}}"),
        ('{"__metadata__":', "}"),
        ('{"__metadata__":{"k":', "}}"),
    ):
        assert_agreement(as_file(before + token + after))


@pytest.mark.parametrize(
    "number",
    [
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1.79769313486231596e308",
        "17976931348623157" + "0" * 292,
        str(2**1024 - 2**970 - 1),
        str(2**1024 - 1),
        str(-(2**1024) + 1),
        "179769313486231570000e288",
        "1797693134862315799999999999e281",
        "1" + "0" * 308,
        "1" + "0" * 309,
    ],
    ids=lambda number: f"{number[:24]}-{len(number)}",
)
def test_a_number_at_the_limits_of_a_double_gets_the_reference_verdict(number: str) -> None:
    # The reference's parser multiplies a 64-bit significand by a power of ten, so it overflows a
    # little before the largest double.
    assert_agreement(
        as_file(f'{{"a":{{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":{number}}}}}')
    )


@given(tensor_lists(), metadata_pairs)
@settings(max_examples=50)
def test_the_reference_reads_the_metadata_that_encode_writes(
    tmp_path_factory: pytest.TempPathFactory,
    tensors: tuple[Tensor, ...],
    metadata: tuple[tuple[str, str], ...] | None,
) -> None:
    path: Path = tmp_path_factory.mktemp("metadata") / "a.safetensors"
    path.write_bytes(header.encode(tensors, metadata) + bytes(tensors[-1].end if tensors else 0))
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata() == (None if metadata is None else dict(metadata))
        assert set(opened.keys()) == {tensor.name for tensor in tensors}


@pytest.mark.parametrize(
    "metadata", [None, (("kept", "yes"),)], ids=["without metadata", "with metadata"]
)
def test_encode_rejects_a_tensor_named_like_the_metadata(
    metadata: tuple[tuple[str, str], ...] | None,
) -> None:
    with pytest.raises((CkptError, ValueError), match="__metadata__"):
        header.encode([Tensor("__metadata__", Dtype.U8, (1,), "", 0, 1)], metadata)


def test_encode_rejects_two_tensors_of_one_name() -> None:
    with pytest.raises((CkptError, ValueError), match="twice"):
        header.encode(
            [Tensor("twice", Dtype.U8, (1,), "", 0, 1), Tensor("twice", Dtype.U8, (1,), "", 1, 2)]
        )
