"""One run of an audit: from candidates to what changed, to batches, to the file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from blake3 import blake3

from ckpt_tools.audit.batches import Batch, Item, batch_text, parse_result
from ckpt_tools.audit.digests import with_free_digests
from ckpt_tools.audit.local_tree import may_exist
from ckpt_tools.audit.model import FileState, Record, Status, Tally
from ckpt_tools.audit.relations import relate
from ckpt_tools.audit.writing import Checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.audit.database import Database, Known
    from ckpt_tools.audit.evidence import Evidence
    from ckpt_tools.audit.model import Candidate, Options
    from ckpt_tools.audit.scope import Scope

_SHOWN = 100
"""Candidates between two reports of progress, where no batch is ready."""

BATCH = 32
"""Candidates in a batch: as many are checked again after an interruption, for each worker."""

MOST_WAITING = 2_000
"""Rows that wait for being marked as seen, or written without a check."""

_OF_IDENTITY = FileState._fields.index("inode")
"""The first fields of a file's state: those that tell that it changed."""

BATCH_BYTES = 1 << 30
"""Bytes of files in a batch whose tensor values are read."""


class Engine(Protocol):
    """What runs batches, on this machine or on others."""

    def run(self, batches: Iterator[str]) -> Iterator[str]:
        """Yield the result of every batch, in any order."""


class _Due(NamedTuple):
    """A candidate that has to be checked: `evidence` is what an earlier check of it read."""

    candidate: Candidate
    identity: bytes
    evidence: Evidence = ()


class Run:
    """One run: what it has seen, and what it gives to the engine."""

    def __init__(
        self,
        database: Database,
        number: int,
        options: Options,
        scope: Scope,
        progress: Callable[[Tally], None],
    ) -> None:
        self.requests = 0
        self._counts: Counter[str] = Counter()
        self._database = database
        self._number = number
        self._options = options
        self._scope = scope
        self._progress = progress
        self._batches_made = 0
        self._in_flight: dict[int, list[_Due]] = {}
        self._seen: list[tuple[int, str]] = []
        self._troubles: list[Checked] = []

    def execute(self, candidates: Iterable[Candidate], engine: Engine) -> Tally:
        """Check what changed, mark what vanished, relate, and return what was done."""
        for text in engine.run(self._batches(candidates)):
            self._write(text)
        self._write_waiting()
        self._mark_vanished()
        if self._database.changes or self._database.is_after_interruption(self._number):
            self._database.replace_relations(relate(self._database.connection))
        worst = self._database.worst(self._number)
        self._counts.update({f"{severity}s": number for severity, number in worst.items()})
        return self.tally

    def sent(self, requests: int) -> None:
        """Count requests to the Hub."""
        self.requests += requests

    def is_known(self, location: str, revision: str) -> bool:
        """Whether the file has this location at this revision, judged or to be judged again."""
        known = self._database.known(location)
        if known is None or not revision or known.revision != revision:
            return False
        return self._is_judged(known) or bool(self._evidence(known))

    def _batches(self, candidates: Iterable[Candidate]) -> Iterator[str]:
        """Yield batches of what has to be checked; what has not is only marked as seen."""
        due: list[_Due] = []
        nbytes = 0
        for candidate in candidates:
            self._count("found")
            if candidate.trouble:
                self._keep_trouble(candidate)
                continue
            identity = identity_of(candidate)
            known = self._database.known(candidate.location)
            is_same = known is not None and known.identity == identity
            if known is not None and is_same and self._is_judged(known):
                self._seen.append((known.id, candidate.source))
                self._counts["unchanged"] += 1
                self._write_waiting(MOST_WAITING)
                continue
            kept = self._evidence(known) if known is not None and is_same else ()
            due.append(_Due(with_free_digests(candidate), identity, kept))
            nbytes += sum(one.size for one in candidate.files) * self._options.values
            if len(due) >= BATCH or nbytes >= BATCH_BYTES:
                yield self._batch(due)
                due, nbytes = [], 0
        if due:
            yield self._batch(due)

    def _evidence(self, known: Known) -> Evidence:
        """Return what the last check of an unchanged checkpoint read, empty to read it again."""
        is_read = known.status is Status.CHECKED and not self._options.values
        return self._database.evidence(known.id) if is_read and not known.with_values else ()

    def _is_judged(self, known: Known) -> bool:
        """Whether a row is as this run would write it, if its files did not change."""
        is_judged = known.rules == self._options.rules and known.status is Status.CHECKED
        return is_judged and known.with_values >= self._options.values

    def _batch(self, due: list[_Due]) -> str:
        self._batches_made += 1
        number = self._batches_made
        self._in_flight[number] = due
        items = tuple(
            Item(one.candidate.location, one.candidate.address, one.candidate.files, one.evidence)
            for one in due
        )
        digests = {digest for one in due for _, digest in one.evidence}
        contents = {digest: self._database.content(digest) for digest in digests}
        kept = {digest: content for digest, content in contents.items() if content is not None}
        return batch_text(Batch(number, self._options, items, kept))

    def _write(self, text: str) -> None:
        result = parse_result(text)
        due = self._in_flight.pop(result.number)
        options = self._options
        checked = [
            Checked(one.candidate, one.identity, record, options.values, options.rules)
            for one, record in zip(due, result.records, strict=True)
        ]
        self._database.write(self._number, checked, result.contents)
        self.sent(sum(one.record.requests for one in checked))
        failed = sum(one.record.status is Status.FAILED for one in checked)
        again = sum(one.record.is_judged_again for one in checked)
        self._counts["checked"] += len(checked) - failed - again
        self._counts["failed"] += failed
        self._count("judged_again", again)

    def _keep_trouble(self, candidate: Candidate) -> None:
        """Keep a row for what cannot be judged, and what is known below what was not listed."""
        if not candidate.listed:
            self._scope.leave_out(candidate.location)
        record = Record(candidate.location, Status.FAILED, candidate.trouble)
        rules = self._options.rules
        self._troubles.append(Checked(candidate, identity_of(candidate), record, rules=rules))
        self._counts["failed"] += 1
        self._write_waiting(MOST_WAITING)

    def _mark_vanished(self) -> None:
        """Mark what is gone; forget rows of which nothing was known but that they failed."""
        gone: list[int] = []
        forgotten: list[int] = []
        for row in self._database.unseen(self._number):
            is_gone = self._scope.has(row.location, row.source)
            if row.is_unknown and (is_gone or not may_exist(row.location)):
                forgotten.append(row.id)
            elif is_gone:
                gone.append(row.id)
        self._database.vanish(gone, forgotten)
        self._count("vanished", len(gone))

    def _write_waiting(self, most: int = 0) -> None:
        """Write the rows that no batch has, once they are more than `most`."""
        if len(self._seen) + len(self._troubles) > most:
            seen, self._seen = self._seen, []
            troubles, self._troubles = self._troubles, []
            self._database.write(self._number, troubles, seen=seen)

    @property
    def tally(self) -> Tally:
        """How far the run is."""
        return Tally(**self._counts)

    def _count(self, what: str, number: int = 1) -> None:
        self._counts[what] += number
        if what != "found" or self._counts[what] % _SHOWN == 0:
            self._progress(self.tally)


def identity_of(candidate: Candidate) -> bytes:
    """Return what changes when a candidate's files do: the digest of its revision, or of them."""
    if candidate.revision:
        return blake3(f"revision\0{candidate.revision}".encode()).digest()
    states = sorted(one[:_OF_IDENTITY] for one in candidate.files)
    return blake3(f"{candidate.trouble!r} {states}".encode()).digest()
