"""What a check read, kept as texts by their content, so that newer rules judge without reading."""

from __future__ import annotations
