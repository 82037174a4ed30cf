"""Compile `ckpt_tools/values/kernels.c` to `libkernels.so` beside it.

Runs when the package is built or installed, or by hand: python tools/build_kernels.py.

The compiler is Zig's, which pip brings for every system: none has to be there, and every system's
sums come from one compiler. Nothing is kept in caches.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path(__file__).parent.parent / "ckpt_tools" / "values" / "kernels.c"
LIBRARY = SOURCE.with_name("libkernels.so")

FLAGS = (
    "-std=c17",
    "-O3",
    "-ffp-contract=off",
    "-fPIC",
    "-shared",
    "-nostdlib",
    "-g0",
    "-Wall",
    "-Wextra",
)

WITHOUT = "CKPT_NO_KERNEL"
"""Set in the environment, nothing is compiled and no compiler is asked for."""

COMPILER = "ziglang>=0.17,<0.18"

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
"""By what `uname -m` says, what Zig calls a processor with what all of its kind have.

Elsewhere it takes what this machine has.
"""


def build(library: Path = LIBRARY, *flags: str) -> None:
    """Write the shared library. Raises RuntimeError with what the compiler said."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / library.name
        of_this_source = f"-DSOURCE_SUM={crc32(SOURCE.read_bytes())}u"
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            *_target(),
            *FLAGS,
            *flags,
            of_this_source,
            str(SOURCE),
            "-o",
            str(made),
        ]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder},
        )
        if done.returncode:
            raise RuntimeError(
                f"{SOURCE} could not be compiled by Zig (pip install ziglang):"
                f" {done.stderr.strip()}"
            )
        aside = library.with_suffix(f".{os.getpid()}")
        try:
            aside.write_bytes(made.read_bytes())
            aside.replace(library)  # who runs with the old one keeps it
        finally:
            aside.unlink(missing_ok=True)


def _target() -> list[str]:
    """Return the flags for any processor of this kind and systems as old as the wheel's tag."""
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    system = "macos.11.0" if sys.platform == "darwin" else "linux"
    return ["-target", f"{architecture}-{system}"] if architecture else []


def tag() -> str:
    """Return the tag of a wheel for any Python on this kind of machine."""
    system = "macosx_11_0" if sys.platform == "darwin" else "linux"
    return f"py3-none-{system}_{platform.machine().lower()}"


class SumsHook(BuildHookInterface[Any]):
    """Makes the library a part of the wheel, or of the checkout that is installed editable.

    No other checkout is written to.

    The library only makes the tool faster. Where it cannot be made, the wheel is one for every
    machine.
    """

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return what pip installs before it builds.

        The compiler, where there is one for this system.
        """
        return (
            [COMPILER]
            if _wanted()
            and sys.platform in {"linux", "darwin"}
            and platform.machine().lower() in _ARCHITECTURES
            else []
        )

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before files are collected."""
        if version == "editable":
            self._made(LIBRARY)
            return
        self._folder = tempfile.TemporaryDirectory()
        made = Path(self._folder.name) / LIBRARY.name
        if self._made(made):
            build_data |= {"pure_python": False, "tag": tag()}
            build_data["force_include"][str(made)] = str(LIBRARY.relative_to(Path(self.root)))

    def _made(self, library: Path) -> bool:
        """Compile, and return whether the library is there now. Says why it is not."""
        try:
            if _wanted():
                build(library)
                return True
            why = f"{WITHOUT} is set"
        except (OSError, RuntimeError) as error:
            why = str(error)
        with suppress(OSError):
            library.unlink()  # the one of an older source
        self.app.display_warning(
            f"ckpt-tools is installed without its compiled part, and is slower with values: {why}"
        )
        return False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Forget what is in the wheel now."""
        if self._folder:
            self._folder.cleanup()


def _wanted() -> bool:
    return not os.environ.get(WITHOUT)


if __name__ == "__main__":
    build()
