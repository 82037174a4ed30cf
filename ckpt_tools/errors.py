"""Everything that can go wrong, one class per way, split by who must act. No I/O, no imports of this package.

    CkptError
    ├── UsageError                       the person who typed the command
    │   ├── NothingThere                     the path does not exist
    │   │   └── NoRepository                     the Hub has no such model, or hides it
    │   ├── HubNameInvalid                   an hf:// name that cannot name a checkpoint
    │   ├── AccessRefused                    the Hub wants to know who asks, or says no
    │   ├── NotHere                          what was asked for needs the files on this machine
    │   ├── NotACheckpoint                   there is something, but no safetensors weights
    │   ├── UnknownSelection                 a filter or an option that names nothing
    │   ├── SettingsInvalid                  a ckpt.toml that does not say what it must
    │   ├── SpecInvalid                      a lockfile that is none
    │   ├── ProbeMissing                     nothing is installed that could load the policy
    │   └── SurgeryRefused                   a change that is not made
    │       └── RecipeInvalid, NameTaken, NothingLeft, CastLossy, PatternTooSlow, PointerInvalid, OutputExists,
    │           OutputInside, PlanStale
    ├── FormatError                      whoever wrote the file
    │   ├── HeaderError                      a safetensors header the reference library refuses too
    │   │   ├── HeaderTooSmall, HeaderTooLarge, HeaderPastEnd, HeaderNotUtf8, HeaderNotJson, HeaderNotObject
    │   │   ├── MetadataInvalid, MetadataRepeated
    │   │   ├── EntryInvalid, FieldMissing, FieldRepeated, DtypeUnknown, ShapeInvalid, OffsetsInvalid
    │   │   ├── PayloadGap, PayloadOverlap, OffsetsReversed, SizeMismatch, SizeFractional, SizeOverflow
    │   │   └── PayloadTruncated, PayloadTrailing
    │   ├── SpecificationError               the reference reads it against its own specification; `--lenient` does too
    │   │   └── TensorRepeated, MetadataKeyRepeated, MetadataNull, FieldUnknown, EntryPositional, DtypeWrapped,
    │   │       NameWithNul, HeaderIndented
    │   ├── IndexInvalid                     a shard index and its shards
    │   │   └── ShardMissing, ShardOrphan, ShardListedTwice, TensorNotInIndex, TensorNotInShard,
    │   │       TensorInTwoShards
    │   ├── JsonInvalid                      a JSON file
    │   │   └── JsonSyntax, JsonKeyRepeated, JsonTooDeep, JsonNotObject, JsonNotUtf8
    │   └── PathEscapes                      a path in a file of the checkpoint that leads out of its folder
    └── StoreError                       the machine: permissions, devices, a file that changes while it is read
        ├── Unreadable
        ├── NotAFile
        ├── ChangedUnderneath
        ├── Unreachable                      the Hub cannot be asked
        ├── WrongAnswer                      the Hub, or what stands between, answers with something else
        └── WriteFailed                      what was to be written is not there, and what was there is unchanged
            └── Unwritable, NoSpace, Busy, WriteInterrupted, WrittenWrong

Every message says where, what, and what to do next, on one line.
"""

from __future__ import annotations

from typing import ClassVar, Self

_LONGEST = 200


class CkptError(Exception):
    """A job could not be done; the message is ready to be shown. `path` is the file, `subject` the part of it (a tensor, a key)."""

    hint: ClassVar[str] = ""

    def __init__(self, what: str, *, subject: str = "", path: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.subject = subject
        self.path = path
        self.next = hint or self.hint

    def at(self, path: str) -> Self:
        """Return this error with the file it happened in; for code that knows bytes but no paths."""
        self.path = self.path or path
        return self

    def __str__(self) -> str:
        """Return `path: subject: what; next` on one line, control characters escaped."""
        place = ": ".join(part for part in (self.path, _cut(self.subject), _cut(self.what)) if part)
        line = f"{place}; {self.next}" if self.next else place
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields, so that an error survives a process boundary."""
        return _rebuild, (type(self), self.what, self.subject, self.path, self.next)


def _cut(text: str) -> str:
    """Return `text`, its middle left out where it is too long for a line: names come from files, and may have megabytes."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def _rebuild(kind: type[CkptError], what: str, subject: str, path: str, hint: str) -> CkptError:
    return kind(what, subject=subject, path=path, hint=hint)


# --- the person who typed the command ---------------------------------------------------------------------------------


class UsageError(CkptError):
    """The command asks for something that cannot be done."""


class NothingThere(UsageError):
    """The path does not exist."""

    hint = "check the spelling; a folder, a .safetensors file or a LeRobot run folder is expected"


class NotACheckpoint(UsageError):
    """The path exists but holds no safetensors weights."""

    hint = "name a folder that holds model.safetensors (or shards with an index), a .safetensors file, or a LeRobot run folder"


class NoRepository(NothingThere):
    """The Hub has a model of that name that who asks may see."""

    hint = "check the spelling"


class HubNameInvalid(UsageError):
    """A checkpoint on the Hub is named `hf://owner/name`, with a revision and a path where wanted."""

    hint = "write hf://owner/name, hf://owner/name@revision or hf://owner/name@revision/folder"


class AccessRefused(UsageError):
    """The Hub lets who asks read the repository."""

    hint = "log in with `hf auth login`, or set HF_TOKEN to a token that may read it"


class NotHere(UsageError):
    """What was asked for needs the checkpoint on this machine, not on the Hub."""


class UnknownSelection(UsageError):
    """A filter or an option that names nothing."""


class ProbeMissing(UsageError):
    """Loading a policy needs the package that knows how, in the Python that runs `ckpt`."""

    hint = "leave --load out, or install the training core beside ckpt: lerobot_policy_smolvla_reflow"


class SpecInvalid(UsageError):
    """A lockfile lists a dtype and a shape for every tensor, as `schemas/spec.schema.json` says."""

    hint = "write it again: ckpt spec write"


class SettingsInvalid(UsageError):
    """Settings are TOML with the keys that `schemas/settings.schema.json` lists, and lie outside the checkpoint that they judge."""

    hint = "correct the settings file"


class SurgeryRefused(UsageError):
    """A change that is not made; nothing was written."""


class RecipeInvalid(SurgeryRefused):
    """A recipe is a list of operations, each with the fields that `schemas/recipe.schema.json` lists."""


class NameTaken(SurgeryRefused):
    """After a rename every tensor has a name of its own."""


class NothingLeft(SurgeryRefused):
    """A plan leaves at least one tensor."""

    hint = "check the globs: `ckpt show --tree` prints the names; * stands for one segment, ** for several"


class CastLossy(SurgeryRefused):
    """A cast keeps every value, unless it is asked for by name to round."""

    hint = "pass --allow-lossy to round to the nearest"


class PatternTooSlow(SurgeryRefused):
    """A regular expression is done with a checkpoint's names in seconds."""

    hint = "a quantifier inside another, such as (a+)+, can take forever: write it without, or use a glob"


class PointerInvalid(SurgeryRefused):
    """A JSON pointer (RFC 6901) leads to a place in the file."""


class OutputExists(SurgeryRefused):
    """A new folder or file is written where there is none."""

    hint = "name another place with --output, or move the old one away"


class OutputInside(SurgeryRefused):
    """What is written lies neither in nor around what is read."""

    hint = "name a place outside with --output"


class PlanStale(SurgeryRefused):
    """A plan is applied to the very checkpoint it was made for."""

    hint = "make the plan again: ckpt plan"


# --- whoever wrote the file -------------------------------------------------------------------------------------------


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
    """A tensor's entry has no fields but dtype, shape and data_offsets; the reference drops others."""


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
    """JSON text follows RFC 8259: no NaN, no Infinity, no lone surrogates, numbers that fit a double."""


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


# --- the machine ------------------------------------------------------------------------------------------------------


class StoreError(CkptError):
    """The machine refused, or a file is not what a checkpoint can be made of."""


class Unreadable(StoreError):
    """The operating system refused to open or read."""


class NotAFile(StoreError):
    """A folder, pipe, socket or device where a regular file is expected."""

    hint = "put the file itself there"


class ChangedUnderneath(StoreError):
    """A file became shorter or was replaced while it was read."""

    hint = "something is writing to this checkpoint: wait for it to finish and try again"


class Unreachable(StoreError):
    """The Hub can be reached."""

    hint = "check the network, HF_ENDPOINT and the proxy settings, and try again"


class WrongAnswer(StoreError):
    """A server answers what it was asked, in the Hub's protocol."""

    hint = "try again later; if it stays, something between here and the Hub changes answers, or HF_ENDPOINT names another server"


class WriteFailed(StoreError):
    """A write was given up; what was there before is there unchanged."""


class Unwritable(WriteFailed):
    """The operating system refused to write."""


class NoSpace(WriteFailed):
    """The disk has room for what is written."""

    hint = "free some space, or write to another disk with --output"


class Busy(WriteFailed):
    """One process at a time writes to a folder."""

    hint = "wait until it has finished"


class WriteInterrupted(WriteFailed):
    """A write to this folder was interrupted before it was finished or undone."""

    hint = "finish or undo it: ckpt recover"


class WrittenWrong(WriteFailed):
    """What was written, read again, is what was to be written."""

    hint = "check the disk and the memory of this machine"
