"""The rules, one a file.

A module is called by its code and its name; its docstring is the page that `ckpt explain` prints.
"""
