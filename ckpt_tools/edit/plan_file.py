"""Plan files.

A plan file holds the operations and the digests of what they were planned for; `load` plans them
again, and rejects the file if the checkpoint or the result is not the same.
"""

from __future__ import annotations

import os

from ckpt_tools.edit import recipe
from ckpt_tools.edit.apply import check_sources
from ckpt_tools.edit.lookup import Lookup
from ckpt_tools.edit.model import Plan, SourceFile
from ckpt_tools.edit.plan import bound_to, plan
from ckpt_tools.errors import (
    JsonInvalid,
    NotAFile,
    OutputExists,
    PathNotFound,
    PlanStale,
    RecipeInvalid,
)
from ckpt_tools.storage import durable
from ckpt_tools.storage.digests import sha256_at
from ckpt_tools.storage.files import read_whole
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

LIMIT = 256 << 20
_MAKE_ONE = "make one with `ckpt plan WHERE RECIPE --output FILE`"


def load(path: str) -> Plan:
    """Plan the operations in the plan file at `path` again.

    Raises PlanStale if a file that the plan reads has changed or the outcome would be another, and
    RecipeInvalid for a file that is not a plan.
    """
    try:
        document = parse_object(decode_utf8(read_whole(path, LIMIT)))
        where = _of(str, document["checkpoint"])
        source, result = _of(dict, document["source"]), _of(dict, document["result"])
        operations = recipe.operations({"operations": document["operations"]})
        remains = tuple(_of(str, item) for item in _of(list, document["remains"]))
        promised = (source["digest"], result["digest"])
        files = [
            SourceFile(
                _of(str, file["path"]),
                file["size"],
                file["mtime_ns"],
                _of(str, file.get("sha256", "")),
            )
            for file in _of(list, source["files"])
        ]
    except (PathNotFound, NotAFile) as error:
        raise type(error)(error.what, path=path, hint=_MAKE_ONE) from None
    except JsonInvalid as error:
        raise RecipeInvalid(f"not a plan: {error.what}", path=path, hint=_MAKE_ONE) from None
    except (KeyError, TypeError) as error:
        raise RecipeInvalid(
            f"not a plan: {error} is missing or invalid", path=path, hint=_MAKE_ONE
        ) from None
    check_sources(files, PlanStale)
    contents = {file.path: file.sha256 for file in files if file.sha256}
    _check_contents(contents)
    lookup = Lookup()
    made = plan(lookup.read(where), operations, lookup, remains=remains)
    if contents:
        made = bound_to(made, contents)
    if (made.source_digest, made.result_digest) != promised:
        raise PlanStale(
            "the plan was edited or made by another version of ckpt: its result would be different",
            path=path,
        )
    return made


def _check_contents(contents: dict[str, str]) -> None:
    """Raise PlanStale for a file of another content, though of the size and time of the plan's."""
    for path, sha256 in contents.items():
        if (found := sha256_at(path)) != sha256:
            raise PlanStale(
                f"has other content than the plan is for: SHA-256 {found[:12]}…,"
                f" not {sha256[:12]}…",
                path=path,
            )


def _of[Kind](kind: type[Kind], value: object) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(value)
    return value


def write_new(path: str, text: str) -> None:
    """Write a plan or a receipt to the new file `path`. Raises OutputExists."""
    refuse_existing(path)
    durable.write_file(path, text.encode())


def refuse_existing(path: str) -> None:
    """Raise OutputExists if there is a file at `path`."""
    if os.path.lexists(path):
        raise OutputExists(
            "already exists", path=path, hint="name another file, or remove it first"
        )
