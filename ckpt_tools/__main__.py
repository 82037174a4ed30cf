"""`python -m ckpt_tools`, and the entry point of the command `ckpt`."""

from __future__ import annotations

import gc
import sys

# A short life with many small records: collecting cycles would cost a tenth of the time, imports included, and find none.
gc.disable()

from ckpt_tools.cli.main import main as run  # noqa: E402 - after that


def main() -> None:
    """Run `ckpt` and leave with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
