"""Errors of the system: permissions, devices, the network, files that change."""

from __future__ import annotations

from ckpt_tools import shell
from ckpt_tools.errors.error import CkptError


class StoreError(CkptError):
    """The system failed, or a file is not one that a checkpoint can consist of."""


class Unreadable(StoreError):
    """The system failed to open or read a file."""


class NotAFile(StoreError):
    """A folder, pipe, socket or device instead of a regular file."""

    hint = "replace it by the file itself"


class ChangedDuringRead(StoreError):
    """A file was shortened or replaced while it was read."""

    hint = "another program is writing to this checkpoint: wait for it to finish and try again"


class Unreachable(StoreError):
    """The Hub cannot be reached."""

    hint = "check the network, HF_ENDPOINT and the proxy settings, and try again"


class WrongAnswer(StoreError):
    """A server's answer is an error, or not what the Hub's protocol specifies."""

    hint = "try again later; if it persists, check HF_ENDPOINT and the proxy settings"


class ProbeFailed(StoreError):
    """The probe's process crashed or sent no answer."""


class EngineFailed(StoreError):
    """A cluster does not run the workers of an audit."""


class WriteFailed(StoreError):
    """A write failed; the previous state is unchanged."""


class Unwritable(WriteFailed):
    """The system failed to create or write a file."""


class NoSpace(WriteFailed):
    """Not enough free space for the output."""

    hint = "free some space, or write to another disk with --output"


class LockedByOther(WriteFailed):
    """Another process is writing to this folder."""

    hint = "wait until it has finished"


class WriteInterrupted(WriteFailed):
    """A write to this folder was interrupted, and neither completed nor rolled back."""

    def __init__(self, what: str, *, subject: str = "", path: str = "", hint: str = "") -> None:
        hint = hint or f"complete it or roll it back: ckpt recover {shell.quote(path)}"
        super().__init__(what, subject=subject, path=path, hint=hint)


class WrittenWrong(WriteFailed):
    """The written bytes, read again, are not those that were to be written."""

    hint = "check the disk and the memory"
