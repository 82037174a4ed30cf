"""Tensors as a tree of their names, with numbered siblings of the same build folded into one line: `layers.{0..15}`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ckpt_tools.compare.fold import SEGMENT_LIMIT, is_index, natural_key, ranges
from ckpt_tools.report.words import printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.records.checkpoint import Tensor


@dataclass(slots=True)
class _Node:
    """A place in the tree: the tensor of exactly this name, if there is one, and what is below it."""

    tensor: Tensor | None = None
    children: dict[str, _Node] = field(default_factory=dict)

    @property
    def build(self) -> object:
        """What numbered siblings must have alike to be one line."""
        own = self.tensor and (self.tensor.dtype, self.tensor.shape)
        return own, tuple((name, child.build) for name, child in sorted(self.children.items()))


def tree_lines(tensors: Iterable[Tensor]) -> Iterator[str]:
    """Yield one line a node, indented by depth; tensors with dtype, shape and size."""
    root = _Node()
    for tensor in tensors:
        node = root
        # Past the limit the rest of a name is one segment: no model nests that deep, but a hostile name may.
        for part in tensor.name.split(".", SEGMENT_LIMIT):
            node = node.children.setdefault(part, _Node())
        node.tensor = tensor
    yield from _lines(root, "", 1)


def _lines(node: _Node, indent: str, times: int) -> Iterator[str]:
    for label, child, count in _below(node):
        total = times * count
        yield f"{indent}{printable(label)}{_described(child.tensor, total)}"
        yield from _lines(child, f"{indent}  ", total)


def _described(tensor: Tensor | None, times: int) -> str:
    if tensor is None:
        return ""
    copies = f" x {times}" if times > 1 else ""
    return f"  {tensor.dtype} {list(tensor.shape)}{copies}  {size(tensor.nbytes * times)}"


def _below(node: _Node) -> Iterator[tuple[str, _Node, int]]:
    """Yield (label, node, how many it stands for): chains of single children and layer stacks each on one line."""
    for label, child, count in _folded(node.children):
        if child.tensor is None and (len(child.children) == 1 or all(map(is_index, child.children))):
            yield from ((f"{label}.{rest}", below, count * times) for rest, below, times in _below(child))
        else:
            yield label, child, count


def _folded(children: dict[str, _Node]) -> Iterator[tuple[str, _Node, int]]:
    """Yield (label, node, how many it stands for), siblings with numbers for names and the same build as one."""
    groups: dict[object, list[str]] = {}
    for name in sorted(children, key=natural_key):
        groups.setdefault(children[name].build if is_index(name) else name, []).append(name)
    for names in groups.values():
        label = ranges(map(int, names)) if len(names) > 1 else names[0]
        yield label, children[names[0]], len(names)
