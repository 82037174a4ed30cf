"""The shard index of a sharded checkpoint, and how it agrees with its shards.

No I/O.
"""

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
    """Return the index whose JSON is `text`.

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
    metadata = metadata if isinstance(metadata, dict) else {}
    total = metadata.pop("total_size", None)
    if isinstance(total, bool) or not isinstance(total, int | float):
        total = None
    return ShardIndex(
        path, len(text.encode()), pairs, None if total is None else int(total), (*metadata.items(),)
    )


def shards(index: ShardIndex) -> tuple[str, ...]:
    """Return the paths of the shards in `index`, each once, in order of first appearance."""
    return tuple(dict.fromkeys(shard for _, shard in index.weight_map))


def shard_family(path: str) -> tuple[str, int] | None:
    """Return (stem, number of shards) of a name such as model-00001-of-00002.safetensors.

    None for any other name.
    """
    match = re.fullmatch(_SHARD_NAME, path)
    return (match["stem"], int(match["count"])) if match else None


def missing_shard(paths: Sequence[str]) -> str:
    """Return the first shard that is missing from `paths` by their names, "" if none is."""
    family = shard_family(paths[0]) if paths else None
    stem, count = family or ("", 0)
    names = (f"{stem}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1))
    return next((name for name in names if name not in paths), "")


def disagreements(
    index: ShardIndex, files: Sequence[TensorFile], names: Iterable[str]
) -> tuple[errors.IndexInvalid, ...]:
    """Return an error for every disagreement of `index`, its shards and the folder's `names`.

    Missing shards are not included, since they cannot be among `files`.
    """
    listed = dict(index.weight_map)
    actual = {tensor.name: file.path for file in files for tensor in file.tensors}
    repeated = tuple(duplicates(files))
    subjects = {error.subject for error in repeated}
    return (
        *_orphans(index, names),
        *repeated,
        *(
            errors.TensorNotInIndex(f"is in {path}, but not in the index", subject=named(name))
            for name, path in actual.items()
            if name not in listed
        ),
        *(
            errors.TensorNotInShard(
                f"is listed in {path}, but is in {actual.get(name, 'no shard')}",
                subject=named(name),
            )
            for name, path in listed.items()
            if actual.get(name) != path and named(name) not in subjects
        ),
    )


def duplicates(files: Sequence[TensorFile]) -> Iterable[errors.TensorInTwoShards]:
    """Yield an error for every tensor that is in more than one of `files`."""
    if len(files) == 1:
        return  # a header has every name once
    counts = Counter(tensor.name for file in files for tensor in file.tensors)
    for name, count in counts.items():
        if count > 1:
            paths = " and ".join(
                file.path for file in files if any(tensor.name == name for tensor in file.tensors)
            )
            yield errors.TensorInTwoShards(f"is in {paths}", subject=named(name))


def _shard_path(tensor: str, shard: object) -> str:
    if not isinstance(shard, str) or not shard:
        raise errors.IndexInvalid("the index lists no file for it", subject=named(tensor))
    if leaves_folder(shard):
        raise errors.PathEscapes(
            f"the index lists it in {shard!r}, outside the folder", subject=named(tensor)
        )
    return shard


def _refuse_two_spellings(paths: Iterable[str]) -> None:
    """Refuse an index with two spellings of one file (./a and a), which would be read twice."""
    spelling: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        plain = "/".join(part for part in path.split("/") if part not in {"", "."})
        if spelling.setdefault(plain, path) != path:
            raise errors.ShardListedTwice(f"lists one shard as {spelling[plain]!r} and as {path!r}")


def _orphans(index: ShardIndex, names: Iterable[str]) -> Iterable[errors.IndexInvalid]:
    listed = set(shards(index))
    families = {shard_family(path) for path in listed} - {None}
    for name in names:
        if name not in listed and shard_family(name) in families:
            yield errors.ShardOrphan("is not listed in the index", subject=name)
