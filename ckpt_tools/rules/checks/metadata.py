"""The `__metadata__` of the weight files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

LIMIT = 1 << 20
"""Characters. No model card is as long."""

_SHOWN = 100
_LONGEST = 40
_LINES = str.maketrans("", "", "\n\r\t")
_SET = "set it with `metadata` in a recipe for `ckpt plan`"


@rule("CK611", "odd-metadata", Severity.WARNING, needs=Need.HEADERS)
def odd_metadata(subject: Subject) -> Iterator[Violation]:
    r"""Metadata that is very long or not printable.

    `__metadata__` is read completely whenever a file is opened, before any weight. Megabytes of it
    are notes, an embedded config or something hidden; characters that are not printable change what
    a terminal shows.

    Move what is worth keeping to a file of its own, and set the entry to a short text: `ckpt plan`
    with `metadata`.

    Bad (an escape sequence that clears the terminal):

        {"__metadata__": {"format": "pt\u001b[2J"}}

    Good:

        {"__metadata__": {"format": "pt"}}
    """
    for file in (*subject.checkpoint.weights, *subject.checkpoint.states):
        sizes = {key: max(len(key), len(value)) for key, value in file.metadata or ()}
        long = [key for key, size in sizes.items() if size > LIMIT]
        odd = [
            key
            for key, value in file.metadata or ()
            if not (key.isprintable() and value.translate(_LINES).isprintable())
        ]
        if long:
            key = max(long, key=lambda name: sizes[name])
            what = (
                f"{count(len(long), 'metadata value')} longer than {LIMIT:,} characters, the "
                f"longest {sizes[key]:,}"
            )
            yield Violation(what, file.path, f"__metadata__/{key[:_SHOWN]}", _SET)
        if odd:
            what = f"{count(len(odd), 'metadata value')} with characters that are not printable"
            yield Violation(what, file.path, f"__metadata__/{odd[0][:_SHOWN]}", _SET)


@rule("CK612", "metadata-format", Severity.NOTE, needs=Need.HEADERS)
def metadata_format(subject: Subject) -> Iterator[Violation]:
    """A metadata format other than pt.

    `format` is the framework that the weights were saved from: pt, tf, flax, np, mlx. transformers
    rejects a file with an unknown format, and takes tf or flax for weights of another layout.
    LeRobot ignores it.

    If the weights are PyTorch's, set it: `ckpt plan` with `metadata`, or `ckpt sanitize WHERE
    --reference NORMAL`.

    Bad:

        {"__metadata__": {"format": "flax"}}

    Good:

        {"__metadata__": {"format": "pt"}}
    """
    for file in subject.checkpoint.weights:
        name = dict(file.metadata or ()).get("format", "pt")
        if name != "pt":
            what = f"the metadata's format is {name[:_LONGEST]!r}; PyTorch's is 'pt'"
            yield Violation(what, file.path, "__metadata__/format", _SET)
