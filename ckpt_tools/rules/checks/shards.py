"""Which files the weights are in.

Whether the index agrees with its shards (CK201 to CK207) is checked in `checkpoint.shard_index`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import DIFFUSERS_WEIGHTS, WEIGHTS, WEIGHTS_INDEX
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX, shard_family, shards
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import LEROBOT, profile_of
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.payload import SecondSet
    from ckpt_tools.rules.rule import Subject

_INDEX = ".index.json"


@rule(
    "CK208",
    "single-file",
    Severity.ERROR,
    needs=Need.HEADERS,
    fix="ckpt sanitize WHERE",
    safe=True,
    families=(SMOLVLA.name,),
)
def single_file(subject: Subject) -> Iterator[Violation]:
    """Weights that are not in one file, model.safetensors.

    Stock LeRobot opens model.safetensors and no other file. It does not find shards with an index,
    which transformers reads, or a file of another name: loading fails, or looks for the weights on
    the Hub. The gate skips this under a profile other than `lerobot`.

    `ckpt sanitize` and `ckpt merge` write the single file.

    Bad:

        config.json
        model.safetensors.index.json
        model-00001-of-00002.safetensors
        model-00002-of-00002.safetensors

    Good:

        config.json
        model.safetensors
    """
    paths = [file.path for file in subject.checkpoint.weights]
    is_folder = bool(subject.checkpoint.documents) or subject.entries is not None
    is_lerobot = profile_of(subject).name == LEROBOT.name
    if not is_folder or not paths or paths == [WEIGHTS] or not is_lerobot:
        return
    index = subject.checkpoint.shard_index
    held = paths[0] if len(paths) == 1 else count(len(paths), "shard")
    yield Violation(
        f"the weights are in {held}; stock LeRobot reads only {WEIGHTS}",
        index.path if index and len(paths) > 1 else paths[0],
    )


@rule("CK209", "index-beside-single-file", Severity.WARNING, needs=Need.HEADERS)
def index_beside_single_file(subject: Subject) -> Iterator[Violation]:
    """Shard index next to a single weight file.

    Two saves lie in one folder. Readers disagree about which of the two counts: transformers and
    LeRobot load model.safetensors and do not look at the index; diffusers and other programs take
    the index first. Whoever edited, merged or trained one of the two publishes the other as well.

    Decide which of the two is the model, and move the other one away: the index with its shards, or
    the single file. If both have the same values, either can go.

    Bad:

        model.safetensors
        model.safetensors.index.json
        model-00001-of-00002.safetensors
        model-00002-of-00002.safetensors

    Good:

        model.safetensors
    """
    checkpoint = subject.checkpoint
    listed = (
        entry.path
        for entry in subject.entries or ()
        if entry.kind != "folder" and "/" not in entry.path
    )
    names = {*checkpoint.paths, *listed}
    index = checkpoint.shard_index
    if index and index.path == f"{DIFFUSERS_WEIGHTS}{_INDEX}" and DIFFUSERS_WEIGHTS in names:
        yield Violation(
            f"lists shards, which diffusers loads; it does not look at {DIFFUSERS_WEIGHTS} beside",
            index.path,
            next=f"keep one: move {DIFFUSERS_WEIGHTS} away, or the index and its shards",
        )
    if [file.path for file in checkpoint.weights] == [WEIGHTS]:
        for path in sorted(name for name in names if name.endswith(INDEX_SUFFIX)):
            second = subject.second if path == WEIGHTS_INDEX else None
            what, keep = _two_sets(second)
            yield Violation(f"is a shard index, but all weights are in {what}", path, next=keep)


def _two_sets(second: SecondSet | None) -> tuple[str, str]:
    """Return how the shards of an index and model.safetensors compare, and what to decide."""
    loaded = f"{WEIGHTS}, which transformers and LeRobot load"
    either = f"keep one: move the index and its shards away, or {WEIGHTS}"
    if second is None or not second.are_there:
        return loaded, f"move the index away if {WEIGHTS} is the model, else fetch its shards"
    if second.unlike:
        differ = f"{count(second.unlike, 'tensor')} of the two differ in name, dtype or shape"
        return f"{loaded}; {differ}", either
    if second.changed is None:
        return f"{loaded}; the shards have the same tensors, values not compared", either
    if second.changed:
        return f"{loaded}; the shards differ from it in {count(second.changed, 'tensor')}", either
    return f"{loaded}; the shards have the same values", either


@rule(
    "CK210",
    "index-total-size",
    Severity.NOTE,
    needs=Need.HEADERS,
    fix="ckpt reshard WHERE",
    safe=True,
)
def index_total_size(subject: Subject) -> Iterator[Violation]:
    """Wrong total size in the shard index.

    `metadata.total_size` is the sum of the tensors' bytes. Loaders do not check it; the Hub and
    tools that plan memory or downloads show it. A wrong value dates from before a cast, a strip or
    a change of shards: the index was not written together with these shards.

    `ckpt reshard` and `ckpt merge` write the right one.

    Bad (the tensors have 906,712,576 bytes):

        {"metadata": {"total_size": 1203982336}, "weight_map": {}}

    Good:

        {"metadata": {"total_size": 906712576}, "weight_map": {}}
    """
    index = subject.checkpoint.shard_index
    nbytes = sum(tensor.nbytes for tensor in subject.checkpoint.tensors)
    if index is None or index.total_size is None or not index.weight_map:
        return  # CK213 reports an empty map
    if index.total_size != nbytes:
        what = f"is {index.total_size:,}, but the tensors in the shards have {nbytes:,} bytes"
        yield Violation(what, index.path, "/metadata/total_size")


@rule(
    "CK211",
    "shards-without-index",
    Severity.ERROR,
    needs=Need.FILES,
    fix="ckpt reshard WHERE --in-place",
    safe=True,
    kinds=(Kind.TRANSFORMERS, Kind.DIFFUSERS),
)
def shards_without_index(subject: Subject) -> Iterator[Violation]:
    """Shards whose index is missing.

    transformers and diffusers find shards by the index alone, model.safetensors.index.json: they do
    not look for other files. All shards are there, but `from_pretrained` says that it found no
    file of the usual name.

    `ckpt reshard` writes shards with their index, and `ckpt merge` a single file.

    Bad:

        config.json
        model-00001-of-00002.safetensors
        model-00002-of-00002.safetensors

    Good:

        config.json
        model.safetensors.index.json
        model-00001-of-00002.safetensors
        model-00002-of-00002.safetensors
    """
    checkpoint = subject.checkpoint
    paths = [file.path for file in checkpoint.weights]
    family = shard_family(paths[0]) if paths else None
    is_policy = profile_of(subject).name == LEROBOT.name  # CK208 says so of a policy
    if checkpoint.shard_index is None and family is not None and not is_policy:
        stem, _ = family
        has = "is the only shard" if len(paths) == 1 else f"is one of {len(paths)} shards"
        yield Violation(f"{has}, but there is no {stem}{INDEX_SUFFIX} to find it by", paths[0])


@rule("CK212", "shard-count", Severity.WARNING, needs=Need.HEADERS)
def shard_count(subject: Subject) -> Iterator[Violation]:
    """The index lists another number of shards than their names say.

    A shard's name ends in its number and the number of all: model-00002-of-00003.safetensors. An
    index that lists fewer was written or edited while a shard was missing, and loading then leaves
    its tensors as they are initialized; one that lists more mixes two saves.

    Fetch or save the shards and the index again, together.

    Bad:

        {"weight_map": {"a": "model-00001-of-00003.safetensors"}}

    Good:

        {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    """
    index = subject.checkpoint.shard_index
    numbers: dict[tuple[str, int], int] = {}
    for path in shards(index) if index else ():
        family = shard_family(path)
        if family is not None:
            numbers[family] = numbers.get(family, 0) + 1
    for (stem, expected), number in numbers.items():
        if number != expected and index is not None:
            yield Violation(
                f"lists {count(number, 'shard')} of {stem}, whose names say {expected:,}",
                index.path,
                "/weight_map",
                "fetch or save the shards and the index again, together",
            )


@rule("CK213", "index-empty", Severity.ERROR, needs=Need.HEADERS)
def index_empty(subject: Subject) -> Iterator[Violation]:
    """The shard index lists no tensor.

    Loaders read the shards that `weight_map` names. An empty one names none: the model keeps its
    random initialization, or loading fails. It is written by a save in which another process held
    the weights.

    Save the model again. Where the shards are there, `ckpt reshard` without the index writes it.

    Bad:

        {"metadata": {"total_size": 0}, "weight_map": {}}

    Good:

        {"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
    """
    index = subject.checkpoint.shard_index
    if index is not None and not index.weight_map:
        has_shards = any(file.path.endswith(".safetensors") for file in subject.checkpoint.others)
        yield Violation(
            "is empty: a loader reads no tensor",
            index.path,
            "/weight_map",
            "fetch the index again, or move it away: the shards are there without it"
            if has_shards
            else "fetch or save the model again",
        )
