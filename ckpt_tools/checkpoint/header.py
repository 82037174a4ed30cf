"""The codec of the safetensors header, which accepts what the reference library (0.8) accepts.

Specification: the format section of the safetensors README. Where the reference accepts what the
specification forbids, `decode` raises a SpecificationError, or with `lenient` returns what the
reference returns. Payload is neither read nor written here.
"""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools import errors
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.header_entry import WORD, decode_entry, named
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.strict_json.parse import Repeated, kind, openers, repeated_key, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.strict_json.parse import Json, JsonObject

HEADER_LIMIT = 100_000_000
"""The longest header that the reference accepts, in bytes."""

_LARGE = 1 << 20
_CHARACTERS_PER_BRACKET = 12
_LAYOUT_ORDER = {dtype: -position for position, dtype in enumerate(Dtype)}


_DOWNLOAD = "an error or login page was downloaded instead: fetch the file again"
_PICKLE = "pickles can run code and are never opened: save the model as safetensors"
_FETCH = "fetch the weights again, or save them as safetensors"
_JSON = "fetch the weights: this may be an index, or the error of a server"
_IMPOSTORS = (
    (b"version ", "is a Git LFS pointer, not the weights", "fetch them: git lfs pull"),
    (b"<!d", "is a web page, not weights", _DOWNLOAD),
    (b"<html", "is a web page, not weights", _DOWNLOAD),
    (b"<?xml", "is XML, such as the error of a server, not weights", _DOWNLOAD),
    (b"pk\x03\x04", "is a zip archive such as a pickled checkpoint, not safetensors", _PICKLE),
    (b"gguf", "is a GGUF model, not safetensors", "give it the name of one, ending in .gguf"),
    (b"\x89hdf", "is an HDF5 file, as Keras writes, not safetensors", _FETCH),
    (b"\x93numpy", "is a NumPy array, not safetensors", _FETCH),
    (b"\x1f\x8b", "is a gzip file, not safetensors", "unpack it first"),
    *((bytes((0x80, protocol)), "is a pickle, not safetensors", _PICKLE) for protocol in (2, 3, 4)),
    (b"{", "is JSON text, not weights", _JSON),
    (b"[", "is JSON text, not weights", _JSON),
)
"""First bytes, in lower case, of files with the name of weights; what they are; what to do.

As the length of a header, all are more than the limit.
"""

_TEXT_BYTES = frozenset((*b"\t\n\r", *range(0x20, 0x7F)))


class Header(NamedTuple):
    """Tensors in payload order, and metadata in file order (None if absent)."""

    tensors: tuple[Tensor, ...]
    metadata: tuple[tuple[str, str], ...] | None


def header_length(prefix: bytes, file_size: int) -> int:
    """Return the header's length in bytes from the file's first 8 bytes.

    Raises HeaderTooSmall, HeaderTooLarge or HeaderPastEnd.
    """
    if len(prefix) < LENGTH_BYTES:
        raise errors.HeaderTooSmall(f"has {len(prefix)} bytes, too few for a safetensors file")
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if length > HEADER_LIMIT:
        raise _too_large(prefix[:LENGTH_BYTES], length)
    if length + LENGTH_BYTES > file_size:
        raise errors.HeaderPastEnd(
            f"states a header of {length:,} bytes, but the file has {file_size:,}"
        )
    if length == 0 and file_size > LENGTH_BYTES:
        raise errors.HeaderNotJson(
            "starts with zeros, where the length of the header belongs",
            hint="its download or copy was not finished: fetch it again",
        )
    return length


def _too_large(prefix: bytes, length: int) -> errors.HeaderTooLarge:
    """Return the error for a length above the limit: most are the first bytes of something else."""
    start = prefix.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, what, hint in _IMPOSTORS:
        if start.startswith(magic):
            return errors.HeaderTooLarge(what, hint=hint)
    if _TEXT_BYTES.issuperset(prefix):
        return errors.HeaderTooLarge("is text, not weights", hint=_DOWNLOAD)
    return errors.HeaderTooLarge(
        f"states a header of {length:,} bytes, more than the limit of {HEADER_LIMIT:,}"
    )


def decode(header: bytes, payload_size: int, *, shard: str = "", lenient: bool = False) -> Header:
    """Return the header's tensors and metadata.

    `header` is the bytes after the length, `payload_size` the number of bytes after those, and
    `shard` the file of the tensors. Raises a HeaderError for what the reference rejects, and unless
    `lenient` a SpecificationError for what only the specification forbids.
    """
    text = _text(header.rstrip(b" \t\n\r"))
    if not lenient:
        _refuse_unread(text)
    with _no_collection():
        document = _document(text)
        if not lenient:
            _refuse_repeated(document)
        metadata = _metadata(document, lenient=lenient)
        entries = document.pairs if isinstance(document, Repeated) else document.items()
        by_name = {
            name: decode_entry(name, entry, shard, lenient=lenient)
            for name, entry in entries
            if name != "__metadata__"
        }
        tensors = tuple(sorted(by_name.values(), key=lambda tensor: (tensor.start, tensor.end)))
        _check_payload(tensors, payload_size)
    return Header(tensors, metadata)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disable the garbage collector, which takes a third of the time and finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def encode(tensors: Iterable[Tensor], metadata: Iterable[tuple[str, str]] | None = None) -> bytes:
    """Return the header of `tensors` as they are laid out, with its length and padding to 8 bytes.

    For tensors in `layout` order and at most one metadata key these are the bytes that the
    reference library writes. (It writes several keys in the order of a hash map; here they keep
    the given order.) Raises TensorRepeated for two tensors of one name or one called
    `__metadata__`.
    """
    document: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    for tensor in tensors:
        if tensor.name in document or tensor.name == "__metadata__":
            raise errors.TensorRepeated(
                "another tensor has this name",
                subject=named(tensor.name),
                hint="rename one of them",
            )
        document[tensor.name] = {
            "dtype": tensor.dtype.label,
            "shape": tensor.shape,
            "data_offsets": (tensor.start, tensor.end),
        }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % LENGTH_BYTES)
    return len(padded).to_bytes(LENGTH_BYTES, "little") + padded


def layout(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Return `tensors` laid out without gaps from 0, in the order of the reference's writer.

    That is by dtype, widest first, then by name.
    """
    placed: list[Tensor] = []
    start = 0
    for tensor in sorted(tensors, key=lambda tensor: (_LAYOUT_ORDER[tensor.dtype], tensor.name)):
        end = start + tensor.nbytes
        placed.append(tensor._replace(start=start, end=end))
        start = end
    return tuple(placed)


def nbytes(dtype: Dtype, shape: Sequence[int]) -> int:
    """Return the bytes of a tensor of `dtype` and `shape`.

    Raises SizeOverflow or SizeFractional if the reference rejects it.
    """
    elements = 1
    for dimension in shape:
        # One step at a time: the reference overflows here even if a later 0 makes the product 0.
        elements *= dimension
        if elements >= WORD:
            break
    bits = elements * dtype.bits
    if bits >= WORD:
        raise errors.SizeOverflow(f"shape {list(shape)} of {dtype} has 2^64 bits or more")
    if bits % 8:
        raise errors.SizeFractional(
            f"shape {list(shape)} of {dtype} has {bits} bits, not a multiple of 8"
        )
    return bits // 8


def _text(header: bytes) -> str:
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError as error:
        raise errors.HeaderNotUtf8(f"header byte {error.start:,} is not UTF-8") from None


def _document(text: str) -> JsonObject:
    try:
        document = scan(text)
    except errors.JsonInvalid as error:
        raise errors.HeaderNotJson(f"header is not JSON: {error.what}") from None
    if not isinstance(document, dict):
        raise errors.HeaderNotObject(f"header is {kind(document)}, not an object")
    return document


def _refuse_unread(text: str) -> None:
    """Refuse, before parsing, what the specification forbids and would take gigabytes to parse."""
    if text[:1] in (" ", "\t", "\n", "\r"):
        raise errors.HeaderIndented("header starts with white space instead of {")
    if len(text) < _LARGE:
        return
    # A tensor has three brackets in about fifty characters: with many more there is something else.
    likely = len(text) // _CHARACTERS_PER_BRACKET
    if text.count("[") + text.count("{") > likely and openers(text) > likely:
        raise errors.FieldUnknown(
            "header has more brackets than tensors can have: it contains unknown fields"
        )


def _refuse_repeated(document: JsonObject) -> None:
    """Refuse a repeated name; entries are checked one by one, later."""
    if isinstance(document, Repeated):
        name = repeated_key(document.pairs)
        if name != "__metadata__":
            raise errors.TensorRepeated("occurs more than once in the header", subject=named(name))


def _metadata(document: JsonObject, *, lenient: bool) -> tuple[tuple[str, str], ...] | None:
    pairs = document.pairs if isinstance(document, Repeated) else document.items()
    found = [value for key, value in pairs if key == "__metadata__"]
    if len(found) > 1:
        raise errors.MetadataRepeated("occurs more than once in the header", subject="__metadata__")
    if not found:
        return None
    metadata = found[0]
    if metadata is None and lenient:
        return None
    _check_metadata(metadata, lenient=lenient)
    return (
        tuple((key, str(value)) for key, value in metadata.items())
        if isinstance(metadata, dict)
        else None
    )


def _check_metadata(metadata: Json, *, lenient: bool) -> None:
    if metadata is None:
        raise errors.MetadataNull("is null, not an object", subject="__metadata__")
    if not isinstance(metadata, dict):
        raise errors.MetadataInvalid(f"is {kind(metadata)}, not an object", subject="__metadata__")
    for key, value in metadata.pairs if isinstance(metadata, Repeated) else metadata.items():
        if not isinstance(value, str):
            raise errors.MetadataInvalid(
                f"{json.dumps(key)} is {kind(value)}, not a string", subject="__metadata__"
            )
    if isinstance(metadata, Repeated) and not lenient:
        raise errors.MetadataKeyRepeated(
            f"key {json.dumps(repeated_key(metadata.pairs))} occurs more than once",
            subject="__metadata__",
        )


def _check_payload(tensors: Sequence[Tensor], payload_size: int) -> None:
    """Refuse tensors that do not fill the payload exactly, or do not match their shapes."""
    position = 0
    for tensor in tensors:
        if tensor.start != position:
            raise _misplaced(tensor, position)
        if tensor.end < tensor.start:
            raise errors.OffsetsReversed(
                f"ends at payload byte {tensor.end:,}, before it starts at {tensor.start:,}",
                subject=named(tensor.name),
            )
        try:
            expected = nbytes(tensor.dtype, tensor.shape)
        except errors.HeaderError as error:
            error.subject = named(tensor.name)
            raise
        if tensor.nbytes != expected:
            raise errors.SizeMismatch(
                f"has {tensor.nbytes:,} bytes, but {tensor.dtype} {list(tensor.shape)} needs "
                f"{expected:,}",
                subject=named(tensor.name),
            )
        position = tensor.end
    if position > payload_size:
        raise errors.PayloadTruncated(
            f"is truncated: the header lists {position:,} payload bytes, the file has "
            f"{payload_size:,}"
        )
    if position < payload_size:
        raise errors.PayloadTrailing(f"{payload_size - position:,} bytes follow the last tensor")


def _misplaced(tensor: Tensor, position: int) -> errors.HeaderError:
    if tensor.start > position:
        return errors.PayloadGap(
            f"starts at payload byte {tensor.start:,}, after a gap: the tensor before it ends at "
            f"{position:,}",
            subject=named(tensor.name),
        )
    return errors.PayloadOverlap(
        f"starts at payload byte {tensor.start:,}, inside the tensor before it, which ends at "
        f"{position:,}",
        subject=named(tensor.name),
    )
