"""A summary as blocks: what it is, its components and dtypes, the config that matters, its processors; on request its tree of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Mark, Table, Verbatim
from ckpt_tools.report.tree import tree_lines
from ckpt_tools.report.words import printable, size, transferred, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.records.summary import Group, Processor, Setting, Summary
    from ckpt_tools.report.blocks import Block, Page

_MARKS = {True: Mark.GOOD, False: Mark.BAD, None: Mark.NONE}
_SHOWN = 6


def show_page(summary: Summary, *, tree: bool = False) -> Page:
    """Return the page of `ckpt show`; with `tree`, the tree of keys instead of the tables."""
    if tree:
        return (Verbatim(lines=tuple(tree_lines(summary.checkpoint.tensors))),)
    blocks = [
        _overview(summary),
        *(Line(text=remark, mark=Mark.BAD) for remark in summary.remarks),
        Heading(text="components"),
        _components(summary),
        Heading(text="dtypes"),
        _dtypes(summary),
        *_settings(summary),
        *_processors(summary),
        *_metadata(summary),
        *_files(summary),
    ]
    return tuple(blocks)


def _overview(summary: Summary) -> Table:
    checkpoint = summary.checkpoint
    trainable = summary.trainable
    rows = [
        ("where", printable(checkpoint.root)),
        ("family", summary.family),
        ("tensors", f"{summary.tensors:,}"),
        ("parameters", f"{summary.parameters:,}"),
        *([("trainable", f"{trainable:,}")] if trainable is not None else []),
        ("weights", f"{size(checkpoint.size)} ({checkpoint.size:,} bytes) in {_count(len(checkpoint.weights), 'file')}"),
        *([("dtypes", summary.profile)] if summary.profile else []),
        *([("transfer", transferred(summary.transferred))] if summary.transferred else []),
    ]
    return Table(header=("checkpoint", printable(checkpoint.where)), rows=tuple(rows))


def _components(summary: Summary) -> Table:
    known = any(group.trains is not None for group in summary.components)
    rows = [
        (group.title, f"{group.tensors:,}", f"{group.parameters:,}", size(group.nbytes), _dtype_counts(group), *([_trains(group)] if known else []))
        for group in summary.components
    ]
    header = ("component", "tensors", "parameters", "size", "dtypes", *(["training"] if known else []))
    return Table(header=header, rows=tuple(rows), right=frozenset({1, 2, 3}))


def _trains(group: Group) -> str:
    return {True: "trains", False: "frozen", None: "in part"}[group.trains]


def _dtype_counts(group: Group) -> str:
    if len(group.dtypes) == 1:
        return group.dtypes[0][0]
    return ", ".join(f"{count:,} {dtype}" for dtype, count in group.dtypes)


def _dtypes(summary: Summary) -> Table:
    rows = [(group.title, f"{group.tensors:,}", f"{group.parameters:,}", size(group.nbytes)) for group in summary.dtypes]
    return Table(header=("dtype", "tensors", "parameters", "size"), rows=tuple(rows), right=frozenset({1, 2, 3}))


def _settings(summary: Summary) -> Iterator[Block]:
    if summary.settings:
        yield Heading(text="config.json")
    for setting in summary.settings:
        yield _setting(setting)


def _setting(setting: Setting) -> Line:
    judged = setting.fine is not None
    remark = f" ({setting.remark})" if setting.remark and not judged else ""
    details = (f"stock LeRobot {setting.remark}",) if setting.fine is False else ()
    return Line(text=f"{printable(setting.key)}: {value(setting.value)}{printable(remark)}", mark=_MARKS[setting.fine], details=details)


def _processors(summary: Summary) -> Iterator[Block]:
    if summary.processors:
        yield Heading(text="processors")
    for processor in summary.processors:
        yield _processor(processor)


def _processor(processor: Processor) -> Line:
    details = [f"steps: {', '.join(map(printable, processor.steps))}"]
    if processor.modes:
        details.append(f"normalisation: {', '.join(f'{printable(kind)} {printable(mode)}' for kind, mode in processor.modes)}")
    details += [f"state: {printable(name)}{'' if there else ' is missing'}" for name, there in processor.states]
    bad = not all(there for _, there in processor.states)
    return Line(text=printable(processor.path), mark=Mark.BAD if bad else Mark.GOOD, details=tuple(details))


def _metadata(summary: Summary) -> Iterator[Block]:
    aliases = [pair for file in summary.checkpoint.weights for pair in file.aliases]
    entries = list(dict.fromkeys(pair for file in summary.checkpoint.weights for pair in file.metadata or () if pair not in aliases))
    if entries or aliases:
        yield Heading(text="safetensors metadata")
    yield from (Line(text=f"{printable(key)}: {value(entry)}") for key, entry in entries[:_SHOWN])
    if len(entries) > _SHOWN:
        yield Line(text=f"… and {len(entries) - _SHOWN:,} more")
    yield from (Line(text=f"{printable(alias)} is stored as {printable(kept)}", mark=Mark.CHANGE) for alias, kept in aliases[:_SHOWN])
    if len(aliases) > _SHOWN:
        yield Line(text=f"… and {len(aliases) - _SHOWN:,} more names that share the storage of another tensor", mark=Mark.CHANGE)


def _files(summary: Summary) -> Iterator[Block]:
    others = summary.checkpoint.others
    if others:
        yield Heading(text="other files")
        yield Table(header=("file", "size"), rows=tuple((printable(file.path), size(file.size)) for file in others), right=frozenset({1}))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
