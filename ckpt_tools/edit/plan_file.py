"""Plan files, and what planning reads from this machine.

A plan file holds the operations and the digests of what they were planned for; `load` plans them
again, and refuses the file if the checkpoint or the result is not the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.read import DOCUMENT_LIMIT, other_file, read, tensor_file
from ckpt_tools.edit import recipe
from ckpt_tools.edit.apply import check_sources
from ckpt_tools.edit.model import Plan, SourceFile
from ckpt_tools.edit.plan import plan
from ckpt_tools.errors import JsonInvalid, OutputExists, PathNotFound, PlanStale, RecipeInvalid
from ckpt_tools.storage import durable
from ckpt_tools.storage.files import open_regular, read_whole, remote_not_supported
from ckpt_tools.storage.session import is_remote
from ckpt_tools.strict_json.parse import decode_utf8, parse_object
from ckpt_tools.values import cast

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint, OtherFile, Source, TensorFile

LIMIT = 256 << 20
_MAKE_ONE = "make one with `ckpt plan WHERE RECIPE --output FILE`"


class LocalLookup:
    """A `draft.Lookup` of files on this machine. Casts that were proved are remembered."""

    def __init__(self) -> None:
        self._proved: dict[tuple[Source, Dtype], bool] = {}

    def read(self, where: str) -> Checkpoint:
        """Return the checkpoint at `where`, with an absolute root.

        Raises RemoteNotSupported for one on the Hub: planning reads payload, and applying copies
        files.
        """
        if is_remote(where):
            raise remote_not_supported(where)
        checkpoint = read(where)
        return checkpoint._replace(root=os.path.abspath(checkpoint.root))

    def loses_nothing(self, source: Source, dtype: Dtype) -> bool:
        """Whether every value in `source` survives being stored as `dtype`. Reads the payload."""
        if (source, dtype) not in self._proved:
            self._proved[source, dtype] = cast.loses_nothing(source, dtype)
        return self._proved[source, dtype]

    def identity(self, path: str) -> SourceFile | None:
        """Return size and time of the file at `path`; None for a broken link.

        Raises PathNotFound, NotAFile or Unreadable.
        """
        if os.path.islink(path) and not os.path.exists(path):
            return None
        with open_regular(path) as (descriptor, size):
            return SourceFile(os.path.abspath(path), size, os.fstat(descriptor).st_mtime_ns)

    def text(self, path: str) -> str:
        """Return the text of the JSON file at `path`."""
        return decode_utf8(read_whole(path, DOCUMENT_LIMIT))

    def state(self, path: str) -> TensorFile:
        """Return the file of processor state at `path`."""
        return tensor_file(*os.path.split(path), keep_payload=True)

    def other(self, path: str) -> OtherFile:
        """Return the file at `path`, whose format is not read."""
        return other_file(*os.path.split(path))


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
            SourceFile(_of(str, file["path"]), file["size"], file["mtime_ns"])
            for file in _of(list, source["files"])
        ]
    except PathNotFound as error:
        raise PathNotFound(error.what, path=path, hint=_MAKE_ONE) from None
    except JsonInvalid as error:
        raise RecipeInvalid(f"not a plan: {error.what}", path=path, hint=_MAKE_ONE) from None
    except (KeyError, TypeError) as error:
        raise RecipeInvalid(
            f"not a plan: {error} is missing or invalid", path=path, hint=_MAKE_ONE
        ) from None
    check_sources(files, PlanStale)
    lookup = LocalLookup()
    made = plan(lookup.read(where), operations, lookup, remains=remains)
    if (made.source_digest, made.result_digest) != promised:
        raise PlanStale(
            "the plan was edited or made by another version of ckpt: its result would be different",
            path=path,
        )
    return made


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
