"""Inspects what files contain: types, pickles, secrets, personal paths, chat templates."""
