"""Staging a snapshot of what passed the gate, and handing it to `hf upload`."""
