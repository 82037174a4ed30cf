"""Writing results: data to standard output, everything else to standard error; colour and wrapped tables on a terminal only."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from ckpt_tools.report import markdown, text

if TYPE_CHECKING:
    from ckpt_tools.report.blocks import Page


def write_page(page: Page, output_format: str) -> None:
    """Write `page` as Markdown, or as text fit for what standard output is."""
    if output_format == "markdown":
        write(markdown.render(page))
    elif sys.stdout.isatty():
        # The one import that waits: rich costs more than a whole diff, and only a terminal needs it.
        terminal = importlib.import_module("ckpt_tools.report.terminal")
        write(terminal.render(page, _columns(), colour=_wants_colour()))
    else:
        write(text.render(page))


def write(result: str) -> None:
    """Write `result` to standard output; characters that its encoding lacks come out as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(result.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def complain(message: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"ckpt: {message}\n")


def _columns() -> int:
    """Return the terminal's width; COLUMNS overrides it, as in shells."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else os.get_terminal_size(sys.stdout.fileno()).columns


def _wants_colour() -> bool:
    """Whether colour is welcome, by the conventions of no-color.org and TERM."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
