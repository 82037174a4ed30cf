"""Tensor values.

Decoding, one pass in bounded memory, casts, comparison, the cache of what was measured.
"""
