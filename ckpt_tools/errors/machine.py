"""What the machine refuses.

Permissions, devices, the network, a file that changes while it is read.
"""

from __future__ import annotations

from ckpt_tools.errors.error import CkptError


class StoreError(CkptError):
    """The machine refused, or a file is not what a checkpoint can be made of."""


class Unreadable(StoreError):
    """The operating system refused to open or read."""


class NotAFile(StoreError):
    """A folder, pipe, socket or device where a regular file is expected."""

    hint = "put the file itself there"


class ChangedDuringRead(StoreError):
    """A file became shorter or was replaced while it was read."""

    hint = "something is writing to this checkpoint: wait for it to finish and try again"


class Unreachable(StoreError):
    """The Hub can be reached."""

    hint = "check the network, HF_ENDPOINT and the proxy settings, and try again"


class WrongAnswer(StoreError):
    """A server answers what it was asked, in the Hub's protocol."""

    hint = "try again later; if it stays, something between here and the Hub changes answers, or HF_ENDPOINT names another server"


class ProbeFailed(StoreError):
    """The probe runs in a process of its own, and answers."""


class WriteFailed(StoreError):
    """A write was given up; what was there before is there unchanged."""


class Unwritable(WriteFailed):
    """The operating system refused to write."""


class NoSpace(WriteFailed):
    """The disk has room for what is written."""

    hint = "free some space, or write to another disk with --output"


class LockedByOther(WriteFailed):
    """One process at a time writes to a folder."""

    hint = "wait until it has finished"


class WriteInterrupted(WriteFailed):
    """A write to this folder was interrupted before it was finished or undone."""

    hint = "finish or undo it: ckpt recover"


class WrittenWrong(WriteFailed):
    """What was written, read again, is what was to be written."""

    hint = "check the disk and the memory of this machine"
