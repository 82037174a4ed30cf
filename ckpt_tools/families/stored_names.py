"""The names under which a loader finds tensors besides the model's own: prefixes, older names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.stacked_experts import with_stacked_experts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ckpt_tools.families.family_file import FamilyFile

_DIFFUSERS = (
    (r"(\battentions\.\d+)\.query\.", r"\1.to_q."),
    (r"(\battentions\.\d+)\.key\.", r"\1.to_k."),
    (r"(\battentions\.\d+)\.value\.", r"\1.to_v."),
    (r"(\battentions\.\d+)\.proj_attn\.", r"\1.to_out.0."),
)
_TRANSFORMERS = (
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
)
_REPLACED = {"diffusers": _DIFFUSERS, "transformers": _TRANSFORMERS}
"""Older names of parts that many models of a library have, which its loader replaces."""

_IGNORED = {
    "transformers": (
        r"rotary_emb\.inv_freq$",
        r"\.(?:masked_bias|attn\.bias|attention\.bias)$",
        r"position_ids$",
        r"num_batches_tracked$",
    )
}
"""Buffers that older releases saved, over which a loader passes without a word."""

_HALF = 2


def by_stored_names(
    file: FamilyFile, found: Expectation, stored: Collection[str]
) -> Expectation | Unknown:
    """Return the expectation with the names under which the loader finds these tensors.

    Unknown where transformers finds less than half: it converts checkpoints of many origins, and
    what it makes of them is not in the file.
    """
    if file.library == "transformers":
        found = with_stacked_experts(found, stored)
    names = _names(file, found, [name for name in stored if unwrapped(name) == name])
    if names:
        found = Expectation(
            {names.get(name, name): one for name, one in found.tensors.items()},
            found.because,
            tuple(tuple(names.get(name, name) for name in group) for group in found.ties),
            {names.get(name, name): one for name, one in found.optional.items()},
        )
    held = {unwrapped(name) for name in stored}
    found = _without_head(file, found, held, names)
    present = sum(name in held for name in found.tensors)
    if file.library == "transformers" and _HALF * present < len(found.tensors):
        return Unknown(f"fewer than half of the tensors have the names of a {file.family}")
    return found


def _without_head(
    file: FamilyFile, found: Expectation, held: set[str], names: Mapping[str, str]
) -> Expectation:
    """Return the expectation of the base model where it was saved alone: without the prefix.

    Its config may still name the architecture with a head that it was taken from.
    """
    prefix = f"{file.facts.get('prefix', '')}."
    bare = {stored for own, stored in names.items() if own == prefix + stored}
    if not bare or any(name.startswith(prefix) for name in held):
        return found
    body = bare | {stored for own, stored in names.items() if own.startswith(prefix)}
    rest = [name for name in found.tensors if name not in body and not name.startswith(prefix)]
    if not held.isdisjoint(rest):
        return found
    heads = {name: found.tensors[name] for name in rest}
    tensors = {name: one for name, one in found.tensors.items() if name not in heads}
    return found._replace(tensors=tensors, optional={**found.optional, **heads})


def _names(file: FamilyFile, found: Expectation, stored: Collection[str]) -> dict[str, str]:
    """Return the stored name by the model's, where the loader replaces it."""
    expected = found.tensors.keys() | found.optional.keys()
    held = set(stored)
    names: dict[str, str] = {}
    for name in stored:
        if name not in expected:
            own = next((one for one in _others(file, name) if one in expected), None)
            if own is not None and own not in held:
                names.setdefault(own, name)
    return names


def _others(file: FamilyFile, name: str) -> Iterator[str]:
    """Yield the names that the loader tries for a stored one."""
    given = cast("list[list[str]]", file.facts.get("replaced", ()))
    pairs = (*given, *_REPLACED.get(file.library, ()))
    replaced = (re.sub(old, new, name, count=1) for old, new in pairs)
    prefix = cast("str", file.facts.get("prefix", ""))
    for one in dict.fromkeys((*replaced, name)):
        yield one
        if prefix:
            yield f"{prefix}.{one}"
            yield one.removeprefix(f"{prefix}.")


def ignores(file: FamilyFile, name: str) -> bool:
    """Whether the loader passes over a tensor that it does not expect without a word."""
    patterns = cast("list[str]", file.facts.get("ignored", []))
    return any(re.search(one, name) for one in (*patterns, *_IGNORED.get(file.library, ())))
