"""The error of a comparison."""

from __future__ import annotations


class CompareError(Exception):
    """A request, checkpoint or run that the comparison cannot use: one sentence with the fix."""
