"""What is known of model families.

Which tensors they have, what their parts are called, which config keys matter. Pure; no rule and no
report.
"""
