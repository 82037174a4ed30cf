"""Versions of what determines actions and times."""

from __future__ import annotations

from importlib.metadata import version

VERSIONS = {name: version(name) for name in ("lerobot", "torch", "transformers")}
