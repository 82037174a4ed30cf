"""`python -m ckpt_tools`, and the entry point of the command `ckpt`."""

from __future__ import annotations

import sys

from ckpt_tools.cli.main import main as run


def main() -> None:
    """Run `ckpt` and leave with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
