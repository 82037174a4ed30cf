"""Path arguments of the public verbs: strings, or anything that `os.fspath` accepts.

Below `ckpt_tools.api`, every path is a string.
"""

from __future__ import annotations

import os

type AnyPath = str | os.PathLike[str]


def as_text[Other](given: AnyPath | Other) -> str | Other:
    """Convert a path object to a string.

    Anything else (a string, None, Settings) is returned unchanged.
    """
    return os.fspath(given) if isinstance(given, os.PathLike) else given
