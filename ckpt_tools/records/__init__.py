"""The nouns that every room shares: immutable named tuples, made with keywords. No I/O, no numpy, no knowledge of any model family.

Not dataclasses: each of those costs a millisecond at every start, and there are dozens.
"""
