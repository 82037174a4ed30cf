"""Programs that import model libraries: what a library would write for a config, and a real load.

`ckpt_tools.live` runs them, each in a process of its own (`python -m ckpt_tools.probes`, a request
on standard input, the answer on the last line of standard output). Nothing else of the tool imports
them, and they import nothing else of it. They are the only modules that may import torch.
"""
