"""The shard index of a sharded checkpoint (`*.safetensors.index.json`), and whether index and shards agree. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools import errors
from ckpt_tools.checkpoint.header_entry import named
from ckpt_tools.checkpoint.model import ShardIndex
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.strict_json.parse import kind, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ckpt_tools.checkpoint.model import TensorFile

INDEX_SUFFIX = ".safetensors.index.json"

_SHARD_NAME = r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors"


def decode(text: str, path: str) -> ShardIndex:
    """Return the index that `text` spells.

    Raises JsonInvalid, IndexInvalid, PathEscapes, ShardListedTwice.
    """
    document = parse_object(text)
    weight_map = document.get("weight_map")
    if not isinstance(weight_map, dict):
        raise errors.IndexInvalid(
            "has no weight_map"
            if weight_map is None
            else f"weight_map is {kind(weight_map)}, not an object"
        )
    pairs = tuple((tensor, _shard_path(tensor, shard)) for tensor, shard in weight_map.items())
    _refuse_two_spellings(shard for _, shard in pairs)
    metadata = document.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return ShardIndex(
        path=path,
        size=len(text.encode()),
        weight_map=pairs,
        total_size=int(total)
        if isinstance(total, int | float) and not isinstance(total, bool)
        else None,
    )


def shards(index: ShardIndex) -> tuple[str, ...]:
    """Return the paths of the shards that `index` names, each once, in the order in which it names them."""
    return tuple(dict.fromkeys(shard for _, shard in index.weight_map))


def shard_family(path: str) -> tuple[str, int] | None:
    """Return (stem, number of shards) for a name such as model-00001-of-00002.safetensors, None for any other."""
    match = re.fullmatch(_SHARD_NAME, path)
    return (match["stem"], int(match["count"])) if match else None


def lacking(paths: Sequence[str]) -> str:
    """Return the first shard that is not among `paths` although their names speak of it, "" if they are complete."""
    match = re.fullmatch(_SHARD_NAME, paths[0]) if paths else None
    every = (
        (
            f"{match['stem']}-{number:05}-of-{match['count']}.safetensors"
            for number in range(1, int(match["count"]) + 1)
        )
        if match
        else ()
    )
    return next((name for name in every if name not in paths), "")


def disagreements(
    index: ShardIndex, files: Sequence[TensorFile], present: Iterable[str]
) -> tuple[errors.IndexInvalid, ...]:
    """Return every way in which `index`, the shards read (`files`) and the folder's listing (`present`) disagree, none raised.

    Missing shards are not among them: whoever read the files has met those.
    """
    promised = dict(index.weight_map)
    held = {tensor.name: file.path for file in files for tensor in file.tensors}
    twice = {error.subject for error in doubles(files)}
    return (
        *_orphans(index, present),
        *doubles(files),
        *(
            errors.TensorNotInIndex(f"is in {path}, but not in the index", subject=named(name))
            for name, path in held.items()
            if name not in promised
        ),
        *(
            errors.TensorNotInShard(
                f"should be in {path}, and is {_where(held.get(name))}", subject=named(name)
            )
            for name, path in promised.items()
            if held.get(name) != path and named(name) not in twice
        ),
    )


def _shard_path(tensor: str, shard: object) -> str:
    if not isinstance(shard, str) or not shard:
        raise errors.IndexInvalid("the index names no file for it", subject=named(tensor))
    if leaves_folder(shard):
        raise errors.PathEscapes(
            f"the index places it in {shard!r}, outside the folder", subject=named(tensor)
        )
    return shard


def _refuse_two_spellings(paths: Iterable[str]) -> None:
    """Refuse an index in which one file has two spellings (./a and a).

    Each would be read, and counted, twice.
    """
    spelling: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        plain = "/".join(part for part in path.split("/") if part not in ("", "."))
        if spelling.setdefault(plain, path) != path:
            raise errors.ShardListedTwice(f"names one shard as {spelling[plain]!r} and as {path!r}")


def _orphans(index: ShardIndex, present: Iterable[str]) -> Iterable[errors.IndexInvalid]:
    listed = set(shards(index))
    families = {shard_family(path) for path in listed} - {None}
    for path in present:
        if path not in listed and shard_family(path) in families:
            yield errors.ShardOrphan(
                "is a shard by its name, but the index does not name it", subject=path
            )


def doubles(files: Sequence[TensorFile]) -> Iterable[errors.TensorInTwoShards]:
    """Yield an error for every tensor that is in more than one of `files`."""
    counts = Counter(tensor.name for file in files for tensor in file.tensors)
    for name, count in counts.items():
        if count > 1:
            homes = " and ".join(
                file.path for file in files if any(tensor.name == name for tensor in file.tensors)
            )
            yield errors.TensorInTwoShards(f"is in {homes}", subject=named(name))


def _where(path: str | None) -> str:
    return f"in {path}" if path else "in no shard"
