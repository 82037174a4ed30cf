"""Diff, repair, verify and gate safetensors checkpoints. The verbs are in `ckpt_tools.api`; this file holds the version only."""

__version__ = "0.1.0"
