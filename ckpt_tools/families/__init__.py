"""What is known of model families: which tensors they have, what their parts are called, which config keys matter. Pure; no rule and no report."""
