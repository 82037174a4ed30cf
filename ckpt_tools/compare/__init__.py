"""Checkpoint x checkpoint -> Diff, renames included. Knows formats and records, no model family and no file."""
