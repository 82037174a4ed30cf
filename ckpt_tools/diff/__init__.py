"""What differs between two checkpoints, and how differences are grouped."""
