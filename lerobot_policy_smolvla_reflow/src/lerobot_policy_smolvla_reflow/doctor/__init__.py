"""The probe of `ckpt verify --load` and `ckpt doctor`: load checkpoints, run and time them."""

from __future__ import annotations
