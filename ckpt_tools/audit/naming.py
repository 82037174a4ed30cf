"""How an audit writes the names of sources and locations, refusals of names, and errors.

Bytes that are not UTF-8 are escaped, and secrets are masked. No I/O.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.scan.secrets import mask

if TYPE_CHECKING:
    from ckpt_tools.errors import CkptError

_PAGES = ("http://", "https://")
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
_ESCAPE = re.compile(r"\\udc([89a-f][0-9a-f])")


def printable(name: str) -> str:
    r"""Return a name with the bytes that are not UTF-8 as \udc80, as a database can hold it."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def unescaped(name: str) -> str:
    """Return the name of which `printable` may have made this one."""
    return _ESCAPE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), name)


def shown(where: str) -> str:
    """Return what was named (WHERE) as an audit keeps it: without a password or token."""
    where = printable(where).replace("\0", "\\0")
    return mask(_PASSWORD.sub(r"\1:…@", where)) if "://" in where else where


def refusal(where: str) -> str:
    """Return why nothing can be looked for under this name, "" if something can."""
    if "\0" in where:
        return "contains a NUL character; write one name a line"
    if where.startswith(_PAGES):
        return "is a web page; write a checkpoint on the Hub as hf://owner/name"
    if shown(where) != printable(where):
        return (
            "the address contains a password or token, which an audit does not store; omit it, and"
            " set it where the storage's own programs read it"
        )
    return ""


def sentence(error: CkptError) -> str:
    """Return the fault and the next step of an error, without its path."""
    return f"{error.what}; {error.next}" if error.next else error.what
