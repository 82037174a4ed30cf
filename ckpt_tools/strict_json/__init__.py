"""Strict JSON: parsing, pointers, and edits that keep every other byte."""
