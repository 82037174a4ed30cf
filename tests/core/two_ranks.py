"""Run a program in two processes of one group, as torchrun does on a CPU.

    python two_ranks.py (SCRIPT | -m MODULE) ARGUMENT...

The second is a fork, so that what this process has imported is not imported again.
"""

from __future__ import annotations

import os
import runpy
import socket
import sys


def main() -> None:
    """Run the program as both ranks, and exit with the status of the one that failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other = os.fork()
    rank = "0" if other else "1"
    os.environ |= {
        "ACCELERATE_USE_CPU": "true",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "RANK": rank,
        "LOCAL_RANK": rank,
    }
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
    if other:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))


if __name__ == "__main__":
    main()
