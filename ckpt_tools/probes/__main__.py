"""The command: a request on standard input, the answer on the last line of standard output.

{"do": "list", "library": "timm", "folder": DIR, "held": {NAME: [SIZE, …]}, "seconds": 60} is
answered by {"tensors": {NAME: [DTYPE, SIZE, …]}, "ties": [[NAME, …]], "reads": {NAME: [NAME, …]},
"spared": [NAME, …], "used": [FILE, …]}, and {"do": "load", …} by {"problems": [SENTENCE, …]}.
Either may be answered by {"missing": NAME}, {"library": SENTENCE}, or {"refused": SENTENCE}.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import sys
import traceback
import warnings
from typing import Any

from ckpt_tools.probes import guard

_MODULES = {
    "transformers": "transformers_models",
    "diffusers": "diffusers_models",
    "timm": "timm_models",
    "lerobot": "lerobot_policies",
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request, whatever happens."""
    try:
        return _load(request) if request["do"] == "load" else _list(request)
    except guard.RefusedError as error:
        return {"refused": str(error)}
    except Exception as error:
        traceback.print_exc()
        return _failed(error)


def _list(request: dict[str, Any]) -> dict[str, Any]:
    library = request["library"]
    module = importlib.import_module(f"ckpt_tools.probes.{_MODULES[library]}")
    # These import torch, after the process was isolated.
    from ckpt_tools.probes import building, state  # noqa: PLC0415

    building.limit_parameters()
    with guard.seconds(request["seconds"]):
        found = module.tensors(request["folder"], request["held"])
    return {**state.answer(found), "used": sorted(guard.used)}


def _load(request: dict[str, Any]) -> dict[str, Any]:
    from ckpt_tools.probes import load  # noqa: PLC0415 - as above

    return {"problems": load.problems(request["folder"])}


def _failed(error: Exception) -> dict[str, Any]:
    """Return the answer for what a library raised."""
    if missing := guard.missing_in(error):
        return {"missing": missing}
    if isinstance(error, ImportError):
        return {"library": one_line(error)}
    return {"refused": guard.refusal_in(error) or one_line(error)}


def one_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def main() -> None:
    """Run the command. Standard output has only the answer."""
    output = sys.stdout
    request = json.load(sys.stdin)
    guard.isolate(most_memory=guard.MOST_MEMORY if request["do"] == "list" else None)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    with contextlib.redirect_stdout(sys.stderr):
        found = answer(request)
    output.write(json.dumps(found) + "\n")
    output.flush()


if __name__ == "__main__":
    main()
