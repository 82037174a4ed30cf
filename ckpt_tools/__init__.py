"""Diff, repair, verify and gate safetensors checkpoints.

The verbs are in `ckpt_tools.api`; this file holds the version only.
"""

from __future__ import annotations

__version__ = "0.2.0"
