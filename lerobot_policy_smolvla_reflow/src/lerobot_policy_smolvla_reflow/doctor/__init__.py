"""What `ckpt verify --load` and `ckpt doctor` run, in a process of its own.

Loaded policies, their actions and their times.
"""

from __future__ import annotations
