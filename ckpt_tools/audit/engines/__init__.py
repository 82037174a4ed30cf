"""Engines: what runs the batches of an audit, on this machine or on others.

An engine has `run(batches: Iterator[str]) -> Iterator[str]`: texts in, texts out, in any order. It
never looks into a text but through `audit.batches` (to divide a batch that killed its worker).
"""
