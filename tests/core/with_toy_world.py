"""Run a module where toy_world, which is beside this file, can be imported.

python with_toy_world.py MODULE ARGUMENT...
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
