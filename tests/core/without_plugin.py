"""Run a program where neither the plugin nor ckpt_tools can be imported.

python without_plugin.py (SCRIPT | -m MODULE | -c CODE) ARGUMENT...
"""

from __future__ import annotations

import runpy
import sys

HIDDEN = ("lerobot_policy_smolvla_reflow", "ckpt_tools")


class Refuse:
    """Finds none of the modules that are hidden."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Raise ModuleNotFoundError for a hidden module."""
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"{name} is hidden by this test", name=name)


def main() -> None:
    """Run the program that the arguments name."""
    if any(name.partition(".")[0] in HIDDEN for name in sys.modules):
        raise RuntimeError("what is to be hidden was imported before")
    sys.meta_path.insert(0, Refuse())  # type: ignore[arg-type]  # older finders return anything
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif sys.argv[0] == "-c":
        exec(sys.argv.pop(1), {"__name__": "__main__"})  # noqa: S102 - the test's own program
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
