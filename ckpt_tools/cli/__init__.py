"""The command line: parse, one call of `api`, render, exit code.

No knowledge of checkpoints lives here.
"""
