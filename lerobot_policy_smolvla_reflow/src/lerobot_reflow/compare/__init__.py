"""`lerobot-reflow-compare`: a teacher, its students and baselines at several numbers of steps."""

from __future__ import annotations
