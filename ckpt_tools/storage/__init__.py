"""Where bytes lie and how they are read, written and published.

This machine's disk, a repository on the Hub.
"""
