"""`python -m ckpt_tools`, and the entry point of the command `ckpt`."""

from __future__ import annotations

import gc
import importlib
import sys

from ckpt_tools.cli.output import INTERRUPTED

# A short life with many small records: collecting cycles would cost a tenth of the time, imports
# included, and find none.
gc.disable()


def main() -> None:
    """Run `ckpt` and leave with its exit code."""
    try:
        code = importlib.import_module("ckpt_tools.cli.main").main()
    except KeyboardInterrupt:  # while that is imported: it hears the others itself
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
