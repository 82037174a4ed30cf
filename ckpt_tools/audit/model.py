"""The records of an audit: what discovery finds, and what a check of it gives. No I/O."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.audit.discover import Found
    from ckpt_tools.rules.coverage import Coverage
    from ckpt_tools.rules.finding import Finding


class Status(StrEnum):
    """What an audit knows about a checkpoint.

    CHECKED: its rules were checked, if only up to the first fault. FAILED: it could not be looked
    at. VANISHED: it was there in an earlier run.
    """

    CHECKED = "checked"
    FAILED = "failed"
    VANISHED = "vanished"


class FileState(NamedTuple):
    """A file by its path below the checkpoint, with what tells that it changed.

    `modified_ns` is 0, and the others "", where the storage does not say. `sha256` and `xet` are
    digests of the whole content that the storage has; nothing is read for them. `inode` is the
    device and the inode of a local file, links followed (`2049:1311`): files with the same one are
    the same bytes on the disk. It is not part of what tells that the file changed.
    """

    path: str
    size: int
    modified_ns: int = 0
    etag: str = ""
    sha256: str = ""
    xet: str = ""
    inode: str = ""


class Candidate(NamedTuple):
    """What discovery found below a source, and what may be a checkpoint.

    `location` is its address without a revision, as `ckpt verify` takes it, and `address` the same
    with one. `trouble` is why it cannot be judged, "" where it can; `listed` is false where what is
    at and below the location could not be listed. `base_model` is what the Hub says that it derives
    from.
    """

    location: str
    source: str
    address: str
    files: tuple[FileState, ...] = ()
    revision: str = ""
    owner: str = ""
    name: str = ""
    modified: str = ""
    base_model: tuple[str, ...] = ()
    trouble: str = ""
    listed: bool = True


class TensorContent(NamedTuple):
    """A tensor's digest (16 bytes of the BLAKE3 of dtype, shape and payload) and its bytes."""

    digest: bytes
    nbytes: int


class PartContent(NamedTuple):
    """A part of a model of a known family, with the content digest of its tensors alone."""

    title: str
    tensors: int
    nbytes: int
    digest: bytes


class Record(NamedTuple):
    """What one check of a candidate gave.

    `weights` are the paths of its weight files. `structure` is the digest of names, dtypes and
    shapes; `payload` the content digest of the tensors, whatever files they are in, `tensors` those
    of each tensor and `parts` those of each part: only `--values` gives them. `base_model` are the
    names that it declares as what it derives from, a line each. `evidence` are digests of the texts
    that the check read; `is_judged_again`: newer rules judged by them, and nothing was read.
    `requests` is how many the check sent to the Hub.
    """

    location: str
    status: Status
    reason: str = ""
    kind: str = ""
    family: str = ""
    tensor_count: int = 0
    parameters: int = 0
    nbytes: int = 0
    dtypes: tuple[tuple[str, int], ...] = ()
    weights: tuple[str, ...] = ()
    structure: bytes | None = None
    payload: bytes | None = None
    base_model: str = ""
    findings: tuple[Finding, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    tensors: tuple[TensorContent, ...] = ()
    parts: tuple[PartContent, ...] = ()
    evidence: tuple[tuple[str, bytes], ...] = ()
    is_judged_again: bool = False
    requests: int = 0


class RelationKind(StrEnum):
    """How two checkpoints are related; the first is the one that derives, or the later copy."""

    SAME_PAYLOAD = "same-payload"
    SAME_STRUCTURE = "same-structure"
    DECLARED_BASE = "declared-base"
    ADAPTER_OF = "adapter-of"
    SHARES_TENSORS = "shares-tensors"
    FROZEN_PART = "frozen-part"


class Relation(NamedTuple):
    """A relation of the checkpoint `of` to the checkpoint `to`, by their numbers in the file.

    `to` is None for a base that the audit does not contain; `name` is what it is called then.
    `share` is the part of the bytes of `of` that `to` has too, `nbytes` how many these are, and
    `detail` what of it, such as a frozen part.
    """

    of: int
    to: int | None
    kind: RelationKind
    name: str = ""
    share: float = 0.0
    nbytes: int = 0
    detail: str = ""


class Options(NamedTuple):
    """How an audit checks: whether tensor values are read, and by which settings.

    `settings` is the text of a settings file as JSON, "" for none; `rules` names what judges: the
    digest of the tool's release, the rules, their plugins and the settings.
    """

    values: bool = False
    settings: str = ""
    rules: str = ""


class Tally(NamedTuple):
    """How far a run is. `unchanged` are those that were only marked as seen.

    `judged_again` are those that newer rules judged from what was read before. `severities` counts
    checkpoints by their worst finding, of all that the run saw.
    """

    found: int = 0
    checked: int = 0
    unchanged: int = 0
    judged_again: int = 0
    failed: int = 0
    vanished: int = 0
    errors: int = 0
    warnings: int = 0
    notes: int = 0


def candidate_of(found: Found, location: str, source: str, owner: str, name: str) -> Candidate:
    """Return the candidate of what has no revision: it is as old as the newest of its files."""
    newest = max((file.modified_ns for file in found.files), default=0)
    return Candidate(
        location,
        source,
        location,
        found.files,
        owner=owner,
        name=name,
        modified=iso_time(newest) if newest else "",
        trouble=found.trouble,
        listed=found.listed,
    )


def iso_time(nanoseconds: int) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nanoseconds // 10**9))
