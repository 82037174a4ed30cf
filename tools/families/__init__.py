"""Writes ckpt_tools/families/data from the libraries themselves; not part of the package."""
