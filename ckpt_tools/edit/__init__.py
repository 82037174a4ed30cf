"""Changing checkpoints: recipes, plans, sanitizing, and applying a plan without losing data."""
