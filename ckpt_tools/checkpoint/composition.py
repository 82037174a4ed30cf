"""Models that consist of several: what lists their components, and where each one's weights are.

A diffusers pipeline has model_index.json, a sentence-transformers model has modules.json. Folders
are listed and the list is read; no weight file is opened.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG, MODEL_INDEX, MODULES, WEIGHTS
from ckpt_tools.checkpoint.locate import (
    Location,
    pickle_in,
    refuse_unfinished,
    variants_in,
    weights_in,
)
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.checkpoint.read import other_file
from ckpt_tools.errors import FormatError, NotACheckpoint, PathEscapes
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.storage.session import is_folder, storage_of
from ckpt_tools.storage.storage import LOCAL
from ckpt_tools.strict_json.parse import decode_utf8, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.checkpoint.model import OtherFile, TensorFile
    from ckpt_tools.storage.storage import Storage

_LIST_LIMIT = 4 << 20
_PAIR = 2
_WEIGHTLESS = re.compile(r".*(?:Scheduler|Tokenizer|TokenizerFast|Processor|Extractor)(?:V\d+)?")
"""Classes of diffusers pipelines that have a JSON file or a vocabulary, and no weights."""

_WEIGHTED = frozenset(
    {
        *("Transformer", "MLMTransformer", "CLIPModel", "Dense", "LayerNorm", "LSTM", "CNN"),
        *("WordEmbeddings", "StaticEmbedding", "WeightedLayerPooling", "SparseAutoEncoder"),
    }
)
"""Classes of sentence-transformers that always have weights."""

_ROUTERS = ("Router", "Asym")
_ROUTER_CONFIGS = ("router_config.json", CONFIG)


class Component(NamedTuple):
    """A part that the list names: the folder relative to the root ("" is the root), and its class.

    `weights` is what is loaded by default, None where nothing is; `variants` are weights under a
    variant's name. `needs_weights` says that its class has some, `pickle` is a pickle in its
    folder, `is_there` whether its folder exists, `fault` why its weights are ambiguous.
    """

    name: str
    kind: str
    folder: str
    weights: Location | None
    variants: tuple[Location, ...]
    needs_weights: bool
    is_there: bool = True
    pickle: str = ""
    fault: str = ""


class Composition(NamedTuple):
    """The components that the file `path` in the folder `root` lists; `names` are in the folder.

    `document` is model_index.json, None for modules.json, which is no object.
    """

    root: str
    path: str
    names: tuple[str, ...]
    components: tuple[Component, ...]
    storage: Storage = LOCAL
    document: Document | None = None


class _Listed(NamedTuple):
    name: str
    kind: str
    folder: str
    needs_weights: bool


def composition(where: str) -> Composition | None:
    """Return the components of what `where` names, None unless it is a folder that lists some.

    Raises a FormatError for a list that cannot be read, and WriteInterrupted.
    """
    if not is_folder(where):
        return None
    storage, root = storage_of(where)
    names = storage.names(root)
    path = next((name for name in (MODEL_INDEX, MODULES) if name in names), "")
    if not path or (path == MODEL_INDEX and WEIGHTS in names):
        return None  # a pipeline has no model in its own folder
    full = os.path.join(root, path)
    try:
        text = decode_utf8(storage.read(full, _LIST_LIMIT))
        listed = tuple(_listed(parse(text), root, storage))
    except FormatError as error:
        raise error.at(full) from None
    if not listed:
        return None
    refuse_unfinished(root, names)
    components = tuple(_component(one, root, names, storage) for one in listed)
    value = parse(text)
    document = Document(path, text, dict(value)) if isinstance(value, dict) else None
    return Composition(root, path, names, components, storage, document)


def _listed(value: object, root: str, storage: Storage) -> Iterator[_Listed]:
    found = _diffusers(value) if isinstance(value, dict) else _sentence(value, root, storage)
    for one in found:
        if one.folder and leaves_folder(one.folder):
            raise PathEscapes(f"names the folder {one.folder!r}, outside the folder")
        yield one._replace(folder="/".join(part for part in one.folder.split("/") if part))


def _diffusers(value: dict[str, object]) -> Iterator[_Listed]:
    """Yield what model_index.json lists: name to [library, class]; nulls are left out."""
    for name, pair in value.items():
        if name.startswith("_") or not isinstance(pair, list) or len(pair) != _PAIR:
            continue
        library, kind = pair
        if isinstance(library, str) and isinstance(kind, str):
            yield _Listed(name, kind, name or "/", not _WEIGHTLESS.fullmatch(kind))


def _sentence(value: object, root: str, storage: Storage) -> Iterator[_Listed]:
    """Yield the modules that modules.json lists, and those of a router."""
    for module in value if isinstance(value, list) else ():
        kind = module.get("type") if isinstance(module, dict) else None
        folder = module.get("path") if isinstance(module, dict) else None
        if not isinstance(kind, str) or not isinstance(folder, str):
            continue
        yield _module(kind, folder)
        if kind.rpartition(".")[2] in _ROUTERS and not (folder and leaves_folder(folder)):
            yield from _routed(folder, os.path.join(root, folder), storage)


def _module(kind: str, folder: str) -> _Listed:
    short = kind.rpartition(".")[2]
    folder = "" if folder in (".", "./") else folder
    return _Listed(folder or short, short, folder, short in _WEIGHTED)


def _routed(folder: str, full: str, storage: Storage) -> Iterator[_Listed]:
    """Yield the modules of a router, whose config has their classes by folder."""
    for name in _ROUTER_CONFIGS:
        path = os.path.join(full, name)
        value = parse(decode_utf8(storage.read(path, _LIST_LIMIT))) if storage.is_file(path) else {}
        types = value.get("types") if isinstance(value, dict) else None
        if isinstance(types, dict):
            for below, kind in types.items():
                yield _module(str(kind), f"{folder}/{below}".lstrip("/"))
            return


def _component(listed: _Listed, root: str, names: tuple[str, ...], storage: Storage) -> Component:
    folder, full = listed.folder, os.path.join(root, listed.folder)
    found = _inside(folder, full, names, storage)
    part = Component(listed.name, listed.kind, folder, None, (), listed.needs_weights)
    if found is None:
        return part._replace(is_there=False)
    refuse_unfinished(full, found)
    # A guider or a scheduler of an unknown name has a config under its own name.
    own = [name for name in found if name.endswith("_config.json")]
    needs = listed.needs_weights and (CONFIG in found or not own)
    part = part._replace(
        variants=variants_in(full, found, storage), needs_weights=needs, pickle=pickle_in(found)
    )
    try:
        weights = weights_in(full, found, storage)
    except NotACheckpoint as error:
        return part._replace(fault="" if part.variants else error.what)
    variants = part.variants
    if weights is not None and any(_same(weights, one) for one in variants):
        weights = None  # all there is has a variant's name
    return part._replace(weights=weights)


def _inside(
    folder: str, full: str, names: tuple[str, ...], storage: Storage
) -> tuple[str, ...] | None:
    """Return the names in a component's folder, None if there is none."""
    if not folder:
        return names
    is_there = storage.is_folder(full) if "/" in folder else f"{folder}/" in names
    is_there = is_there or (folder in names and storage.is_folder(full))  # a link
    return storage.names(full) if is_there else None


def _same(one: Location, other: Location) -> bool:
    return (one.weights, one.index_file) == (other.weights, other.index_file)


def merged(
    composed: Composition, where: str, parts: Sequence[tuple[Component, Checkpoint]]
) -> Checkpoint:
    """Return the whole as one checkpoint: all components' weights, with paths from the root.

    Tensors keep their names, so two components may have tensors of one name. The documents are
    those of the root.
    """
    own = next((checkpoint for part, checkpoint in parts if not part.folder), None)
    weights = {
        file.path: file
        for part, checkpoint in parts
        for file in (_prefixed(file, part.folder) for file in checkpoint.weights)
    }
    documents = own.documents if own else ()
    if composed.document and all(one.path != composed.path for one in documents):
        documents = (composed.document, *documents)
    return Checkpoint(
        where,
        composed.root,
        tuple(weights.values()),
        shard_index=own.shard_index if own else None,
        documents=documents,
        others=own.others if own else tuple(_others(composed)),
    )


def _prefixed(file: TensorFile, folder: str) -> TensorFile:
    """Return the file with its path from the root."""
    if not folder:
        return file
    path = f"{folder}/{file.path}"
    tensors = tuple(tensor._replace(shard=path) for tensor in file.tensors)
    return file._replace(path=path, tensors=tensors)


def _others(composed: Composition) -> Iterator[OtherFile]:
    for name in composed.names:
        if composed.document is None or name != composed.path:
            yield other_file(composed.root, name, composed.storage)
