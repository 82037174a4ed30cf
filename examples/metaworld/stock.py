"""Run LeRobot's commands, each in a process of its own that need not import it again.

Importing LeRobot takes longer than a short evaluation. A child process is a copy of this one, which
has imported what all commands need. Output goes to a log file.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",  # the model is tiny: more threads would only wait for each other
    "PYTHONWARNINGS": "ignore",
}
USED_OFTEN = (
    "lerobot.envs.metaworld",
    "lerobot.policies.smolvla.modeling_smolvla",
    "lerobot.scripts.lerobot_eval",
    "lerobot.scripts.lerobot_train",
)
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Failed(Exception):
    """A command that ended with an error; the message ends with its last output."""


def prepare(*, images: bool) -> None:
    """Set the environment of this process and of its children, and import what they use."""
    for name, value in ENVIRONMENT.items():
        os.environ[name] = value
    os.environ.setdefault("MUJOCO_GL", "egl" if images else "disabled")
    # LeRobot finds the environment in this folder as if it were installed.
    sys.path.insert(0, str(HERE / "environment"))
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    for module in USED_OFTEN:
        import_module(module)


def run(module: str, arguments: tuple[str, ...], log: Path) -> None:
    """Run a module or a script as a command, and append its output to a log. Raises Failed."""
    child = os.fork()
    if child == 0:
        _become(module, arguments, log)
    _, status = os.waitpid(child, 0)
    if status:
        end = log.read_text(errors="replace")[-2000:]
        raise Failed(f"{module} {' '.join(arguments)}\nfailed; the end of {log}:\n{end}")


def _become(module: str, arguments: tuple[str, ...], log: Path) -> None:
    """Run the command in this process, a child, and end."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.argv = [module, *arguments]
        import_module("bf16_in_f32").install()
        if module == "lerobot.scripts.lerobot_train":
            import_module("frames_in_memory").install()
        if module.endswith(".py"):
            sys.path.insert(0, str(Path(module).parent))
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = int(bool(end.code))
    except BaseException:  # noqa: BLE001 - as the interpreter would: print it and fail
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is an exception
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
