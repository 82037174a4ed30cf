"""Addresses of other storages, such as `s3://bucket/folder`, and the commands that copy from them.

A bucket on the Hub is one, too; the Hub's repositories have their names in `hub_name`. No I/O.
"""

from __future__ import annotations

import re

from ckpt_tools import shell
from ckpt_tools.storage.hub_name import download, is_hub_name, parse

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://")
_PAGES = ("http://", "https://")
"""A page is no folder: nothing lists what is below it."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The extras of this package that a scheme needs."""

_COPY = {
    "hf": "hf buckets sync {} {}",
    "s3": "aws s3 cp --recursive {} {}",
    "gs": "gcloud storage cp --recursive {} {}",
    "gcs": "gcloud storage cp --recursive {} {}",
}


def is_address(where: str) -> bool:
    """Whether `where` starts with a scheme that names another storage."""
    return (
        _ADDRESS.match(where) is not None
        and not where.startswith(_PAGES)
        and not is_hub_name(where)
    )


def scheme_of(address: str) -> str:
    """Return the scheme of an address."""
    return address.partition("://")[0]


def fetch_command(where: str, root: str) -> tuple[str, str]:
    """Return the command that copies `where` to this machine, and the resulting local path.

    `root` is where that is known to be: for a local path the command is "", and for an address
    whose program is not known.
    """
    if is_hub_name(root):
        return download(parse(where))
    if not is_address(root):
        return "", where
    name = where.rstrip("/").rpartition("/")[2]
    command = _COPY.get(scheme_of(where), "")
    return command.format(shell.quote(where), shell.quote(name)), name
