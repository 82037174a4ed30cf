"""What `ckpt` returns to the shell."""

from __future__ import annotations

CLEAN = 0
"""Nothing to complain about: equal, or no findings."""

FINDINGS = 1
"""Differences or findings."""

TROUBLE = 2
"""The job could not be done."""

NOTHING_CHECKED = 3
"""Nothing was checked, which is not a pass."""

INTERRUPTED = 130
"""Somebody pressed Ctrl-C: what shells say of a command that SIGINT ended."""
