"""The verbs for one JSON file of a checkpoint: get, set, unset, diff, validate.

Only set and unset write, and only if the file changes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ckpt_tools.api._paths import AnyPath, as_text, several
from ckpt_tools.checkpoint.documents import CONFIG, DOCUMENTS, PROCESSORS, TRAIN_CONFIG, WORK
from ckpt_tools.checkpoint.folders import candidates
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.diff.compare import compare
from ckpt_tools.diff.groups import shared_family, watched_lines
from ckpt_tools.diff.model import Aspect, Comparison
from ckpt_tools.diff.summary import summarize
from ckpt_tools.errors import (
    EditRefused,
    PathNotFound,
    PointerInvalid,
    UnknownSelection,
    UsageError,
    WriteInterrupted,
    located,
)
from ckpt_tools.families.lerobot_fields import known_fields
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.storage import schemas
from ckpt_tools.storage.durable import replace_text
from ckpt_tools.storage.files import path_not_found, read_whole, remote_not_supported
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.storage.session import is_remote
from ckpt_tools.strict_json import edit
from ckpt_tools.strict_json.parse import Json, decode_utf8, escape, kind, parse, parse_object
from ckpt_tools.strict_json.pointer import (
    ABSENT,
    MISSPELLED,
    changes_type,
    from_words,
    joined,
    nearest,
    resolve,
    segments,
)
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT = 4 << 20
"""Bytes of a config; a usual one has kilobytes."""

ASPECTS = (Aspect.CONFIG, Aspect.TRAIN_CONFIG, Aspect.PROCESSORS)
_SCHEMAS = {
    TRAIN_CONFIG: "train-config",
    **dict(zip(PROCESSORS, ("policy-preprocessor", "policy-postprocessor"), strict=True)),
}
"""Schemas by file name, for any policy."""

_CONFIG_SCHEMAS = {SMOLVLA.name: "smolvla-config"}
"""Schemas of config.json, by family."""


class Change(NamedTuple):
    """One value before and after an edit, ABSENT if it does not exist.

    `like` is the pointer of an existing key that may have been meant by a new one.
    """

    pointer: str
    before: object
    after: object
    like: str = ""


class Edit(NamedTuple):
    """An edit of the file at `path`: its text before and after, and the changed values."""

    path: str
    before: str
    after: str
    changes: tuple[Change, ...]


class Problem(NamedTuple):
    """A violation of a schema, at a JSON pointer."""

    pointer: str
    message: str


class Validation(NamedTuple):
    """The problems of the file at `path` by the schema named `schema`, "" if none is known."""

    path: str
    schema: str
    problems: tuple[Problem, ...]


def get(where: AnyPath, words: str = "", *, file: AnyPath | None = None) -> Json:
    """Return the value at `words` in the JSON file at `where`.

    `words` is a JSON pointer, or keys with dots between them. `file` is the file in the folder
    `where`, by default config.json.
    """
    path = find(where, file)
    with located(path):
        document = parse(_text(path))
        return resolve(document, from_words(document, words))


def set_value(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    words: str,
    value: Json,
    *,
    file: AnyPath | None = None,
    dry_run: bool = False,
    change_type: bool = False,
) -> Edit:
    """Set `value` in the JSON file at `where`; a new key is added at the end of its object.

    `words` is a JSON pointer, or keys with dots between them. `file` is the file in the folder
    `where`, by default config.json. `dry_run` writes nothing. Raises EditRefused for a misspelled
    field of a LeRobot policy, and for a value of another JSON type than before, unless one of them
    is null or `change_type` is true.
    """
    path = find(where, file)
    with located(path):
        text = _text(path)
        document = parse(text)
        pointer = from_words(document, words)
        if not pointer:  # an unset shell variable is empty too
            raise PointerInvalid(
                "an empty pointer means the whole file, which cannot be replaced",
                hint="name a key, such as load_vlm_weights",
            )
        after = edit.set_value(text, pointer, value)
        before = _value_or_absent(document, pointer)
        _refuse_misspelled_field(document, pointer)
        if not change_type:
            _refuse_other_type(pointer, before, value)
        change = Change(pointer, before, value, _like(document, pointer))
    return _written(Edit(path, text, after, (change,)), dry_run=dry_run)


_MEANT = {"true": "true", "false": "false", "none": "null", "yes": "true", "no": "false"}
"""What a word means that is no JSON."""


def _refuse_other_type(pointer: str, before: object, value: Json) -> None:
    """Raise EditRefused for a value of another JSON type than the one before."""
    if changes_type(before, value):
        was, is_now = kind(cast("Json", before)), kind(value)
        meant = _MEANT.get(value.lower(), "") if isinstance(value, str) else ""
        raise EditRefused(
            f"{pointer} is {was} ({shown(before)}), and {shown(value)} is {is_now}",
            hint=f"write {meant}, or pass --change-type"
            if meant
            else f"write {was}, or pass --change-type",
        )


def _refuse_misspelled_field(document: Json, pointer: str) -> None:
    """Raise EditRefused for a field that the policy lacks, and that resembles one it has."""
    *path, name = segments(pointer)
    holder = _value_or_absent(document, joined(path))
    policy = str(holder.get("type")) if isinstance(holder, dict) else ""
    known = known_fields(policy)
    like = "" if not known or name in known else nearest(name, sorted(known), cutoff=MISSPELLED)
    if like:
        raise EditRefused(
            f"{pointer} is no field of {policy}: LeRobot rejects a file with it",
            hint=f"did you mean {like}?",
        )


def unset_values(
    where: AnyPath, words: Sequence[str], *, file: AnyPath | None = None, dry_run: bool = False
) -> Edit:
    """Remove values from the JSON file at `where`.

    `words` are JSON pointers, or keys with dots between them; all refer to the file before. `file`
    is the file in the folder `where`, by default config.json. `dry_run` writes nothing. A missing
    key of an existing object is not an error.
    """
    path = find(where, file)
    with located(path):
        text = after = _text(path)
        document = parse(text)
        changes = tuple(
            Change(pointer, _removable(document, pointer), ABSENT, _like(document, pointer))
            for pointer in dict.fromkeys(from_words(document, one) for one in several(words))
        )
        # The last item of a list first, and inner values before outer ones: so every pointer still
        # refers to the same value.
        for change in sorted(changes, key=lambda change: _order(change.pointer), reverse=True):
            if change.before is not ABSENT:
                after = edit.unset_value(after, change.pointer)
    return _written(Edit(path, text, after, changes), dry_run=dry_run)


def diff(a: AnyPath, b: AnyPath, *, file: AnyPath | None = None) -> Comparison:
    """Compare the JSON files at `a` and `b` as `ckpt diff` compares those of two checkpoints.

    `file` is the file in both, by default config.json, where they are folders.
    """
    path_a, path_b = find(a, file), find(b, file)
    name = _name(path_a)
    left, right = _alone(path_a, name), _alone(path_b, name)
    neutral = shared_family(left, right).neutral
    return Comparison(
        diff=compare(left, right, aspects=ASPECTS, neutral=neutral),
        a=summarize(left)._replace(remarks=()),
        b=summarize(right)._replace(remarks=()),
        watched=watched_lines(left, right),
        stories=(),
        aspects=ASPECTS,
    )


def validate(where: AnyPath, *, file: AnyPath | None = None) -> Validation:
    """Check the JSON file at `where` against the schema of its name, config.json its family's.

    `file` is the file in the folder `where`, by default config.json.
    """
    path = find(where, file)
    name = _name(path)
    checkpoint = _alone(path, name)
    by_family = _CONFIG_SCHEMAS.get(family_of(checkpoint).name, "")
    schema = by_family if name == CONFIG else _SCHEMAS.get(name, "")
    problems = set(_problems(schema, checkpoint.documents[0].value)) if schema else ()
    return Validation(path, schema, tuple(sorted(problems)))


def find(where: AnyPath, file: AnyPath | None = None) -> str:
    """Return the path of a JSON file: `where`, or `file` (config.json) in the folder `where`.

    Raises a UsageError.
    """
    where, file = as_text(where), as_text(file)
    if file is not None and leaves_folder(file):
        raise UnknownSelection(
            f"{file!r} leads out of the folder",
            path=where,
            hint="omit --file, and give the path of the file instead of the folder",
        )
    if not os.path.isdir(where):
        return _single(where, file)
    for root in candidates(where):
        path = os.path.join(root, file or CONFIG)
        _refuse_unfinished(root)
        if os.path.lexists(path):
            return path
    raise PathNotFound(
        f"no {file or CONFIG} in this folder", path=where, hint="choose another file with --file"
    )


def _refuse_unfinished(root: str) -> None:
    if os.path.isdir(os.path.join(root, WORK)):
        raise WriteInterrupted("a write to this folder is running or was interrupted", path=root)


def _single(where: str, file: str | None) -> str:
    _refuse_unfinished(os.path.dirname(where) or ".")
    if not os.path.lexists(where):
        if is_remote(where):
            raise remote_not_supported(where)
        raise path_not_found(where, "expected a checkpoint folder or a .json file")
    if file is not None:
        raise UnknownSelection(
            "is a file, but --file needs a folder",
            path=where,
            hint="omit --file, or give the folder",
        )
    if not where.endswith(".json"):
        raise UsageError(
            "not a JSON file: its name does not end in .json",
            path=where,
            hint="give a checkpoint folder or a .json file",
        )
    return where


def _name(path: str) -> str:
    """Return the name by which a file is treated: its own if known, else config.json."""
    name = os.path.basename(path)
    return name if name in DOCUMENTS else CONFIG


def _text(path: str) -> str:
    return decode_utf8(read_whole(path, LIMIT))


def _alone(path: str, name: str) -> Checkpoint:
    """Return the file at `path` as the only file of a checkpoint."""
    with located(path):
        text = _text(path)
        document = Document(name, text, dict(parse_object(text)))
    root = os.path.dirname(path) or "."
    return Checkpoint(where=path, root=root, weights=(), documents=(document,))


def _written(edited: Edit, *, dry_run: bool) -> Edit:
    if edited.after != edited.before and not dry_run:
        replace_text(edited.path, edited.after)
    return edited


def _value_or_absent(document: Json, pointer: str) -> object:
    try:
        return resolve(document, pointer)
    except PointerInvalid:
        return ABSENT


def _removable(document: Json, pointer: str) -> object:
    """Return the value at `pointer`, ABSENT if its object exists without such a key.

    Raises PointerInvalid.
    """
    found = _value_or_absent(document, pointer)
    path = segments(pointer)
    if found is ABSENT and not (path and isinstance(resolve(document, joined(path[:-1])), dict)):
        resolve(document, pointer)
    return found


def _like(document: Json, pointer: str) -> str:
    """Return the pointer of an existing key that may have been meant by a new one, or ""."""
    path = segments(pointer)
    holder = _value_or_absent(document, joined(path[:-1]))
    if not path or not isinstance(holder, dict) or path[-1] in holder:
        return ""
    like = nearest(path[-1], list(holder))
    return joined([*path[:-1], like]) if like else ""


def _order(pointer: str) -> list[tuple[int, str]]:
    return [
        (int(segment) if segment.isdecimal() and len(segment) < 10 else -1, segment)  # noqa: PLR2004 - longer is no index
        for segment in segments(pointer)
    ]


def _problems(schema: str, value: dict[str, object]) -> Iterator[Problem]:
    import jsonschema  # noqa: PLC0415 - for `validate` only: it costs as much as a whole diff

    validator = jsonschema.Draft202012Validator(schemas.load(schema))
    for error in validator.iter_errors(value):
        yield from _described(error)


def _described(error: Any) -> Iterator[Problem]:  # noqa: ANN401 - an error of jsonschema, which is imported late
    pointer = joined(map(str, error.absolute_path))
    because = error.schema.get("description", "").rstrip(".") if pointer else ""
    limit = error.validator_value
    if error.validator == "additionalProperties":
        for key in error.instance.keys() - error.schema.get("properties", {}).keys():
            yield Problem(f"{pointer}/{escape(key)}", "unknown field of this config")
    elif error.validator == "required":
        for key in limit:
            if key not in error.instance:
                yield Problem(f"{pointer}/{escape(key)}", "required field is missing")
    else:
        expected = f"{error.validator} {shown(limit)}"
        if error.validator == "const":
            expected = shown(limit)
        elif error.validator in ("enum", "type"):
            expected = " or ".join(map(str, limit if isinstance(limit, list) else [limit]))
        reason = f" ({because})" if because else ""
        yield Problem(pointer, f"expected {expected}, found {shown(error.instance)}{reason}")
