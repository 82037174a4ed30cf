"""The rules that reading itself enforces: one for each way in which a file cannot be read.

The page is the docstring of the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import errors
from ckpt_tools.rules.finding import Finding, Need, Severity
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject, Violation

_CODES: dict[type[errors.FormatError], str] = {
    errors.HeaderTooSmall: "CK101",
    errors.HeaderTooLarge: "CK102",
    errors.HeaderPastEnd: "CK103",
    errors.HeaderNotUtf8: "CK104",
    errors.HeaderNotJson: "CK105",
    errors.HeaderNotObject: "CK106",
    errors.MetadataInvalid: "CK107",
    errors.MetadataRepeated: "CK108",
    errors.EntryInvalid: "CK109",
    errors.FieldMissing: "CK110",
    errors.FieldRepeated: "CK111",
    errors.DtypeUnknown: "CK112",
    errors.ShapeInvalid: "CK113",
    errors.OffsetsInvalid: "CK114",
    errors.OffsetsReversed: "CK115",
    errors.PayloadGap: "CK116",
    errors.PayloadOverlap: "CK117",
    errors.SizeMismatch: "CK118",
    errors.SizeFractional: "CK119",
    errors.SizeOverflow: "CK120",
    errors.PayloadTruncated: "CK121",
    errors.PayloadTrailing: "CK122",
    errors.TensorRepeated: "CK131",
    errors.MetadataKeyRepeated: "CK132",
    errors.MetadataNull: "CK133",
    errors.FieldUnknown: "CK134",
    errors.EntryPositional: "CK135",
    errors.DtypeWrapped: "CK136",
    errors.NameWithNul: "CK137",
    errors.HeaderIndented: "CK138",
    errors.IndexInvalid: "CK201",
    errors.ShardMissing: "CK202",
    errors.ShardOrphan: "CK203",
    errors.ShardListedTwice: "CK204",
    errors.TensorNotInIndex: "CK205",
    errors.TensorNotInShard: "CK206",
    errors.TensorInTwoShards: "CK207",
    errors.JsonSyntax: "CK601",
    errors.JsonKeyRepeated: "CK602",
    errors.JsonTooDeep: "CK603",
    errors.JsonNotObject: "CK604",
    errors.JsonNotUtf8: "CK605",
    errors.PathEscapes: "CK801",
}


def finding_of(error: errors.FormatError) -> Finding:
    """Return the finding that an error of reading is."""
    return Finding(
        _code_of(type(error)),
        Severity.ERROR,
        error.what,
        error.path,
        error.subject,
        Remedy(text=error.next),
    )


def _code_of(kind: type[errors.FormatError]) -> str:
    return next(_CODES[parent] for parent in kind.__mro__ if parent in _CODES)


def _name(kind: type) -> str:
    return "".join(
        f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__
    ).strip("-")


def _nothing(_subject: Subject) -> Iterator[Violation]:
    """Yield nothing: a checkpoint that could be read has none of these."""
    yield from ()


def _page(kind: type[errors.FormatError]) -> str:
    sentence, after = (kind.__doc__ or "").strip(), kind.hint or "look at what wrote it"
    return f"{sentence}\n\nA file that breaks this cannot be read, so nothing else about it can be checked.\n\nNext: {after}."


PARSE_RULES = tuple(
    Rule(
        code=code,
        name=_name(kind),
        severity=Severity.ERROR,
        needs=frozenset({Need.HEADERS}),
        check=_nothing,
        page=_page(kind),
    )
    for kind, code in _CODES.items()
)
