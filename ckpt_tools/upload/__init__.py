"""Stages a snapshot of what passed the gate, and sends it with `hf upload`."""
