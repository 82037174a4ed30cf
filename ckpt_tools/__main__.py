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
    if sys.platform == "win32":  # it locks files and reads at offsets as POSIX has it
        sys.stderr.write("error: ckpt runs on Linux and macOS; on Windows, run it in WSL\n")
        sys.exit(2)
    try:
        code = importlib.import_module("ckpt_tools.cli.main").main()
    except KeyboardInterrupt:  # while that is imported: it hears the others itself
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
