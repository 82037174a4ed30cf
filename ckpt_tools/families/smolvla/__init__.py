"""What is known about SmolVLA."""
