"""Output of the commands: data to standard output, everything else to standard error.

Color and wrapped tables on a terminal only.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from ckpt_tools.errors import CkptError
from ckpt_tools.progress import Progress
from ckpt_tools.report.formats import markdown, text
from ckpt_tools.report.json.document import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TextIO

    from ckpt_tools.report.blocks import Page


def write_report[R](
    record: R,
    page: Callable[[], Page],
    output_format: str,
    document: Callable[[R], Mapping[str, object]],
) -> None:
    """Write `record` to standard output: as JSON by `document`, or its `page` in another format."""
    if output_format == "json":
        write(dump(document(record)))
    elif output_format == "markdown":
        write(markdown.render(page()))
    elif output_format == "html":
        from ckpt_tools.report.formats import html  # noqa: PLC0415 - its entities are slow to load

        write(_for_encoding(html.render(page())))
    elif sys.stdout.isatty() or _shared(COLOR) == "always":
        import shutil  # noqa: PLC0415 - loads the archive formats, for terminals only

        from ckpt_tools.report.formats import terminal  # noqa: PLC0415 - loads rich, for terminals only

        size = shutil.get_terminal_size()  # COLUMNS overrides it, as in shells
        _page_through(terminal.render(page(), size.columns, color=_wants_color()), size.lines)
    else:
        write(text.render(page()))


def _page_through(result: str, lines: int) -> None:
    """Write `result` through the pager if it is longer than a screen of so many lines.

    The pager is CKPT_PAGER, or else PAGER; without a terminal to read keys from there is none.
    """
    pager = os.environ.get("CKPT_PAGER")
    is_unwanted = _shared(QUIET) or _shared(NO_PAGER) or pager in ("", "cat")
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if (
        result.count("\n") < lines
        or is_unwanted
        or not is_terminal
        or os.environ.get("TERM") == "dumb"
    ):
        write(result)
        return
    if pager:
        os.environ["PAGER"] = pager
    # As git does: color, and gone without a trace. What is sent has colors in any case.
    own = os.environ.get("LESS")
    os.environ["LESS"] = f"-R {own}" if own else "FRX"
    click.echo_via_pager(result.rstrip("\n"), color=True)


def write(result: str) -> None:
    """Write `result` to standard output, with escapes for characters that its encoding lacks.

    With --quiet nothing is written.
    """
    if not _shared(QUIET):
        write_always(result)


def write_always(result: str) -> None:
    """Write `result` to standard output, with --quiet too."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(result.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        error.filename = _STANDARD_OUTPUT
        raise


def _for_encoding(document: str) -> str:
    """Return an HTML document as it is for UTF-8, with character references for other encodings."""
    utf_8 = (sys.stdout.encoding or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")
    return document if utf_8 else document.encode("ascii", "xmlcharrefreplace").decode("ascii")


def complain(message: str) -> None:
    """Write one line to standard error."""
    write_error(f"ckpt: {message}\n")


def sentence_of(error: CkptError | OSError) -> str:
    """Return an error as one line: what is wrong, where, and what to do next."""
    if isinstance(error, CkptError):
        return str(error)
    what = (error.strerror or str(error)).lower()
    where = error.filename or "the system"
    place = "where it is written to" if where == _STANDARD_OUTPUT else "the path and the disk"
    return f"{where}: {what}; check {place}"


def write_error(text: str) -> None:
    """Write `text` to standard error; if that fails, the exit code remains."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Redirect `stream` to the null device, for what Python writes at exit too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_what_is_closed() -> None:
    """Redirect standard streams that were closed before the start (`>&-`) to the null device."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - a device, open until the end


@contextmanager
def progress_of(what: str, total: int | None, *, wanted: bool) -> Iterator[Progress]:
    """Yield the callbacks of a progress bar for bytes, without effect unless it is `wanted`.

    `total` is the number of bytes in all, None where it is not known from the start.
    """
    columns = ("DownloadColumn", "TransferSpeedColumn")
    with progress_bar(what, *columns, total=total, wanted=wanted) as update:
        yield Progress(lambda nbytes: update(advance=nbytes), lambda nbytes: update(total=nbytes))


@contextmanager
def progress_bar(
    what: str, *columns: str, total: int | None = None, wanted: bool = True
) -> Iterator[Callable[..., None]]:
    """Yield the function that updates a progress bar, without effect unless on a terminal.

    Its arguments are those of `rich.progress.Progress.update`; `columns` are rich's, for amounts.
    """
    if not wanted or not sys.stderr.isatty():
        yield lambda **_: None
        return
    from rich import console, progress  # noqa: PLC0415 - slow to import, for terminals only

    shown = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        *(getattr(progress, column)() for column in columns),
        progress.TimeRemainingColumn(),
    )
    standard_error = console.Console(stderr=True)
    with progress.Progress(
        *shown, console=standard_error, transient=True, redirect_stdout=False
    ) as bar:
        yield partial(bar.update, bar.add_task(what, total=total))


def _shared(name: str) -> str | None:
    """Return the value of an option that all commands share, None without it."""
    ctx = click.get_current_context(silent=True)
    return ctx.meta.get(f"ckpt.{name}") if ctx else None


def _wants_color() -> bool:
    """Whether to use color: as --color says, else by the conventions of NO_COLOR and TERM."""
    said = _shared(COLOR)
    if said in ("always", "never"):
        return said == "always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_STANDARD_OUTPUT = "standard output"
"""The name of the file whose writing failed."""

QUIET, COLOR, NO_PAGER = "quiet", "color", "no_pager"
"""Options that all commands share, by which what is written here is chosen."""

CLEAN = 0
"""Equal, or no findings."""

FINDINGS = 1
"""Differences or findings."""

TROUBLE = 2
"""The command could not run."""

NOTHING_CHECKED = 3
"""Nothing was checked; this does not count as a pass."""

INTERRUPTED = 130
"""Ctrl-C, as shells report a command that SIGINT ended."""
