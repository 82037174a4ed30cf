"""What a worker of an audit does: check every checkpoint of a batch."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from ckpt_tools.api._remembered import Memory
from ckpt_tools.api._rules import known_rules
from ckpt_tools.api._verify import check, quoted
from ckpt_tools.audit import digests, evidence, sources
from ckpt_tools.audit.batches import Result, parse_batch, result_text
from ckpt_tools.audit.engines.local import ignore_wait
from ckpt_tools.audit.lineage import declared_bases
from ckpt_tools.audit.model import Record, Status
from ckpt_tools.audit.naming import unescaped
from ckpt_tools.errors import CkptError
from ckpt_tools.families.kinds import kinds_of
from ckpt_tools.gate.decide import apply_suppressions
from ckpt_tools.gate.masking import masked
from ckpt_tools.gate.settings import LIMIT, is_inside, settings_of
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.progress import SILENT
from ckpt_tools.rules import plugins
from ckpt_tools.scan.secrets import mask
from ckpt_tools.storage.files import read_whole
from ckpt_tools.storage.hub_quota import QuotaWait, waiting_out
from ckpt_tools.storage.recording import NotRecorded, Recording, active, observed
from ckpt_tools.storage.session import hub_session, is_remote
from ckpt_tools.upload.card import NAME as README

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.audit.batches import Batch, Item
    from ckpt_tools.audit.model import FileState
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.finding import Verification
    from ckpt_tools.rules.rule import Rule


_CHANGED = (
    "a file changed after it was listed; another program is writing to this checkpoint: wait for it"
    " to finish and run the audit again"
)


def examine_batch(text: str, waits: Callable[[float], None] = ignore_wait) -> str:
    """Check every checkpoint of the batch `text` of an engine, and return the result as text.

    A checkpoint that cannot be looked at becomes a failed record with the reason; nothing is
    raised. `waits` gets the seconds whenever the Hub's quota makes it wait.
    """
    batch = parse_batch(text)
    examiner = _Examiner(batch)
    with waiting_out(QuotaWait(waits)):
        records = tuple(map(examiner.examine, batch.items))
    return result_text(Result(batch.number, records, examiner.contents))


class _Examiner:
    """Checks the items of one batch, and collects the contents that their evidence names."""

    def __init__(self, batch: Batch) -> None:
        self.contents: dict[bytes, bytes] = {}
        self._batch = batch
        self._settings = _settings(batch.options.settings)

    def examine(self, item: Item) -> Record:
        """Return the record of a checkpoint; one that cannot be looked at has failed."""
        try:
            return self._judged_again(item) or self._read(item)
        except CkptError as error:
            reason = mask(str(error))
        except OSError as error:
            reason = f"{(error.strerror or str(error)).lower()}; check the path and the disk"
        except MemoryError:
            reason = "not enough memory to check it"
        except RecursionError:
            reason = "is nested too deeply to be checked"
        return Record(item.location, Status.FAILED, reason)

    def _judged_again(self, item: Item) -> Record | None:
        """Return the record by what an earlier check read, None if that does not suffice."""
        recording = evidence.replay(item.address, item.evidence, self._batch.contents)
        if recording is None or plugins.are_there():
            return None  # rules of other distributions may look at more than what was kept
        try:
            record = self._checked(item, recording)
        except (NotRecorded, CkptError):
            return None
        return record._replace(evidence=item.evidence, is_judged_again=True)

    def _read(self, item: Item) -> Record:
        recording = Recording(item.address)
        record = self._checked(item, recording)
        if _has_changed(item):
            return Record(item.location, Status.FAILED, _CHANGED)
        if self._batch.options.values or plugins.are_there():
            return record
        kept, contents = evidence.packed(recording)
        self.contents |= contents
        return record._replace(evidence=kept)

    @hub_session()
    def _checked(self, item: Item, recording: Recording) -> Record:
        values = self._batch.options.values and not is_remote(item.address)
        if not recording.is_replay:
            sources.remember_listing(item.address, item.files)
        with active(recording):
            found = check(
                item.address,
                rules=audit_rules(),
                reference=None,
                spec=None,
                values=values,
                target="",
                progress=SILENT,
            )
            settings = self._settings
            if settings.source and is_inside(settings.source, item.address):
                settings = Settings()  # written by the checkpoint's author
            result = masked(apply_suppressions(found, settings), quoted(found))
            return _record(item.location, result, recording, values=values)


def _has_changed(item: Item) -> bool:
    """Whether a local file is not as it was listed; what was read may be of two states."""
    if "://" in item.address:
        return False
    root = item.address if os.path.isdir(item.address) else os.path.dirname(item.address)
    return any(_is_other(root, file.path, file) for file in item.files)


def _is_other(root: str, name: str, file: FileState) -> bool:
    try:
        status = os.stat(os.path.join(root, name))
    except OSError:
        real = unescaped(name)  # of bytes that are not UTF-8
        return _is_other(root, real, file) if real != name else file.modified_ns != 0
    return (status.st_size, status.st_mtime_ns) != (file.size, file.modified_ns)


def _record(location: str, found: Verification, recording: Recording, *, values: bool) -> Record:
    checkpoint = found.checkpoint
    record = Record(
        location,
        Status.CHECKED,
        family=found.family,
        findings=found.findings,
        coverage=found.coverage,
        requests=found.transferred.requests if found.transferred else 0,
    )
    if checkpoint is None:
        return record
    key = (recording.state(), recording.name(checkpoint.root))
    described = _DESCRIBED.get(key)
    if described is None:
        described = _described(checkpoint)
        _DESCRIBED.put(key, described)
    record = record._replace(
        **described,
        weights=digests.weight_paths(checkpoint, location),
        base_model=observed("bases", checkpoint.root, lambda: _base_model(checkpoint)),
    )
    if not values:
        return record
    read = digests.contents_of(checkpoint)
    return record._replace(payload=read.payload, tensors=read.tensors, parts=read.parts)


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a record has of headers and configs."""
    tensors = checkpoint.tensors
    labels = Counter(one.dtype.label for one in tensors)
    return {
        "kind": ", ".join(sorted(kinds_of(checkpoint))),
        "tensor_count": len(tensors),
        "parameters": sum(one.parameters for one in tensors),
        "nbytes": sum(one.nbytes for one in tensors),
        "dtypes": tuple(sorted(labels.items())),
        "structure": digests.structure_of(checkpoint),
    }


def _base_model(checkpoint: Checkpoint) -> str:
    """Return the names of its bases, a line each. On the Hub the listing has those of the card."""
    card = ""
    if not is_remote(checkpoint.root) and any(one.path == README for one in checkpoint.others):
        with suppress(CkptError):  # a card that cannot be read names nothing
            path = os.path.join(checkpoint.root, README)
            card = read_whole(path, LIMIT, "a model card").decode("utf-8", "replace")
    return "\n".join(map(mask, declared_bases(checkpoint, card)))


_DESCRIBED: Memory[dict[str, Any]] = Memory()
"""What records have of headers and configs, by all that was read."""


@cache
def audit_rules() -> tuple[Rule, ...]:
    """Return the rules of an audit: those of `verify`."""
    return tuple(rule for rule in known_rules() if not rule.supply_chain)


def _settings(text: str) -> Settings:
    if not text:
        return Settings()
    table, path, _ = json.loads(text)
    return settings_of(table, path)
