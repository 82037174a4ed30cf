"""Lines of terminal output that are wider than the terminal, though they could have been broken."""

from __future__ import annotations

import re

from rich.cells import cell_len

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_MARK = re.compile(r"^\s*(?:[✓✗~] )?(?:-> )?")
_COMMAND = re.compile(r"(ckpt|hf|pip|python) ")


def too_wide(output: str, width: int) -> list[str]:
    """Return the lines of more than `width` columns, but for those of a single word or command."""
    return [
        line
        for line in ESCAPES.sub("", output).split("\n")
        if cell_len(line) > width
        and " " in (rest := _MARK.sub("", line))
        and not _COMMAND.match(rest)
    ]
