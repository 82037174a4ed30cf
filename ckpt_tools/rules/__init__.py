"""What can be wrong with a checkpoint, one rule a file, and asking them all.

No I/O: whoever asks has read what they look at.
"""
