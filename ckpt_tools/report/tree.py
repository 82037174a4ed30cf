"""Tensors as a tree of their names, with numbered siblings of the same build folded into one line: `layers.{0..15}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.compare.fold import is_index, natural_key, ranges
from ckpt_tools.report.words import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.records.checkpoint import Tensor

type _Node = dict[str, "_Node | Tensor"]


def tree_lines(tensors: Iterable[Tensor]) -> Iterator[str]:
    """Yield one line a node, indented by depth; leaves with dtype, shape and size."""
    root: _Node = {}
    for tensor in tensors:
        _insert(root, tensor)
    yield from _lines(root, "", 1)


def _insert(root: _Node, tensor: Tensor) -> None:
    """Add `tensor`. A name that is both a tensor and the start of another's is kept as a leaf called "" in its own node."""
    node = root
    *parents, leaf = tensor.name.split(".")
    for part in parents:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            child = node[part] = {"": child}
        node = child
    present = node.get(leaf)
    if isinstance(present, dict):
        present[""] = tensor
    else:
        node[leaf] = tensor


def _lines(node: _Node, indent: str, times: int) -> Iterator[str]:
    for label, child, count in _children(node):
        total = times * count
        if isinstance(child, dict):
            yield f"{indent}{printable(label)}"
            yield from _lines(child, f"{indent}  ", total)
        else:
            copies = f" x {total}" if total > 1 else ""
            yield f"{indent}{printable(label)}  {child.dtype} {list(child.shape)}{copies}  {size(child.nbytes * total)}"


def _children(node: _Node) -> Iterator[tuple[str, _Node | Tensor, int]]:
    """Yield (label, child, how many it stands for): chains of single children and layer stacks each on one line."""
    for label, child, count in _folded(node):
        if isinstance(child, dict) and (len(child) == 1 or all(map(is_index, child))):
            yield from ((f"{label}.{rest}", below, count * times) for rest, below, times in _children(child))
        else:
            yield label, child, count


def _folded(node: _Node) -> Iterator[tuple[str, _Node | Tensor, int]]:
    """Yield (label, child, how many it stands for), siblings with numbers for names and the same build as one."""
    groups: dict[object, list[str]] = {}
    for name in sorted(node, key=natural_key):
        groups.setdefault(_build(node[name]) if is_index(name) else name, []).append(name)
    for names in groups.values():
        label = ranges(map(int, names)) if len(names) > 1 else names[0]
        yield label, node[names[0]], len(names)


def _build(child: _Node | Tensor) -> object:
    if isinstance(child, dict):
        return tuple((name, _build(grandchild)) for name, grandchild in sorted(child.items()))
    return child.dtype, child.shape
