"""Run Python programs in forks of this process, which has imported what takes most of their time.

    python preloaded.py MODULE...

A request is a line of standard input: {"arguments": …, "environment": …, "folder": …, "output": …,
"errors": …}, with the arguments that `python` would get (a script, or `-m` and a module, first) and
the files for what the program prints. The answer is a line with its exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def begin(request: dict[str, Any]) -> None:
    """Be the process that the request describes; nothing can be read from its standard input."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for stream, path in enumerate((os.devnull, request["output"], request["errors"])):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, stream)
        os.close(opened)


def run(arguments: list[str]) -> None:
    """Run the program in this process."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")


def main() -> None:
    """Answer requests until there are no more; a fork leaves the loop and runs its program."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            begin(request)
            run(request["arguments"])
            return
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
