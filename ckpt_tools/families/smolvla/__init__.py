"""The SmolVLA family."""
