"""Strategies for safetensors headers: valid ones in any JSON spelling, and tampered files."""

from __future__ import annotations

import json
import re
from math import prod
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


ENTRY = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
NASTY_NAMES = (
    "",
    "a",
    'quote"',
    "back\\slash",
    "line\nfeed",
    "nul\0",
    "\x7f",
    "\u2028",
    "\ufeff",
    "é",
    "\U0001f600",
    "a/b",
    "a.b.0",
    "dtype",
    "\x1b[2J",
)
NASTY_JSON = (
    *(
        "-0",
        "0",
        "-0.0",
        "1.0",
        "1.",
        ".5",
        "01",
        "+1",
        "1e",
        "1E+2",
        "-",
        "1e308",
        "1e999",
        "-1e999",
        "9" * 400,
        "-" + "9" * 400,
        "0x10",
        "1_0",
    ),
    *(
        str(2**63),
        str(2**64 - 1),
        str(2**64),
        "1e-99999999999",
        "0e99999999999",
        "0." + "0" * 400 + "1e400",
        "1" + "0" * 400 + "e-400",
    ),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        "tru",
        "undefined",
        "'a'",
        "//",
        "/**/",
        ",",
        ":",
        "\ufeff",
        " ",
        "\n",
        "\f",
        "\u00a0",
    ),
    *(
        '""',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud83d\\ude00"',
        '"\\uD83D\\u0041"',
        '"\\\\ud800"',
        '"\t"',
        '"\x7f"',
        '"\\x41"',
        '"\\u12"',
        '"\\/"',
        '"\0"',
    ),
    *(
        '{"F32":null}',
        '{"U8":null}',
        '{"U8":{}}',
        '{"X":null}',
        '["U8"]',
        '"F32"',
        '"F99"',
        "{}",
        "[]",
        "[[]]",
        "[0]",
        "[0,0]",
        "[0,1]",
        "[0,0,0]",
    ),
    *("[" * depth + "]" * depth for depth in (124, 125, 126, 127, 128)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (125, 126, 127)),
    *(
        '"__metadata__"',
        '"__metadata__":null',
        '"__metadata__":{}',
        '"__metadata__":{"a":"b","a":"c"}',
        '"\\u005f_metadata__":{"a":1}',
    ),
    *(
        '["U8",[0],[0,0]]',
        '["U8",[0],[0,0],0]',
        ENTRY,
        f',"a":{ENTRY}',
        '"dtype":"U8"',
        '"shape":[]',
        '"data_offsets":[0,0]',
        '"x":1',
        '"dtype":"U8",',
    ),
)
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+|\s+')
names = st.one_of(st.sampled_from(NASTY_NAMES), st.text(max_size=12)).filter(
    lambda name: name != "__metadata__"
)
metadata_pairs = st.none() | st.dictionaries(names, st.text(max_size=8), max_size=3).map(
    lambda pairs: tuple(pairs.items())
)


def whole_bytes(dtype: Dtype, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape`, with one dimension more where the tensor would end inside a byte."""
    return (*shape, 4) if prod(shape) * dtype.bits % 8 else shape


@st.composite
def tensor_lists(draw: st.DrawFn, dtypes: tuple[Dtype, ...] = tuple(Dtype)) -> tuple[Tensor, ...]:
    """Draw tensors with different names, one after the other from payload byte 0."""
    tensors: list[Tensor] = []
    start = 0
    for name in draw(st.lists(names, max_size=5, unique=True)):
        dtype = draw(st.sampled_from(dtypes))
        shape = whole_bytes(dtype, tuple(draw(st.lists(st.integers(0, 5), max_size=3))))
        end = start + prod(shape) * dtype.bits // 8
        tensors.append(Tensor(name, dtype, shape, "", start, end))
        start = end
    return tuple(tensors)


def spelled(draw: st.DrawFn, text: str) -> str:
    """Return `text` as a JSON string in one of its spellings."""
    if draw(st.booleans()):
        return json.dumps(text, ensure_ascii=draw(st.booleans()))
    return (
        '"'
        + "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H"))
        + '"'
    )


@st.composite
def loose_headers(draw: st.DrawFn) -> tuple[bytes, int]:
    """Draw (header, payload size) that the reference mostly reads.

    Fields in any order, other spellings, blanks, entries as lists, unknown fields.
    """
    blanks = st.sampled_from(("", "", "", " ", "\n", "\t\r "))
    entries: list[str] = []
    tensors = draw(tensor_lists())
    for tensor in tensors:
        fields = [
            (
                '"dtype"',
                draw(
                    st.sampled_from(
                        (f'"{tensor.dtype}"', f'"{tensor.dtype}"', f'{{"{tensor.dtype}":null}}')
                    )
                ),
            ),
            ('"shape"', json.dumps(tensor.shape)),
            ('"data_offsets"', f"[{tensor.start}, {tensor.end}]"),
        ]
        as_list = draw(st.integers(0, 9)) == 0
        if not as_list:
            fields += draw(
                st.lists(
                    st.tuples(
                        st.sampled_from(('"x"', '"y"', '"dtype"', '""')),
                        st.sampled_from(NASTY_JSON),
                    ),
                    max_size=2,
                )
            ) * (draw(st.integers(0, 4)) == 0)
            fields = draw(st.permutations(fields))
        body = ",".join(
            value if as_list else key + draw(blanks) + ":" + value for key, value in fields
        )
        entries.append(
            spelled(draw, tensor.name) + ":" + (f"[{body}]" if as_list else f"{{{body}}}")
        )
    metadata = draw(metadata_pairs)
    if metadata is not None:
        entries.append(
            '"__metadata__":{'
            + ",".join(f"{spelled(draw, key)}:{spelled(draw, value)}" for key, value in metadata)
            + "}"
        )
    text = draw(blanks) + "{" + ",".join(draw(st.permutations(entries))) + "}" + draw(blanks)
    return text.encode(), tensors[-1].end if tensors else 0


def token_spans(text: bytes) -> list[tuple[int, int]]:
    return [match.span() for match in TOKEN.finditer(text)] or [(0, len(text))]


def splice(draw: st.DrawFn, text: bytes) -> bytes:
    """Return `text` with a nasty token in place of one of its own, or before it."""
    begin, end = draw(st.sampled_from(token_spans(text)))
    kept = text[begin:end] if draw(st.booleans()) else b""
    return text[:begin] + draw(st.sampled_from(NASTY_JSON)).encode() + kept + text[end:]


def repeat_span(draw: st.DrawFn, text: bytes) -> bytes:
    """Return `text` with a run of its tokens repeated, with a comma between the two or without."""
    spans = token_spans(text)
    first, last = sorted(
        (draw(st.integers(0, len(spans) - 1)), draw(st.integers(0, len(spans) - 1)))
    )
    run = text[spans[first][0] : spans[last][1]]
    return (
        text[: spans[last][1]] + draw(st.sampled_from((b"", b","))) + run + text[spans[last][1] :]
    )


def swap_token(draw: st.DrawFn, text: bytes) -> bytes:
    """Return `text` with one of its tokens in the place of another."""
    (begin, end), (other, other_end) = (
        draw(st.sampled_from(token_spans(text))),
        draw(st.sampled_from(token_spans(text))),
    )
    return text[:begin] + text[other:other_end] + text[end:]


def flip_bit(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, max(0, len(data) - 1)))
    return (
        data[:at]
        + bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in data[at : at + 1])
        + data[at + 1 :]
    )


def insert(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at:]


def delete(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + data[at + draw(st.integers(1, 16)) :]


def truncate(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


BYTE_MUTATIONS: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (
    flip_bit,
    insert,
    delete,
    truncate,
)
TEXT_MUTATIONS = (splice, splice, repeat_span, swap_token, *BYTE_MUTATIONS)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Draw a safetensors file that is valid, or whose header or bytes were tampered with."""
    text, payload = draw(loose_headers())
    for _ in range(draw(st.integers(0, 2))):
        text = draw(st.sampled_from(TEXT_MUTATIONS))(draw, text)
    data = as_file(text, bytes(index * 7 % 256 for index in range(payload)))
    for _ in range(max(0, draw(st.integers(-3, 1)))):
        data = draw(st.sampled_from(BYTE_MUTATIONS))(draw, data)
    return data


def as_file(text: bytes | str, payload: bytes = b"") -> bytes:
    """Return a file with this header text, its length right."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(8, "little") + encoded + payload
