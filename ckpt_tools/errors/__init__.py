"""Everything that can go wrong, one class per way, split by who must act: a module for each.

No I/O, no imports of this package.

    CkptError
    ├── UsageError                       the person who typed the command
    │   ├── PathNotFound                     the path does not exist
    │   │   └── NoRepository                     the Hub has no such model, or hides it
    │   ├── HubNameInvalid                   an hf:// name that cannot name a checkpoint
    │   ├── AccessRefused                    the Hub wants to know who asks, or says no
    │   ├── RemoteNotSupported                          what was asked for needs the files on this
    machine
    │   ├── NotACheckpoint                   there is something, but no safetensors weights
    │   ├── UnknownSelection                 a filter or an option that names nothing
    │   ├── SettingsInvalid                  a ckpt.toml that does not say what it must
    │   ├── SpecInvalid                      a lockfile that is none
    │   ├── ManifestInvalid                  a manifest that is none, or was edited
    │   ├── ProbeMissing                     nothing is installed that could load the policy
    │   ├── NotComparable                    two checkpoints that are models of different kinds
    │   ├── InputsRefused                    observations or an environment that the policies cannot
    be shown
    │   ├── PlotMissing                      nothing is installed that could draw
    │   └── EditRefused                   a change that is not made
    │       └── RecipeInvalid, NameTaken, NothingLeft, CastLossy, PatternTooSlow, PointerInvalid,
    OutputExists,
    │           OutputInside, PlanStale
    ├── FormatError                      whoever wrote the file
    │   ├── HeaderError                      a safetensors header the reference library refuses too
    │   │   ├── HeaderTooSmall, HeaderTooLarge, HeaderPastEnd, HeaderNotUtf8, HeaderNotJson,
    HeaderNotObject
    │   │   ├── MetadataInvalid, MetadataRepeated
    │   │   ├── EntryInvalid, FieldMissing, FieldRepeated, DtypeUnknown, ShapeInvalid,
    OffsetsInvalid
    │   │   ├── PayloadGap, PayloadOverlap, OffsetsReversed, SizeMismatch, SizeFractional,
    SizeOverflow
    │   │   └── PayloadTruncated, PayloadTrailing
    │   ├── SpecificationError               the reference reads it against its own specification;
    `--lenient` does too
    │   │   └── TensorRepeated, MetadataKeyRepeated, MetadataNull, FieldUnknown, EntryPositional,
    DtypeWrapped,
    │   │       NameWithNul, HeaderIndented
    │   ├── IndexInvalid                     a shard index and its shards
    │   │   └── ShardMissing, ShardOrphan, ShardListedTwice, TensorNotInIndex, TensorNotInShard,
    │   │       TensorInTwoShards
    │   ├── JsonInvalid                      a JSON file
    │   │   └── JsonSyntax, JsonKeyRepeated, JsonTooDeep, JsonNotObject, JsonNotUtf8
    │   └── PathEscapes                      a path in a file of the checkpoint that leads out of
    its folder
    └── StoreError                       the machine: permissions, devices, a file that changes
    while it is read
        ├── Unreadable
        ├── NotAFile
        ├── ChangedDuringRead
        ├── Unreachable                      the Hub cannot be asked
        ├── WrongAnswer                      the Hub, or what stands between, answers with something
        else
        ├── ProbeFailed                      what was to load the policy died, or did not answer
        └── WriteFailed                      what was to be written is not there, and what was there
        is unchanged
            └── Unwritable, NoSpace, Busy, WriteInterrupted, WrittenWrong

Every message says where, what, and what to do next, on one line.
"""

from __future__ import annotations

from ckpt_tools.errors.error import CkptError
from ckpt_tools.errors.format import (
    DtypeUnknown,
    DtypeWrapped,
    EntryInvalid,
    EntryPositional,
    FieldMissing,
    FieldRepeated,
    FieldUnknown,
    FormatError,
    HeaderError,
    HeaderIndented,
    HeaderNotJson,
    HeaderNotObject,
    HeaderNotUtf8,
    HeaderPastEnd,
    HeaderTooLarge,
    HeaderTooSmall,
    IndexInvalid,
    JsonInvalid,
    JsonKeyRepeated,
    JsonNotObject,
    JsonNotUtf8,
    JsonSyntax,
    JsonTooDeep,
    MetadataInvalid,
    MetadataKeyRepeated,
    MetadataNull,
    MetadataRepeated,
    NameWithNul,
    OffsetsInvalid,
    OffsetsReversed,
    PathEscapes,
    PayloadGap,
    PayloadOverlap,
    PayloadTrailing,
    PayloadTruncated,
    ShapeInvalid,
    ShardListedTwice,
    ShardMissing,
    ShardOrphan,
    SizeFractional,
    SizeMismatch,
    SizeOverflow,
    SpecificationError,
    TensorInTwoShards,
    TensorNotInIndex,
    TensorNotInShard,
    TensorRepeated,
)
from ckpt_tools.errors.machine import (
    ChangedDuringRead,
    LockedByOther,
    NoSpace,
    NotAFile,
    ProbeFailed,
    StoreError,
    Unreachable,
    Unreadable,
    Unwritable,
    WriteFailed,
    WriteInterrupted,
    WrittenWrong,
    WrongAnswer,
)
from ckpt_tools.errors.usage import (
    AccessRefused,
    CastLossy,
    EditRefused,
    HubNameInvalid,
    InputsRefused,
    ManifestInvalid,
    NameTaken,
    NoRepository,
    NotACheckpoint,
    NotComparable,
    NothingLeft,
    OutputExists,
    OutputInside,
    PathNotFound,
    PatternTooSlow,
    PlanStale,
    PlotMissing,
    PointerInvalid,
    ProbeMissing,
    RecipeInvalid,
    RemoteNotSupported,
    SettingsInvalid,
    SpecInvalid,
    UnknownSelection,
    UsageError,
)

__all__ = [
    "AccessRefused",
    "CastLossy",
    "ChangedDuringRead",
    "CkptError",
    "DtypeUnknown",
    "DtypeWrapped",
    "EditRefused",
    "EntryInvalid",
    "EntryPositional",
    "FieldMissing",
    "FieldRepeated",
    "FieldUnknown",
    "FormatError",
    "HeaderError",
    "HeaderIndented",
    "HeaderNotJson",
    "HeaderNotObject",
    "HeaderNotUtf8",
    "HeaderPastEnd",
    "HeaderTooLarge",
    "HeaderTooSmall",
    "HubNameInvalid",
    "IndexInvalid",
    "InputsRefused",
    "JsonInvalid",
    "JsonKeyRepeated",
    "JsonNotObject",
    "JsonNotUtf8",
    "JsonSyntax",
    "JsonTooDeep",
    "LockedByOther",
    "ManifestInvalid",
    "MetadataInvalid",
    "MetadataKeyRepeated",
    "MetadataNull",
    "MetadataRepeated",
    "NameTaken",
    "NameWithNul",
    "NoRepository",
    "NoSpace",
    "NotACheckpoint",
    "NotAFile",
    "NotComparable",
    "NothingLeft",
    "OffsetsInvalid",
    "OffsetsReversed",
    "OutputExists",
    "OutputInside",
    "PathEscapes",
    "PathNotFound",
    "PatternTooSlow",
    "PayloadGap",
    "PayloadOverlap",
    "PayloadTrailing",
    "PayloadTruncated",
    "PlanStale",
    "PlotMissing",
    "PointerInvalid",
    "ProbeFailed",
    "ProbeMissing",
    "RecipeInvalid",
    "RemoteNotSupported",
    "SettingsInvalid",
    "ShapeInvalid",
    "ShardListedTwice",
    "ShardMissing",
    "ShardOrphan",
    "SizeFractional",
    "SizeMismatch",
    "SizeOverflow",
    "SpecInvalid",
    "SpecificationError",
    "StoreError",
    "TensorInTwoShards",
    "TensorNotInIndex",
    "TensorNotInShard",
    "TensorRepeated",
    "UnknownSelection",
    "Unreachable",
    "Unreadable",
    "Unwritable",
    "UsageError",
    "WriteFailed",
    "WriteInterrupted",
    "WrittenWrong",
    "WrongAnswer",
]
