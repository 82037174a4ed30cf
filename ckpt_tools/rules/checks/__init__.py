"""The rules: one module a topic, one decorated function a rule; its docstring is its page.

`registry` lists the modules.
"""
