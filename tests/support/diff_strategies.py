"""Strategies for pairs of checkpoints that differ in a few ways, held in memory."""

from __future__ import annotations

from math import prod
from typing import Any

from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import (
    Checkpoint,
    Document,
    OtherFile,
    ShardIndex,
    Tensor,
    TensorFile,
)
from ckpt_tools.diff.model import Aspect
from ckpt_tools.strict_json.pointer import ABSENT

type Spec = dict[str, tuple[Dtype, tuple[int, ...]]]
SEGMENTS = (
    "_orig_mod",
    "module",
    "model",
    "layers",
    "0",
    "1",
    "2",
    "00",
    "10",
    "a",
    "b",
    "weight",
    "teacher",
    "",
)
"""Wrappers, layer numbers, a second spelling of a number, words, empty segments."""
names = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=6).map(".".join)
shapes = st.sampled_from([(), (2,), (3,), (2, 3)])
dtypes = st.sampled_from([Dtype.F32, Dtype.BF16])
specs = st.dictionaries(names, st.tuples(dtypes, shapes), max_size=10)


def weights(
    spec: Spec, path: str = "model.safetensors", metadata: tuple[tuple[str, str], ...] | None = None
) -> TensorFile:
    """Return a tensor file that holds `spec` in its order, one tensor after the other."""
    tensors: list[Tensor] = []
    start = 0
    for name, (dtype, shape) in spec.items():
        end = start + prod(shape) * dtype.bits // 8
        tensors.append(Tensor(name, dtype, shape, path, start, end))
        start = end
    return TensorFile(
        path=path, size=start + 8, payload_start=8, tensors=tuple(tensors), metadata=metadata
    )


def checkpoint(spec: Spec) -> Checkpoint:
    return Checkpoint(where="somewhere", root="somewhere", weights=(weights(spec),))


@st.composite
def related_specs(draw: st.DrawFn) -> tuple[Spec, Spec]:
    """Two sets of tensors, the second made from the first the way names go wrong.

    Wrapped, moved, shifted, retyped, shuffled, with some lost and some added.
    """
    spec = draw(specs)
    wrapper, prefix = draw(st.sampled_from(["_orig_mod", "module"])), draw(names)
    shift = draw(st.integers(-2, 2))
    changes = draw(
        st.lists(
            st.sampled_from(
                ["keep", "wrap", "inside", "prefix", "strip", "shift", "dtype", "shape", "drop"]
            ),
            min_size=len(spec),
            max_size=len(spec),
        )
    )
    other: Spec = {}
    for (name, (dtype, shape)), change in zip(spec.items(), changes, strict=True):
        parts = name.split(".")
        renamed = {
            "wrap": f"{wrapper}.{name}",
            "inside": ".".join([*parts[:1], wrapper, *parts[1:]]),
            "prefix": f"{prefix}.{name}",
            "strip": ".".join(parts[1:]) or name,
            "shift": ".".join(
                str(max(0, int(part) + shift)) if part.isdigit() else part for part in parts
            ),
        }.get(change, name)
        if change != "drop":
            other[renamed] = (
                draw(dtypes) if change == "dtype" else dtype,
                draw(shapes) if change == "shape" else shape,
            )
    other |= draw(st.dictionaries(names, st.tuples(dtypes, shapes), max_size=2))
    return spec, dict(draw(st.permutations(list(other.items()))))


tensor_pairs = st.one_of(related_specs(), st.tuples(specs, specs)).map(
    lambda pair: (checkpoint(pair[0]), checkpoint(pair[1]))
)
json_keys = st.sampled_from(["use_reflow", "load_vlm_weights", "a.b", "a/b", "~", "", "*", "x"])
json_scalars: st.SearchStrategy[Any] = st.sampled_from(
    [None, False, True, 0, 1, 1.0, 0.0, -0.0, "", "0", float("nan"), float("inf")]
)
json_values: st.SearchStrategy[Any] = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(json_keys, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(json_keys, json_values, max_size=4)
paths = st.sampled_from(
    [
        "config.json",
        "train_config.json",
        "policy_preprocessor.json",
        "processor_config.json",
        "generation_config.json",
    ]
)
metadata = st.none() | st.dictionaries(
    st.sampled_from(["format", "a/b", "x.y", ""]), st.sampled_from(["pt", "np", ""]), max_size=3
).map(lambda found: tuple(found.items()))


@st.composite
def states(draw: st.DrawFn) -> TensorFile:
    """A file of processor state with its payload, or one too large to have been read."""
    file = weights(
        draw(
            st.dictionaries(
                st.sampled_from(["mean", "std", "a.b"]),
                st.tuples(dtypes, st.sampled_from([(1,), (2,)])),
                max_size=2,
            )
        ),
        draw(st.sampled_from(["s.safetensors", "t.safetensors"])),
    )
    length = max((tensor.end for tensor in file.tensors), default=0)
    return file._replace(payload=draw(st.none() | st.binary(min_size=length, max_size=length)))


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    """A checkpoint with a bit of everything."""
    documents = draw(st.dictionaries(paths, objects, max_size=3))
    others = draw(
        st.dictionaries(
            st.sampled_from(["README.md", "a/b.txt", "vocab.json"]),
            st.tuples(st.integers(0, 3), st.sampled_from(["", "aa", "bb"])),
            max_size=3,
        )
    )
    shards = [
        weights(
            draw(st.dictionaries(names, st.tuples(dtypes, shapes), max_size=2)),
            f"m{number}.safetensors",
            draw(metadata),
        )
        for number in range(draw(st.integers(1, 2)))
    ]
    return Checkpoint(
        where="somewhere",
        root="somewhere",
        weights=tuple(shards),
        shard_index=draw(
            st.sampled_from(
                [
                    None,
                    ShardIndex(
                        path="model.safetensors.index.json", size=3, weight_map=(), total_size=None
                    ),
                ]
            )
        ),
        states=tuple({file.path: file for file in draw(st.lists(states(), max_size=2))}.values()),
        documents=tuple(
            Document(path=path, text=repr(value), value=value) for path, value in documents.items()
        ),
        others=tuple(
            OtherFile(path=path, size=size, sha256=digest)
            for path, (size, digest) in others.items()
        ),
    )


aspects = st.frozensets(st.sampled_from(Aspect))
globs = st.lists(
    st.sampled_from(
        [
            "**",
            "*",
            "model.**",
            "**.weight",
            "layers.*",
            "config.**",
            "config.use_reflow",
            "__metadata__.*",
            "*.json",
            "?",
        ]
    ),
    max_size=2,
).map(tuple)
NEUTRAL = {"config.use_reflow": (ABSENT, False, None), "config.x": (ABSENT, False, None)}
