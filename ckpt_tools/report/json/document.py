"""What JSON documents share: how they are written, and members that several of them have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.rules.coverage import Coverage
    from ckpt_tools.storage.hub_name import Transfer

type JsonDict = dict[str, object]


def dump(document: Mapping[str, object], indent: int | None = 2) -> str:
    """Return `document` as ASCII JSON, safe in every encoding and on a terminal.

    Without `indent` it is one line.
    """
    return json.dumps(document, indent=indent, allow_nan=False).replace("\x7f", "\\u007f") + "\n"


def transfer(what: Transfer | None) -> JsonDict:
    """Return the member `transferred`, or none if nothing was read from the Hub."""
    return {"transferred": what._asdict()} if what else {}


def coverage_entry(coverage: Iterable[Coverage]) -> JsonDict:
    """Return the member `coverage`: the state of each question."""
    return {
        "coverage": [
            {
                "question": str(one.question),
                "state": str(one.state),
                "detail": one.detail,
                "options": list(one.options),
            }
            for one in coverage
        ]
    }
