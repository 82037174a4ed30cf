"""What whoever wrote the file must mend."""

from __future__ import annotations

from ckpt_tools.errors.error import CkptError


class FormatError(CkptError):
    """Bytes or text that are not what the format asks for."""


class HeaderError(FormatError):
    """A safetensors header that the reference library refuses too."""

    hint = "the file is damaged, cut short or not safetensors: fetch or save it again"


class HeaderTooSmall(HeaderError):
    """A safetensors file starts with 8 bytes that hold the header's length."""


class HeaderTooLarge(HeaderError):
    """A header has at most 100,000,000 bytes."""


class HeaderPastEnd(HeaderError):
    """A header ends inside the file."""


class HeaderNotUtf8(HeaderError):
    """A header is UTF-8."""


class HeaderNotJson(HeaderError):
    """A header is JSON (RFC 8259), nested at most 127 deep."""


class HeaderNotObject(HeaderError):
    """A header is a JSON object."""


class MetadataInvalid(HeaderError):
    """`__metadata__` maps strings to strings."""


class MetadataRepeated(HeaderError):
    """`__metadata__` stands once."""


class EntryInvalid(HeaderError):
    """A tensor's entry is an object with dtype, shape and data_offsets."""


class FieldMissing(HeaderError):
    """A tensor's entry has dtype, shape and data_offsets."""


class FieldRepeated(HeaderError):
    """Each field of a tensor's entry stands once."""


class DtypeUnknown(HeaderError):
    """A tensor's dtype is one of the format's."""

    hint = "the file is damaged, or a newer safetensors wrote it: `ckpt --version` names the format version this tool knows"


class ShapeInvalid(HeaderError):
    """A shape is a list of whole numbers from 0 to 2^64-1."""


class OffsetsInvalid(HeaderError):
    """data_offsets are two whole numbers from 0 to 2^64-1."""


class OffsetsReversed(HeaderError):
    """A tensor ends no earlier than it begins."""


class PayloadGap(HeaderError):
    """Tensors follow each other without a gap."""


class PayloadOverlap(HeaderError):
    """Tensors do not overlap."""


class SizeMismatch(HeaderError):
    """A tensor has as many bytes as its shape and dtype ask for."""


class SizeFractional(HeaderError):
    """A tensor fills whole bytes."""


class SizeOverflow(HeaderError):
    """A tensor's size in bits fits 64 bits."""


class PayloadTruncated(HeaderError):
    """The file holds every byte its header names."""


class PayloadTrailing(HeaderError):
    """The file ends where its last tensor ends."""


class SpecificationError(FormatError):
    """A header that the reference library reads although its specification forbids it."""

    hint = "the safetensors library would read it and drop or hide data; --lenient does the same"


class TensorRepeated(SpecificationError):
    """A tensor name stands once; the reference keeps the last."""


class MetadataKeyRepeated(SpecificationError):
    """A metadata key stands once; the reference keeps the last."""


class MetadataNull(SpecificationError):
    """`__metadata__` is an object; the reference reads null as absent."""


class FieldUnknown(SpecificationError):
    """A tensor's entry has no fields but dtype, shape and data_offsets.

    The reference drops others.
    """


class EntryPositional(SpecificationError):
    """A tensor's entry is an object; the reference reads [dtype, shape, data_offsets] too."""


class DtypeWrapped(SpecificationError):
    """A dtype is a string. (The reference reads {"F32": null} too.)."""


class NameWithNul(SpecificationError):
    """A name holds no NUL character; the reference reads it; C readers cut it short."""


class HeaderIndented(SpecificationError):
    """A header starts with `{`; the reference skips blanks before it."""


class IndexInvalid(FormatError):
    """A shard index, or an index and shards that disagree."""

    hint = "the shards and the index were not written together: fetch or save them again"


class ShardMissing(IndexInvalid):
    """Every shard that the index names is there."""


class ShardOrphan(IndexInvalid):
    """Every shard in the folder is named by the index."""


class ShardListedTwice(IndexInvalid):
    """A shard is named in one spelling."""


class TensorNotInIndex(IndexInvalid):
    """Every tensor in a shard is in the index."""


class TensorNotInShard(IndexInvalid):
    """Every tensor in the index is in the shard it names."""


class TensorInTwoShards(IndexInvalid):
    """A tensor is in one shard."""


class JsonInvalid(FormatError):
    """Text that is not strict JSON (RFC 8259, UTF-8, no repeated keys)."""

    hint = "repair the file or take it from the checkpoint it was copied from"


class JsonSyntax(JsonInvalid):
    """JSON text follows RFC 8259.

    No NaN, no Infinity, no lone surrogates, numbers that fit a double.
    """


class JsonKeyRepeated(JsonInvalid):
    """A key stands once in an object; Python keeps the last and hides the first."""


class JsonTooDeep(JsonInvalid):
    """JSON text is nested at most 127 deep."""


class JsonNotObject(JsonInvalid):
    """The file holds a JSON object."""


class JsonNotUtf8(JsonInvalid):
    """JSON files are UTF-8 without a byte order mark."""


class PathEscapes(FormatError):
    """A path written in a checkpoint's file stays inside the checkpoint's folder."""

    hint = "it can make a reader open any file: do not use this checkpoint"
