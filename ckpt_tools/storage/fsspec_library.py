"""The library fsspec: an address to its file system, and its errors in sentences.

Each file system is a package of its own, with credentials from where its users keep them: the
environment and configuration files of AWS, Google Cloud and others, and fsspec's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import (
    AccessRefused,
    CkptError,
    LibraryMissing,
    PathNotFound,
    UnknownSelection,
    Unreachable,
)
from ckpt_tools.storage.address import EXTRAS, scheme_of
from ckpt_tools.storage.hub_library import hub_library

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_LONGEST = 200
_PATIENCE = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}
_CREDENTIALS = {
    "s3": "configure them as for `aws`, or set FSSPEC_S3_ANON=true for a public bucket",
    "gcs": "log in with `gcloud auth application-default login`",
}


def file_system(where: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and the path in it.

    Raises LibraryMissing or UnknownSelection, or what `failure` returns.
    """
    import fsspec  # noqa: PLC0415 - it takes 50 ms, and most commands read local files

    scheme = scheme_of(where)
    extra = EXTRAS.get(scheme, "")
    try:
        fsspec.get_filesystem_class(scheme)
        found: tuple[AbstractFileSystem, str] = fsspec.url_to_fs(
            where, use_listings_cache=False, **_options(scheme)
        )
    except ImportError as error:
        missing = f"pip install 'ckpt-tools[{extra}]'" if extra else _line(error)
        raise LibraryMissing(
            f"addresses that start with {scheme}:// need a package that is not installed",
            path=where,
            hint=missing,
        ) from None
    except ValueError as error:
        what = f"nothing is known that reads {scheme}://"
        known = "Protocol not known" in str(error)
        raise UnknownSelection(
            what if known else _line(error), path=where, hint="check the spelling"
        ) from None
    except Exception as error:  # noqa: BLE001 - file systems are packages with errors of their own
        raise failure(where, error) from None
    return found


def _options(scheme: str) -> dict[str, Any]:
    """Return what a file system is made with: no wait without end, and the Hub that is set."""
    if scheme == "hf":
        return {"endpoint": hub_library().constants.ENDPOINT}
    return {"config_kwargs": _PATIENCE} if EXTRAS.get(scheme) == "s3" else {}


def failure(where: str, error: Exception) -> CkptError:
    """Return the error for what a file system raised."""
    extra = EXTRAS.get(scheme_of(where), "")
    if isinstance(error, CkptError):
        return error.at(where)
    if "Credentials" in type(error).__name__ or "RefreshError" in type(error).__name__:
        return AccessRefused(
            "no valid credentials were found",
            path=where,
            hint=_CREDENTIALS.get(extra, "configure them as this file system's package says"),
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return PathNotFound("no such bucket, folder or file", path=where, hint="check the spelling")
    if isinstance(error, PermissionError):
        return AccessRefused(
            f"access is denied ({_line(error)})",
            path=where,
            hint="check the credentials, and whether they may list and read this",
        )
    return Unreachable(
        f"cannot be read: {_line(error)}",
        path=where,
        hint="check the address, the network and the credentials, and try again",
    )


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
