"""Which files the weights are in.

Whether the index agrees with its shards (CK201 to CK207) is checked in `checkpoint.shard_index`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import WEIGHTS
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import LEROBOT, profile_of
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


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

    The index is left over from a sharded save. Readers disagree about which of the two counts:
    transformers and LeRobot take model.safetensors, others take the index and miss its shards, or
    read old ones.

    Delete the index, or the file that it replaces.

    Bad:

        model.safetensors
        model.safetensors.index.json

    Good:

        model.safetensors
    """
    checkpoint = subject.checkpoint
    if [file.path for file in checkpoint.weights] != [WEIGHTS]:
        return
    listed = (
        entry.path
        for entry in subject.entries or ()
        if entry.kind != "folder" and "/" not in entry.path
    )
    for path in sorted({*checkpoint.paths, *listed}):
        if path.endswith(INDEX_SUFFIX):
            what = f"is a shard index, but all weights are in {WEIGHTS}"
            yield Violation(what, path, next="delete the index")


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
    if index is not None and index.total_size is not None and index.total_size != nbytes:
        what = f"is {index.total_size:,}, but the tensors in the shards have {nbytes:,} bytes"
        yield Violation(what, index.path, "/metadata/total_size")
