"""Files that are not what their format requires; each class is a rule of `rules/parse_rules`."""

from __future__ import annotations

from ckpt_tools.errors.error import CkptError


class FormatError(CkptError):
    """Bytes or text that break their format."""


class HeaderError(FormatError):
    """A safetensors header that the reference library rejects, too."""

    hint = "the file is damaged, truncated or not safetensors: fetch or save it again"


class HeaderTooSmall(HeaderError):
    """File too short for the 8 bytes with the header's length."""


class HeaderTooLarge(HeaderError):
    """Header of more than 100,000,000 bytes."""


class HeaderPastEnd(HeaderError):
    """Header that ends after the end of the file."""


class HeaderNotUtf8(HeaderError):
    """Header that is not UTF-8."""


class HeaderNotJson(HeaderError):
    """Header that is not JSON (RFC 8259), or nested more than 127 deep."""


class HeaderNotObject(HeaderError):
    """Header that is not a JSON object."""


class MetadataInvalid(HeaderError):
    """`__metadata__` that does not map strings to strings."""


class MetadataRepeated(HeaderError):
    """`__metadata__` occurs more than once."""


class EntryInvalid(HeaderError):
    """Tensor entry that is not an object with dtype, shape and data_offsets."""


class FieldMissing(HeaderError):
    """Tensor entry without dtype, shape or data_offsets."""


class FieldRepeated(HeaderError):
    """Tensor entry with a repeated field."""


class DtypeUnknown(HeaderError):
    """Unknown dtype."""

    hint = (
        "the file is damaged, or written by a newer safetensors: `ckpt --version` shows the "
        "supported version"
    )


class ShapeInvalid(HeaderError):
    """Shape that is not a list of integers from 0 to 2^64-1."""


class OffsetsInvalid(HeaderError):
    """data_offsets that are not two integers from 0 to 2^64-1."""


class OffsetsReversed(HeaderError):
    """Tensor that ends before it begins."""


class PayloadGap(HeaderError):
    """Gap between two tensors."""


class PayloadOverlap(HeaderError):
    """Tensors that overlap."""


class SizeMismatch(HeaderError):
    """Tensor with another number of bytes than its shape and dtype need."""


class SizeFractional(HeaderError):
    """Tensor that does not fill whole bytes."""


class SizeOverflow(HeaderError):
    """Tensor whose size in bits does not fit 64 bits."""


class PayloadTruncated(HeaderError):
    """File shorter than its header says."""


class PayloadTrailing(HeaderError):
    """Bytes after the last tensor."""


class SpecificationError(FormatError):
    """A header that the reference library accepts, but its specification forbids."""

    hint = "the safetensors library would accept it and drop or hide data; --lenient does the same"


class TensorRepeated(SpecificationError):
    """Repeated tensor name; the reference library keeps the last."""


class MetadataKeyRepeated(SpecificationError):
    """Repeated metadata key; the reference library keeps the last."""


class MetadataNull(SpecificationError):
    """`__metadata__` that is null; the reference library reads it as absent."""


class FieldUnknown(SpecificationError):
    """Tensor entry with an unknown field; the reference library drops it."""


class EntryPositional(SpecificationError):
    """Tensor entry that is an array; the reference library reads it."""


class DtypeWrapped(SpecificationError):
    """Dtype that is an object; the reference library reads it."""


class NameWithNul(SpecificationError):
    """Tensor name with a NUL character; readers in C cut it short."""


class HeaderIndented(SpecificationError):
    """Header that does not start with `{`; the reference library skips whitespace."""


class IndexInvalid(FormatError):
    """Invalid shard index."""

    hint = "the shards and the index do not belong together: fetch or save them again"


class ShardMissing(IndexInvalid):
    """Shard of the index that is missing."""


class ShardOrphan(IndexInvalid):
    """Shard that the index does not name."""


class ShardListedTwice(IndexInvalid):
    """Shard that the index spells in two ways."""


class TensorNotInIndex(IndexInvalid):
    """Tensor of a shard that the index does not name."""


class TensorNotInShard(IndexInvalid):
    """Tensor that is not in the shard that the index names."""


class TensorInTwoShards(IndexInvalid):
    """Tensor in two shards."""


class JsonInvalid(FormatError):
    """Text that is not strict JSON (RFC 8259, UTF-8, no repeated keys)."""

    hint = "repair the file, or copy it from the original checkpoint"


class JsonSyntax(JsonInvalid):
    """Invalid JSON.

    NaN, Infinity, lone surrogates and numbers beyond a double are invalid, too.
    """


class JsonKeyRepeated(JsonInvalid):
    """Repeated key in a JSON object; Python keeps the last and hides the first."""


class JsonTooDeep(JsonInvalid):
    """JSON nested more than 127 deep."""


class JsonNotObject(JsonInvalid):
    """JSON file that is not an object."""


class JsonNotUtf8(JsonInvalid):
    """JSON file that is not UTF-8, or starts with a byte order mark."""


class PathEscapes(FormatError):
    """Path that leads out of the checkpoint's folder."""

    hint = "it can make programs open any file: do not use this checkpoint"
