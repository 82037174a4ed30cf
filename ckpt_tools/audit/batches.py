"""Batches and results as JSON texts: what engines carry to workers and back.

A batch is `{"batch": 7, "options": …, "items": […], "contents": {…}}`, its result `{"batch": 7,
"records": […], "contents": {…}}`. `contents` are compressed texts by their digest, each once.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.audit.model import (
    FileState,
    Options,
    PartContent,
    Record,
    Status,
    TensorContent,
)
from ckpt_tools.rules.coverage import Coverage, Question, State
from ckpt_tools.rules.finding import Finding, Severity
from ckpt_tools.rules.remedy import Remedy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WAIT = "wait "


class Item(NamedTuple):
    """One candidate to check: `evidence` is what an earlier check read, to be judged again."""

    location: str
    address: str
    files: tuple[FileState, ...] = ()
    evidence: tuple[tuple[str, bytes], ...] = ()


class Batch(NamedTuple):
    """Candidates that are checked together, and the contents that their evidence names."""

    number: int
    options: Options
    items: tuple[Item, ...]
    contents: Mapping[bytes, bytes] = {}


class Result(NamedTuple):
    """The records of a batch, one an item in its order, and the contents that they name."""

    number: int
    records: tuple[Record, ...]
    contents: Mapping[bytes, bytes] = {}


def batch_text(batch: Batch) -> str:
    """Return a batch as text."""
    items = [
        [one.location, one.address, one.files, _named_digests(one.evidence)] for one in batch.items
    ]
    return _text(
        {
            "batch": batch.number,
            "options": batch.options._asdict(),
            "items": items,
            "contents": _contents_text(batch.contents),
        }
    )


def parse_batch(text: str) -> Batch:
    """Return the batch in a text of `batch_text`."""
    value = json.loads(text)
    items = tuple(
        Item(location, address, tuple(FileState(*one) for one in files), _evidence(evidence))
        for location, address, files, evidence in value["items"]
    )
    return Batch(value["batch"], Options(**value["options"]), items, _contents(value["contents"]))


def result_text(result: Result) -> str:
    """Return a result as text."""
    return _text(
        {
            "batch": result.number,
            "records": [_record_text(one) for one in result.records],
            "contents": _contents_text(result.contents),
        }
    )


def parse_result(text: str) -> Result:
    """Return the result in a text of `result_text`."""
    value = json.loads(text)
    records = tuple(_record(one) for one in value["records"])
    return Result(value["batch"], records, _contents(value["contents"]))


def wait_text(seconds: float) -> str:
    """Return what a worker writes before a result when the Hub makes it wait."""
    return f"{_WAIT}{seconds:.0f}"


def parse_wait(text: str) -> float | None:
    """Return the seconds in a text of `wait_text`, None for a result."""
    return float(text.removeprefix(_WAIT)) if text.startswith(_WAIT) else None


def divided(batch: str) -> list[str]:
    """Return a batch for each item of a batch that ended its worker."""
    whole = parse_batch(batch)
    return [batch_text(whole._replace(items=(item,))) for item in whole.items]


def joined(results: Iterable[str]) -> str:
    """Return the results of the parts of a batch as one."""
    parts = [parse_result(one) for one in results]
    contents = {digest: text for part in parts for digest, text in part.contents.items()}
    records = tuple(record for part in parts for record in part.records)
    return result_text(Result(parts[0].number, records, contents))


def given_up(batch: str, reason: str) -> str:
    """Return the result of a batch whose items cannot be checked, for the same reason."""
    whole = parse_batch(batch)
    records = tuple(Record(one.location, Status.FAILED, reason) for one in whole.items)
    return result_text(Result(whole.number, records))


def _record_text(record: Record) -> dict[str, object]:
    return record._asdict() | {
        "structure": record.structure and record.structure.hex(),
        "payload": record.payload and record.payload.hex(),
        "findings": [[*one[:5], one.next] for one in record.findings],
        "tensors": [[one.digest.hex(), one.nbytes] for one in record.tensors],
        "parts": [[*one[:3], one.digest.hex()] for one in record.parts],
        "evidence": _named_digests(record.evidence),
    }


def _record(value: dict[str, Any]) -> Record:
    return Record(
        **value
        | {
            "status": Status(value["status"]),
            "dtypes": tuple((name, count) for name, count in value["dtypes"]),
            "structure": value["structure"] and bytes.fromhex(value["structure"]),
            "payload": value["payload"] and bytes.fromhex(value["payload"]),
            "findings": tuple(_finding(*one) for one in value["findings"]),
            "coverage": tuple(
                Coverage(Question(question), State(state), detail, tuple(options))
                for question, state, detail, options in value["coverage"]
            ),
            "tensors": tuple(
                TensorContent(bytes.fromhex(digest), nbytes) for digest, nbytes in value["tensors"]
            ),
            "weights": tuple(value["weights"]),
            "parts": tuple(
                PartContent(title, tensors, nbytes, bytes.fromhex(digest))
                for title, tensors, nbytes, digest in value["parts"]
            ),
            "evidence": _evidence(value["evidence"]),
        }
    )


def _finding(code: str, severity: str, what: str, path: str, subject: str, remedy: str) -> Finding:  # noqa: PLR0913, PLR0917 - the fields in their order
    return Finding(code, Severity(severity), what, path, subject, Remedy(text=remedy))


def _named_digests(evidence: Iterable[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(path, digest.hex()) for path, digest in evidence]


def _evidence(value: Iterable[tuple[str, str]]) -> tuple[tuple[str, bytes], ...]:
    return tuple((path, bytes.fromhex(digest)) for path, digest in value)


def _contents_text(contents: Mapping[bytes, bytes]) -> dict[str, str]:
    return {digest.hex(): b64encode(text).decode() for digest, text in contents.items()}


def _contents(value: Mapping[str, str]) -> dict[bytes, bytes]:
    return {bytes.fromhex(digest): b64decode(text) for digest, text in value.items()}


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
