"""What the gate was told to live with, and what it says in the end. Nothing here decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.rules.finding import Finding, Severity, Verification


class Suppression(NamedTuple):
    """Findings of the rule `code` on files that the glob `path` names and on subjects that `subject` does are lived with, for a reason.

    `expires` is the last day on which they are, as 2027-01-31, "" for ever. `place` is where it
    stands in the settings: `suppress[0]`.
    """

    code: str
    reason: str
    path: str = "*"
    subject: str = "*"
    expires: str = ""
    place: str = ""


class Settings(NamedTuple):
    """What `ckpt.toml` says.

    `today` is the day on which it was read, by which suppressions expire; `source` the file, "" for
    none.
    """

    profile: str = ""
    suppress: tuple[Suppression, ...] = ()
    severity: Mapping[str, Severity] = {}
    allow: tuple[str, ...] = ()
    today: str = ""
    source: str = ""


class Verdict(NamedTuple):
    """Whether a checkpoint may be uploaded under a profile.

    `refused` are the findings that stand against it; nothing asked is not a pass.
    """

    profile: str
    verification: Verification
    refused: tuple[Finding, ...]
    passes: bool
