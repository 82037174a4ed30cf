"""Checkpoints as records, and reading them: headers, index, configs.

Payloads are read in `values`.
"""
