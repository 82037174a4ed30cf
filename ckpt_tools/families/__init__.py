"""Facts about model families: tensors, components and config keys. Pure; no rules, no reports.

A family is a module of data (`smolvla/`), listed in `registry`.
"""
