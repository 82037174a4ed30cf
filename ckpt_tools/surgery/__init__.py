"""The pure half of changing a checkpoint: from operations to a plan. Nothing here reads or writes."""
