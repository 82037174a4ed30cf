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

NO_KERNEL = "CKPT_NO_KERNEL"
"""The environment variable that turns compilation off; then the compiler is not installed."""

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


class KernelHook(BuildHookInterface[Any]):
    """Adds the library to the wheel, or to the checkout in an editable install.

    No other build writes to the checkout. The library is an accelerator only. If it cannot be
    compiled, the build warns and makes a pure Python wheel.
    """

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return the compiler as a build requirement, on the platforms that have one."""
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
            self._compile(LIBRARY)
            return
        self._folder = tempfile.TemporaryDirectory()
        library = Path(self._folder.name) / LIBRARY.name
        if self._compile(library):
            build_data |= {"pure_python": False, "tag": tag()}
            build_data["force_include"][str(library)] = str(LIBRARY.relative_to(Path(self.root)))

    def _compile(self, library: Path) -> bool:
        """Compile the library and return True, or warn, remove an outdated one and return False."""
        try:
            if _wanted():
                build(library)
                return True
            reason = f"{NO_KERNEL} is set"
        except (OSError, RuntimeError) as error:
            reason = str(error)
        with suppress(OSError):
            library.unlink()
        self.app.display_warning(
            "ckpt-tools is built without its compiled kernel, so it reads tensor values more"
            f" slowly: {reason}"
        )
        return False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove the temporary copy of the library."""
        if self._folder:
            self._folder.cleanup()


def _wanted() -> bool:
    return not os.environ.get(NO_KERNEL)


if __name__ == "__main__":
    build()
