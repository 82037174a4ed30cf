"""`python -m lerobot_reflow.compare`."""

from __future__ import annotations

import sys

from lerobot_reflow.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
