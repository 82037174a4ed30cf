"""JSON as the reference reads it: strict parsing, pointers, and edits that keep every other byte."""
