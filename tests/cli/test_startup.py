"""`ckpt` starts in a blink because it loads nothing heavy.

Shown by the modules that a fresh interpreter holds, not by a clock.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "torch",
    "lerobot",
    "transformers",
    "numpy",
    "huggingface_hub",
    "jsonschema",
    "rich",
    "safetensors",
    "pathlib",
    "shutil",
    "yaml",
)

_PROBE = """
import sys
{statement}
print(",".join(sorted(name for name in {heavy!r} if name in sys.modules)))
"""


def heavy_modules_after(statement: str, *path: Path) -> list[str]:
    """Return which of HEAVY a fresh interpreter holds after `statement`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    script = _PROBE.format(statement=statement, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    return [name for name in done.stdout.splitlines()[-1].split(",") if name]


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert heavy_modules_after("import ckpt_tools.cli.main; print()") == []


def test_a_whole_diff_into_a_pipe_loads_nothing_heavy() -> None:
    statement = (
        "from ckpt_tools.cli.main import main; main(['diff', 'fixtures/normal',"
        " 'fixtures/reflow']); print()"
    )
    assert heavy_modules_after(statement) == []


def test_the_probe_sees_a_heavy_import_when_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "light.py").write_text("import rich\n", encoding="utf-8")
    assert "rich" in heavy_modules_after("import light; print()", tmp_path)
