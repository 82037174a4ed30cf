"""JSON as the reference reads it.

Strict parsing, pointers, and edits that keep every other byte.
"""
