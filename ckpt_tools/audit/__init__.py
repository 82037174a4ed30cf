"""Audits: many checkpoints found, checked and related, in one SQLite file.

Rules live in `ckpt_tools.rules`, what checks one checkpoint in `ckpt_tools.api`; `run` is given it.
"""
