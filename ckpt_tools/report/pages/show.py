"""The page of `ckpt show`: components, dtypes, config, processors; or the tree of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, is_index, natural_key, ranges
from ckpt_tools.report.blocks import Heading, Line, Status, Table, Title, Verbatim
from ckpt_tools.report.charts import component_bars
from ckpt_tools.report.pages.coverage import coverage_blocks
from ckpt_tools.report.pages.readable import readable_blocks
from ckpt_tools.report.pages.values import value_blocks
from ckpt_tools.text import count, printable, size, transferred, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.diff.model import Group, Processor, Setting, Summary
    from ckpt_tools.families.family import Unknown
    from ckpt_tools.families.spellings import Readability
    from ckpt_tools.report.blocks import Block, Page
    from ckpt_tools.rules.coverage import Coverage

_MARKS = {True: Status.GOOD, False: Status.BAD, None: Status.NONE}
_SHOWN = 6


def show_page(
    summary: Summary,
    *,
    tree: bool = False,
    full: bool = False,
    coverage: Sequence[Coverage] = (),
    readable: Readability | Unknown | None = None,
) -> Page:
    """Return the page of `ckpt show`; with `tree`, the tree of keys instead of the tables.

    `full` cuts no list. `coverage` is what `ckpt verify` checks of this checkpoint,
    `readable` which releases read it.
    """
    title = Title(text=f"Checkpoint: {printable(summary.checkpoint.where)}")
    if tree:
        return (
            title,
            Verbatim(lines=tuple(tree_lines(summary.checkpoint.tensors))),
        )
    blocks = [
        title,
        _overview(summary),
        *(Line(text=remark, mark=Status.BAD) for remark in summary.remarks),
        Heading(text="Components"),
        *component_bars(summary),
        _components(summary),
        Heading(text="Dtypes"),
        _dtypes(summary),
        *_values(summary),
        *_settings(summary),
        *_processors(summary),
        *_metadata(summary, full=full),
        *_files(summary),
        *readable_blocks(readable, summary.checkpoint.where),
        *coverage_blocks(coverage, heading="What ckpt verify checks"),
    ]
    return tuple(blocks)


def list_lines(tensors: Sequence[Tensor]) -> Iterator[str]:
    """Yield dtype, shape and name of each tensor, the name last since it may be long."""
    shapes = ["[" + ", ".join(map(str, tensor.shape)) + "]" for tensor in tensors]
    widest = max((len(tensor.dtype.label) for tensor in tensors), default=0)
    width = max(map(len, shapes), default=0)
    for tensor, shape in zip(tensors, shapes, strict=True):
        yield f"{tensor.dtype.label:{widest}}  {shape:{width}}  {printable(tensor.name)}"


def _overview(summary: Summary) -> Table:
    checkpoint = summary.checkpoint
    trainable = summary.trainable
    rows = [
        *([("where", printable(checkpoint.root))] if checkpoint.root != checkpoint.where else []),
        ("family", summary.family),
        ("tensors", f"{summary.tensors:,}"),
        ("parameters", f"{summary.parameters:,}"),
        *([("trainable", f"{trainable:,}")] if trainable is not None else []),
        (
            "weights",
            f"{size(checkpoint.size)} ({checkpoint.size:,} bytes) in "
            + count(len(checkpoint.weights), "file"),
        ),
        *([("dtypes", summary.profile)] if summary.profile else []),
        *([("transfer", transferred(summary.transferred))] if summary.transferred else []),
    ]
    return Table(header=("checkpoint", printable(checkpoint.where)), rows=tuple(rows))


def _components(summary: Summary) -> Table:
    known = any(group.trains is not None for group in summary.components)
    rows = [
        (
            group.title,
            f"{group.tensors:,}",
            f"{group.parameters:,}",
            size(group.nbytes),
            _dtype_counts(group),
            *([_trains(group)] if known else []),
        )
        for group in (*summary.components, *summary.sums)
    ]
    header = (
        "component",
        "tensors",
        "parameters",
        "size",
        "dtypes",
        *(["training"] if known else []),
    )
    return Table(header=header, rows=tuple(rows), right=frozenset({1, 2, 3}))


def _trains(group: Group) -> str:
    return {True: "trains", False: "frozen", None: "partly"}[group.trains]


def _dtype_counts(group: Group) -> str:
    if len(group.dtypes) == 1:
        return group.dtypes[0][0]
    return ", ".join(f"{count:,} {dtype}" for dtype, count in group.dtypes)


def _dtypes(summary: Summary) -> Table:
    rows = [
        (group.title, f"{group.tensors:,}", f"{group.parameters:,}", size(group.nbytes))
        for group in summary.dtypes
    ]
    return Table(
        header=("dtype", "tensors", "parameters", "size"),
        rows=tuple(rows),
        right=frozenset({1, 2, 3}),
    )


def _values(summary: Summary) -> tuple[Block, ...]:
    if summary.values is None:
        return ()
    return tuple(value_blocks(summary.values))


def _settings(summary: Summary) -> Iterator[Block]:
    if summary.settings:
        yield Heading(text=CONFIG)
    for setting in summary.settings:
        yield _setting(setting)


def _setting(setting: Setting) -> Line:
    judged = setting.fine is not None
    remark = f" ({setting.remark})" if setting.remark and not judged else ""
    details = (f"stock LeRobot {setting.remark}",) if setting.fine is False else ()
    return Line(
        text=f"{printable(setting.key)}: {value(setting.value)}{printable(remark)}",
        mark=_MARKS[setting.fine],
        details=details,
    )


def _processors(summary: Summary) -> Iterator[Block]:
    if summary.processors:
        yield Heading(text="Processors")
    for processor in summary.processors:
        yield _processor(processor)


def _processor(processor: Processor) -> Line:
    details = [f"steps: {', '.join(map(printable, processor.steps))}"]
    if processor.modes:
        details.append(
            "normalization: "
            + ", ".join(f"{printable(kind)} {printable(mode)}" for kind, mode in processor.modes)
        )
    details += [
        f"state: {printable(name)}{'' if there else ' is missing'}"
        for name, there in processor.states
    ]
    bad = not all(there for _, there in processor.states)
    return Line(
        text=printable(processor.path),
        mark=Status.BAD if bad else Status.GOOD,
        details=tuple(details),
    )


def _metadata(summary: Summary, *, full: bool) -> Iterator[Block]:
    aliases = [pair for file in summary.checkpoint.weights for pair in file.aliases]
    entries = list(
        dict.fromkeys(
            pair
            for file in summary.checkpoint.weights
            for pair in file.metadata or ()
            if pair not in aliases
        )
    )
    shown = None if full else _SHOWN
    if entries or aliases:
        yield Heading(text="Safetensors metadata")
    yield from (Line(text=f"{printable(key)}: {value(entry)}") for key, entry in entries[:shown])
    if shown and len(entries) > shown:
        yield Line(text=f"… and {len(entries) - shown:,} more")
    yield from (
        Line(text=f"{printable(alias)} is stored as {printable(kept)}", mark=Status.CHANGE)
        for alias, kept in aliases[:shown]
    )
    if shown and len(aliases) > shown:
        yield Line(
            text=f"… and {len(aliases) - shown:,} more names of tied tensors",
            mark=Status.CHANGE,
        )


def _files(summary: Summary) -> Iterator[Block]:
    others = summary.checkpoint.others
    if others:
        yield Heading(text="Other files")
        yield Table(
            header=("size", "file"),
            rows=tuple((size(file.size), printable(file.path)) for file in others),
            right=frozenset({0}),
        )


class _Node:
    """A node of the tree: the tensor of exactly this name, if there is one, and its children."""

    def __init__(self) -> None:
        self.tensor: Tensor | None = None
        self.children: dict[str, _Node] = {}

    @property
    def build(self) -> object:
        """What numbered siblings must have in common to be folded into one line."""
        own = self.tensor and (self.tensor.dtype, self.tensor.shape)
        return own, tuple((name, child.build) for name, child in sorted(self.children.items()))


def tree_lines(tensors: Iterable[Tensor]) -> Iterator[str]:
    """Yield a line per node, indented by depth; tensors with dtype, shape and size."""
    root = _Node()
    for tensor in tensors:
        node = root
        # Beyond the limit the rest of a name is one segment: a hostile name may nest that deep.
        for part in tensor.name.split(".", SEGMENT_LIMIT):
            node = node.children.setdefault(part, _Node())
        node.tensor = tensor
    yield from _lines(root, "", 1)


def _lines(node: _Node, indent: str, times: int) -> Iterator[str]:
    for label, child, number in _below(node):
        total = times * number
        yield f"{indent}{printable(label)}{_described(child.tensor, total)}"
        yield from _lines(child, f"{indent}  ", total)


def _described(tensor: Tensor | None, times: int) -> str:
    if tensor is None:
        return ""
    copies = f" x {times}" if times > 1 else ""
    return f"  {tensor.dtype} {list(tensor.shape)}{copies}  {size(tensor.nbytes * times)}"


def _below(node: _Node) -> Iterator[tuple[str, _Node, int]]:
    """Yield (label, node, multiplicity); chains of single children and layer stacks are folded."""
    for label, child, number in _folded(node.children):
        if child.tensor is None and (
            len(child.children) == 1 or all(map(is_index, child.children))
        ):
            yield from (
                (f"{label}.{rest}", below, number * times) for rest, below, times in _below(child)
            )
        else:
            yield label, child, number


def _folded(children: dict[str, _Node]) -> Iterator[tuple[str, _Node, int]]:
    """Yield (label, node, multiplicity); numbered siblings of the same build are folded."""
    groups: dict[object, list[str]] = {}
    for name in sorted(children, key=natural_key):
        groups.setdefault(children[name].build if is_index(name) else name, []).append(name)
    for names in groups.values():
        label = ranges(map(int, names)) if len(names) > 1 else names[0]
        yield label, children[names[0]], len(names)
