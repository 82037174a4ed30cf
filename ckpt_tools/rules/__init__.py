"""Rules about checkpoints: the engine, findings and remedies, profiles and plugins.

No I/O: rules see only what their caller has read.
"""
