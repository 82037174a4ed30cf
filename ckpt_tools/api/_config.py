"""The verbs for one JSON file of a checkpoint: get, set, unset, diff, validate.

Only set and unset write, and only where something changes.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.documents import DOCUMENTS
from ckpt_tools.checkpoint.locate import WORK, candidates
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.diff.model import Aspect, Comparison
from ckpt_tools.errors import (
    CkptError,
    JsonInvalid,
    PathNotFound,
    PointerInvalid,
    UnknownSelection,
    UsageError,
    WriteInterrupted,
)
from ckpt_tools.storage.durable import replace_text
from ckpt_tools.storage.files import path_not_found, read_whole
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.strict_json import edit as strict_json_edit
from ckpt_tools.strict_json.parse import decode_utf8, escape, parse, parse_object
from ckpt_tools.strict_json.pointer import ABSENT, from_words, joined, nearest, resolve, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.strict_json.parse import Json

CONFIG = "config.json"
LIMIT = 4 << 20
"""Configs have kilobytes."""

ASPECTS = (Aspect.CONFIG, Aspect.TRAIN_CONFIG, Aspect.PROCESSORS)
_SCHEMAS = {
    "train_config.json": "train-config",
    "policy_preprocessor.json": "policy-preprocessor",
    "policy_postprocessor.json": "policy-postprocessor",
}
"""By file, of any policy."""

_CONFIG_SCHEMAS = {"smolvla": "smolvla-config"}
"""Of config.json, by family."""


class Change(NamedTuple):
    """One value before and after an edit, ABSENT where there was or is none.

    `like` is the pointer of the key that may have been meant, for a new one.
    """

    pointer: str
    before: object
    after: object
    like: str = ""


class Edit(NamedTuple):
    """What was done to the file at `path`: its text before and after, and the values concerned."""

    path: str
    before: str
    after: str
    changes: tuple[Change, ...]


class Problem(NamedTuple):
    """What a schema does not allow, at a JSON pointer."""

    pointer: str
    message: str


class Verdict(NamedTuple):
    """What the schema called `schema` says of the file at `path`.

    `schema` is "" where none is known for it.
    """

    path: str
    schema: str
    problems: tuple[Problem, ...]


def get(where: AnyPath, words: str = "", *, file: AnyPath | None = None) -> Json:
    """Return the value that `words` (a JSON pointer, or keys with dots between them) name in the JSON file at `where`."""
    path = find(where, file)
    document = _checked(path, lambda: parse(_text(path)))
    return _checked(path, lambda: resolve(document, from_words(document, words)))


def set_value(
    where: AnyPath, words: str, value: object, *, file: AnyPath | None = None, dry_run: bool = False
) -> Edit:
    """Set a value in the JSON file at `where`; a new key goes to the end of its object.

    With `dry_run` nothing is written.
    """
    path = find(where, file)
    text = _text(path)

    def edited() -> Edit:
        document = parse(text)
        pointer = from_words(document, words)
        _refuse_the_whole(pointer)
        after = strict_json_edit.set_value(text, pointer, value)
        return Edit(
            path,
            text,
            after,
            (
                Change(
                    pointer, _value_or_absent(document, pointer), value, _like(document, pointer)
                ),
            ),
        )

    return _written(_checked(path, edited), dry_run=dry_run)


def unset_values(
    where: AnyPath, words: Sequence[str], *, file: AnyPath | None = None, dry_run: bool = False
) -> Edit:
    """Remove values from the JSON file at `where`, all named as the file is now.

    A key that is not there in an object that is, is no error.
    """
    path = find(where, file)
    text = _text(path)

    def edited() -> Edit:
        document = parse(text)
        pointers = list(dict.fromkeys(from_words(document, one) for one in words))
        changes = tuple(
            Change(pointer, _removable(document, pointer), ABSENT, _like(document, pointer))
            for pointer in pointers
        )
        after = text
        # The last item of a list first, and what lies in another before that: so every pointer
        # still names what it named.
        for change in sorted(changes, key=lambda change: _order(change.pointer), reverse=True):
            after = (
                after
                if change.before is ABSENT
                else strict_json_edit.unset_value(after, change.pointer)
            )
        return Edit(path, text, after, changes)

    return _written(_checked(path, edited), dry_run=dry_run)


def diff(a: AnyPath, b: AnyPath, *, file: AnyPath | None = None) -> Comparison:
    """Return what differs between two JSON files, as `ckpt diff` tells it of two checkpoints.

    A checkpoint's weights are not looked at.
    """
    # What compares is not for those who set a value.
    compare, registry = (
        importlib.import_module("ckpt_tools.diff.compare"),
        importlib.import_module("ckpt_tools.diff.groups"),
    )
    summarize = importlib.import_module("ckpt_tools.diff.summary").summarize
    path_a, path_b = find(a, file), find(b, file)
    name = _name(path_a)
    left, right = _alone(path_a, name), _alone(path_b, name)
    return Comparison(
        diff=compare.compare(
            left, right, aspects=ASPECTS, neutral=registry.shared_family(left, right).neutral
        ),
        a=summarize(left)._replace(remarks=()),
        b=summarize(right)._replace(remarks=()),
        watched=registry.watched_lines(left, right),
        stories=(),
        aspects=ASPECTS,
    )


def validate(where: AnyPath, *, file: AnyPath | None = None) -> Verdict:
    """Return what the schema of the file's kind, of config.json in its family, does not allow."""
    path = find(where, file)
    name = _name(path)
    checkpoint = _alone(path, name)
    family = importlib.import_module("ckpt_tools.families.registry").family_of(checkpoint)
    schema = _CONFIG_SCHEMAS.get(family.name, "") if name == CONFIG else _SCHEMAS.get(name, "")
    return Verdict(
        path,
        schema,
        tuple(sorted(set(_problems(schema, checkpoint.documents[0].value)))) if schema else (),
    )


def value_of(text: str) -> tuple[Json, bool]:
    """Return the value that a person means by `text`, and whether it is JSON.

    What is no JSON is taken as a string.
    """
    try:
        return parse(text), True
    except JsonInvalid:
        return text, False


def find(where: AnyPath, file: AnyPath | None = None) -> str:
    """Return the path of the JSON file that `where` names.

    Itself, or `file` (config.json) of a checkpoint's folder. Raises a UsageError.
    """
    where, file = as_text(where), as_text(file)
    if file is not None and leaves_folder(file):
        raise UnknownSelection(
            f"--file {file} leads out of the folder",
            path=where,
            hint="name the file itself instead of its folder",
        )
    if not os.path.isdir(where):
        return _single(where, file)
    for root in candidates(where):
        path = os.path.join(root, file or CONFIG)
        _refuse_unfinished(root)
        if os.path.lexists(path):
            return path
    raise PathNotFound(
        f"holds no {file or CONFIG}", path=where, hint="name another file of the folder with --file"
    )


def _refuse_the_whole(pointer: str) -> None:
    """Refuse the pointer "", which an unset shell variable is too: it stands for the whole file."""
    if not pointer:
        raise PointerInvalid(
            "an empty pointer stands for the whole file, which is not replaced",
            hint="name a key, such as load_vlm_weights",
        )


def _refuse_unfinished(root: str) -> None:
    if os.path.isdir(os.path.join(root, WORK)):
        raise WriteInterrupted("a write to this folder is going on, or was interrupted", path=root)


def _single(where: str, file: str | None) -> str:
    _refuse_unfinished(os.path.split(where)[0] or ".")
    if not os.path.lexists(where):
        raise path_not_found(where)
    if file is not None:
        raise UnknownSelection(
            "is a file, and --file names one in a folder",
            path=where,
            hint="leave --file out, or name the folder",
        )
    if not where.endswith(".json"):
        raise UsageError(
            "is no JSON file by its name",
            path=where,
            hint="name a checkpoint's folder, or a file that ends in .json",
        )
    return where


def _name(path: str) -> str:
    """Return which file of a checkpoint `path` is taken for.

    A file of a name that says nothing for config.json.
    """
    name = os.path.split(path)[1]
    return name if name in DOCUMENTS else CONFIG


def _text(path: str) -> str:
    return _checked(path, lambda: decode_utf8(read_whole(path, LIMIT)))


def _alone(path: str, name: str) -> Checkpoint:
    """Return the file at `path` as a checkpoint that holds nothing else."""
    text = _text(path)
    document = Document(
        path=name, text=text, value=dict(_checked(path, lambda: parse_object(text)))
    )
    return Checkpoint(
        where=path, root=os.path.split(path)[0] or ".", weights=(), documents=(document,)
    )


def _checked[Result](path: str, job: Callable[[], Result]) -> Result:
    try:
        return job()
    except CkptError as error:
        raise error.at(path) from None


def _written(edit: Edit, *, dry_run: bool) -> Edit:
    if edit.after != edit.before and not dry_run:
        replace_text(edit.path, edit.after)
    return edit


def _value_or_absent(document: Json, pointer: str) -> object:
    try:
        return resolve(document, pointer)
    except PointerInvalid:
        return ABSENT


def _removable(document: Json, pointer: str) -> object:
    """Return the value at `pointer`, ABSENT where its object is there and has no such key.

    Raises PointerInvalid.
    """
    found = _value_or_absent(document, pointer)
    path = segments(pointer)
    if found is ABSENT and not (path and isinstance(resolve(document, joined(path[:-1])), dict)):
        resolve(document, pointer)
    return found


def _like(document: Json, pointer: str) -> str:
    """Return the pointer of the key that may have been meant by one that is not there."""
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
    # jsonschema, and the pathlib that finds schemas, cost as much as a whole diff.
    schemas = importlib.import_module("ckpt_tools.storage.schemas")
    validator = importlib.import_module("jsonschema").Draft202012Validator(schemas.load(schema))
    for error in validator.iter_errors(value):
        yield from _told(error)


def _told(error: Any) -> Iterator[Problem]:  # noqa: ANN401 - jsonschema is loaded late, its errors have no type here
    words = importlib.import_module("ckpt_tools.text")
    pointer = joined(map(str, error.absolute_path))
    because = error.schema.get("description", "") if pointer else ""
    if error.validator == "additionalProperties":
        for key in error.instance.keys() - error.schema.get("properties", {}).keys():
            yield Problem(
                f"{pointer}/{escape(key)}", "is no field of this config, whatever its value"
            )
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield Problem(f"{pointer}/{escape(key)}", "is not there, and must be")
    else:
        limit = error.validator_value
        wanted = (
            [words.value(limit)]
            if error.validator == "const"
            else limit
            if isinstance(limit, list)
            else [limit]
        )
        is_list = error.validator in ("const", "enum", "type")
        expected = (
            f"where {' or '.join(map(str, wanted))} is expected"
            if is_list
            else f"which {error.validator} {words.value(limit)} forbids"
        )
        yield Problem(
            pointer,
            f"is {words.value(error.instance)} {expected}"
            + (f": {because.rstrip('.')}" if because else ""),
        )
