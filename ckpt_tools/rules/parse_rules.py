"""The rules that reading itself enforces: one for each way in which a file cannot be read.

The title of a page is the docstring of the error.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING

from ckpt_tools import errors
from ckpt_tools.rules.finding import Finding, Need, Severity
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject, Violation

_ENTRY = '{"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}'
_TWO = "a: data_offsets [0, 2]    b: data_offsets "
_FILES = "model.safetensors.index.json    model-00001-of-00002.safetensors    "
_BOTH = f"{_FILES}model-00002-of-00002.safetensors"
_MAP = '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'

_RULES: tuple[tuple[str, type[errors.FormatError], str, str], ...] = (
    # code, error, a bad example, a good one
    ("CK101", errors.HeaderTooSmall, "a file of 7 bytes", "a file of 8 bytes and a header"),
    ("CK102", errors.HeaderTooLarge, "header length 100000001", "header length 48928"),
    (
        "CK103",
        errors.HeaderPastEnd,
        "header length 48928 in a file of 20000 bytes",
        "header length 48928 in a file of 906762304 bytes",
    ),
    ("CK104", errors.HeaderNotUtf8, r'{"caf\xe9.weight": …}', r'{"caf\xc3\xa9.weight": …}'),
    ("CK105", errors.HeaderNotJson, "{'a': …}", '{"a": …}'),
    ("CK106", errors.HeaderNotObject, "[]", "{}"),
    (
        "CK107",
        errors.MetadataInvalid,
        '"__metadata__": {"epoch": 3}',
        '"__metadata__": {"epoch": "3"}',
    ),
    (
        "CK108",
        errors.MetadataRepeated,
        '"__metadata__": {}, "__metadata__": {}',
        '"__metadata__": {}',
    ),
    ("CK109", errors.EntryInvalid, '{"a": 1}', _ENTRY),
    ("CK110", errors.FieldMissing, '{"a": {"dtype": "U8", "shape": [2]}}', _ENTRY),
    ("CK111", errors.FieldRepeated, '{"a": {"dtype": "U8", "dtype": "I8", …}}', _ENTRY),
    ("CK112", errors.DtypeUnknown, '"dtype": "FLOAT"', '"dtype": "F32"'),
    ("CK113", errors.ShapeInvalid, '"shape": [-2]', '"shape": [2]'),
    ("CK114", errors.OffsetsInvalid, '"data_offsets": [0, 2.0]', '"data_offsets": [0, 2]'),
    ("CK115", errors.OffsetsReversed, '"data_offsets": [2, 0]', '"data_offsets": [0, 2]'),
    ("CK116", errors.PayloadGap, f"{_TWO}[3, 5]", f"{_TWO}[2, 4]"),
    ("CK117", errors.PayloadOverlap, f"{_TWO}[1, 3]", f"{_TWO}[2, 4]"),
    (
        "CK118",
        errors.SizeMismatch,
        '"dtype": "F32", "shape": [2], "data_offsets": [0, 4]',
        '"dtype": "F32", "shape": [2], "data_offsets": [0, 8]',
    ),
    ("CK119", errors.SizeFractional, '"dtype": "F4", "shape": [3]', '"dtype": "F4", "shape": [4]'),
    ("CK120", errors.SizeOverflow, '"shape": [4294967296, 4294967296]', '"shape": [4096, 4096]'),
    ("CK121", errors.PayloadTruncated, "1 of 2 payload bytes", "2 of 2 payload bytes"),
    ("CK122", errors.PayloadTrailing, "5 payload bytes, 2 in the header", "2 payload bytes"),
    ("CK131", errors.TensorRepeated, '{"a": …, "a": …}', '{"a": …, "b": …}'),
    (
        "CK132",
        errors.MetadataKeyRepeated,
        '"__metadata__": {"k": "1", "k": "2"}',
        '"__metadata__": {"k": "2"}',
    ),
    ("CK133", errors.MetadataNull, '"__metadata__": null', '"__metadata__": {}'),
    ("CK134", errors.FieldUnknown, '{"a": {"layout": "row", …}}', _ENTRY),
    ("CK135", errors.EntryPositional, '{"a": ["U8", [2], [0, 2]]}', _ENTRY),
    ("CK136", errors.DtypeWrapped, '"dtype": {"U8": null}', '"dtype": "U8"'),
    ("CK137", errors.NameWithNul, r'{"a\u0000b": …}', '{"ab": …}'),
    ("CK138", errors.HeaderIndented, ' {"a": …}', '{"a": …}'),
    ("CK201", errors.IndexInvalid, '{"weight_map": 7}', _MAP),
    ("CK202", errors.ShardMissing, _FILES, _BOTH),
    ("CK203", errors.ShardOrphan, f"{_BOTH}    extra.safetensors", _BOTH),
    (
        "CK204",
        errors.ShardListedTwice,
        '"a": "model-1.safetensors", "b": "./model-1.safetensors"',
        '"a": "model-1.safetensors", "b": "model-1.safetensors"',
    ),
    ("CK205", errors.TensorNotInIndex, '{"weight_map": {}}', _MAP),
    ("CK206", errors.TensorNotInShard, '{"weight_map": {"ghost": "…"}}', _MAP),
    (
        "CK207",
        errors.TensorInTwoShards,
        "shard 1: a, b    shard 2: b, c",
        "shard 1: a, b    shard 2: c",
    ),
    ("CK601", errors.JsonSyntax, '{"lr": NaN}', '{"lr": 0.0001}'),
    ("CK602", errors.JsonKeyRepeated, '{"type": "smolvla", "type": "act"}', '{"type": "smolvla"}'),
    ("CK603", errors.JsonTooDeep, "[[[[ … ]]]]  (128 deep)", "[[[[ … ]]]]  (127 deep)"),
    ("CK604", errors.JsonNotObject, "[]", "{}"),
    ("CK605", errors.JsonNotUtf8, r'{"robot": "caf\xe9"}', r'{"robot": "caf\xc3\xa9"}'),
    ("CK801", errors.PathEscapes, '{"weight_map": {"a": "../model.safetensors"}}', _MAP),
)
_CODES = {kind: code for code, kind, _, _ in _RULES}


def finding_of(error: errors.FormatError) -> Finding:
    """Return the finding for an error of reading."""
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    remedy = Remedy(text=error.next)
    return Finding(code, Severity.ERROR, error.what, error.path, error.subject, remedy)


def _nothing(_subject: Subject) -> Iterator[Violation]:
    """Yield nothing: a checkpoint that could be read breaks none of these rules."""
    yield from ()


def _rule(code: str, kind: type[errors.FormatError], bad: str, good: str) -> Rule:
    title, _, more = cleandoc(kind.__doc__ or "").partition("\n")
    name = "".join(f"-{one.lower()}" if one.isupper() else one for one in kind.__name__).strip("-")
    paragraphs = (
        title.rstrip("."),
        more.strip(),
        "Such a file cannot be read, so nothing else about it can be checked.",
        f"Next: {kind.hint}.",
        "Bad:",
        f"    {bad}",
        "Good:",
        f"    {good}",
    )
    return Rule(
        code=code,
        name=name,
        severity=Severity.ERROR,
        needs=frozenset({Need.HEADERS}),
        check=_nothing,
        page="\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n",
    )


PARSE_RULES = tuple(_rule(*row) for row in _RULES)
