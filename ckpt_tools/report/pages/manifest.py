"""Manifests, and checks against a manifest or against the Hub, as blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import fold
from ckpt_tools.manifest.model import Check, Hashed
from ckpt_tools.report.blocks import Heading, Line, Status, Table, Verbatim
from ckpt_tools.text import count, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.manifest.model import Difference, FileDigest, RemoteCheck
    from ckpt_tools.report.blocks import Block, Page

_SHORT = 16
"""Digits of a digest in tables; JSON has all."""

_SHOWN = 6
_ROWS = 40


def page(record: Hashed | Check | RemoteCheck, *, full: bool = False) -> Page:
    """Return the page of `ckpt hash`. `full` lists everything."""
    if isinstance(record, Hashed):
        return tuple(_manifest(record, full=full))
    return tuple(
        _check(record, full=full) if isinstance(record, Check) else _remote(record, full=full)
    )


# --- a checkpoint ---------------------------------------------------------------------------------


def _manifest(hashed: Hashed, *, full: bool) -> Iterator[Block]:
    manifest = hashed.manifest
    weights = [file for file in manifest.files if file.weights]
    yield Line(text=f"content {manifest.content}")
    rows = (
        ("tensors", f"{len(manifest.tensors):,}"),
        (
            "payload",
            f"{size(hashed.nbytes)} ({hashed.nbytes:,} bytes) in {count(len(weights), 'file')}",
        ),
        (
            "other files",
            f"{len(manifest.files) - len(weights):,}" if manifest.whole else "not read",
        ),
    )
    yield Table(header=("checkpoint", printable(hashed.where)), rows=rows)
    yield Heading(text="Tensors" if full else "Parts")
    yield _tensors(hashed) if full else _parts(hashed)
    if not full and len(hashed.parts) > _ROWS:
        yield Line(text=f"… and {len(hashed.parts) - _ROWS:,} more (--full lists every tensor)")
    yield Heading(text="Files")
    yield _files(manifest.files)
    if any(file.sha256 for file in manifest.files):
        yield Heading(text="SHA-256")
        yield Verbatim(
            lines=tuple(f"{file.sha256}  {printable(file.path)}" for file in manifest.files)
        )


def _parts(hashed: Hashed) -> Table:
    rows = tuple(
        (part.digest[:_SHORT], f"{part.tensors:,}", size(part.nbytes), printable(part.title))
        for part in hashed.parts[:_ROWS]
    )
    return Table(header=("content", "tensors", "size", "part"), rows=rows, right=frozenset({1, 2}))


def _tensors(hashed: Hashed) -> Table:
    rows = (
        (
            tensor.blake3[:_SHORT],
            tensor.dtype.label,
            str(list(tensor.shape)),
            printable(tensor.name),
        )
        for tensor in hashed.manifest.tensors
    )
    return Table(header=("BLAKE3", "dtype", "shape", "tensor"), rows=tuple(rows))


def _files(files: Iterable[FileDigest]) -> Table:
    rows = (
        (
            file.blake3[:_SHORT],
            size(file.size),
            f"{printable(file.path)}{' (header)' * file.weights}",
        )
        for file in files
    )
    return Table(header=("BLAKE3", "size", "file"), rows=tuple(rows), right=frozenset({1}))


# --- against a manifest ---------------------------------------------------------------------------


def _check(check: Check, *, full: bool) -> Iterator[Block]:
    there, here = check.content
    yield Line(text=f"content {here}")
    if there != here:
        yield Line(text=f"against {there}")
    if check.differences:
        yield Heading(text="Differences")
        yield from _grouped(check.differences, full=full)
    if check.remarks:
        yield Heading(text="Same tensors, different files")
        shown = check.remarks if full else check.remarks[:_SHOWN]
        yield from (
            Line(text=f"{printable(remark.subject)}: {remark.what}", mark=Status.CHANGE)
            for remark in shown
        )
        if len(shown) < len(check.remarks):
            yield Line(
                text=f"… and {len(check.remarks) - len(shown):,} more (--full)", mark=Status.CHANGE
            )
    if check.unchecked:
        yield Heading(text="Not compared")
        yield from (Line(text=sentence) for sentence in check.unchecked)
    yield Heading(text="Verdict")
    where, against = printable(check.where), printable(check.against)
    if check.same:
        files = f" and {count(check.files, 'other file')}" if check.files else ""
        yield Line(
            text=f"{where} matches {against}: {count(check.tensors, 'tensor')}{files}",
            mark=Status.GOOD,
        )
    else:
        yield Line(
            text=(
                f"{where} does not match {against}: {count(len(check.differences), 'difference')}"
            ),
            mark=Status.BAD,
        )


def _grouped(differences: Iterable[Difference], *, full: bool) -> Iterator[Line]:
    """Yield a line for each difference, similar ones of several tensors as one."""
    groups: dict[object, list[Difference]] = {}
    for difference in differences:
        groups.setdefault(_alike(difference), []).append(difference)
    for members in groups.values():
        first = members[0]
        if len(members) == 1:
            yield Line(
                text=f"{printable(first.subject)}: {printable(first.what)}",
                mark=Status.BAD,
                details=(*_places(members), first.next),
            )
            continue
        renamed = first.kind == "renamed"
        names = (
            [f"{one.subject}: {one.what}" for one in members]
            if renamed
            else list(fold(one.subject for one in members))
        )
        shown = names if full else names[:_SHOWN]
        more = (
            (f"… and {count(len(names) - len(shown), 'more line')} (--full)",)
            if len(shown) < len(names)
            else ()
        )
        details = (*map(printable, shown), *more, *_places(members), first.next)
        yield Line(
            text=f"{len(members):,} tensors: {'renamed' if renamed else printable(first.what)}",
            mark=Status.BAD,
            details=details,
        )


def _alike(difference: Difference) -> tuple[str, str]:
    """Return the key that similar differences of tensors share; each of a file has its own."""
    if difference.kind not in _OF_TENSORS:
        return difference.kind, difference.subject
    return difference.kind, "" if difference.kind == "renamed" else difference.what


_OF_TENSORS = frozenset({"missing", "extra", "renamed", "dtype", "shape", "values"})


def _places(members: Sequence[Difference]) -> tuple[str, ...]:
    files = list(
        dict.fromkeys(
            member.path for member in members if member.path and member.path != member.subject
        )
    )
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return (f"in {', '.join(map(printable, files[:_SHOWN]))}{more}",) if files else ()


# --- against the Hub ------------------------------------------------------------------------------


def _remote(check: RemoteCheck, *, full: bool) -> Iterator[Block]:
    yield Table(
        header=("local", printable(check.root)),
        rows=(
            ("Hub", printable(check.repository)),
            *([("folder", printable(check.folder))] if check.folder else []),
            ("commit", check.commit),
        ),
    )
    if check.different:
        yield Heading(text="Different")
        yield from _grouped(check.different, full=full)
    yield from _listed("Only local", check.only_here, Status.BAD, full=full)
    yield from _listed("Only on the Hub", check.only_there, Status.BAD, full=full)
    yield from _listed("Identical", check.alike, Status.GOOD, full=full)
    yield Heading(text="Verdict")
    if check.same:
        yield Line(
            text=f"identical to the Hub: {count(len(check.alike), 'file')}", mark=Status.GOOD
        )
    else:
        counts = (
            (check.different, "different"),
            (check.only_here, "only local"),
            (check.only_there, "only on the Hub"),
        )
        listed = ", ".join(f"{len(files):,} {word}" for files, word in counts if files)
        yield Line(
            text=f"differs from the Hub: {listed}",
            mark=Status.BAD,
        )


def _listed(title: str, paths: Sequence[str], mark: Status, *, full: bool) -> Iterator[Block]:
    if paths:
        yield Heading(text=title)
    shown = paths if full else paths[:_ROWS]
    yield from (Line(text=printable(path), mark=mark) for path in shown)
    if len(shown) < len(paths):
        yield Line(text=f"… and {len(paths) - len(shown):,} more (--full)")
