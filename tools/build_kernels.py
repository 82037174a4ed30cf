"""Compile `ckpt_tools/values/kernels.c` to `libkernels.so` beside it.

Runs when the package is built or installed, or by hand: python tools/build_kernels.py.

The compiler is Zig's, which pip brings for every system: none has to be there, and every system's
sums come from one compiler, which compiles for each of them. Nothing is kept in caches.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
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

KERNEL_FOR = "CKPT_KERNEL_FOR"
"""The environment variable that names the machine of `TARGETS` to compile for, if not this one."""


class Target(NamedTuple):
    """A kind of machine: what Zig calls it and its oldest system, and the tag of its wheels."""

    zig: str
    tag: str


_LINUX = "manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}"

TARGETS = {
    "linux-x86_64": Target("x86_64-linux", _LINUX.format("x86_64")),
    "linux-aarch64": Target("aarch64-linux", _LINUX.format("aarch64")),
    "macos-x86_64": Target("x86_64-macos.11.0", "macosx_11_0_x86_64"),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx_11_0_arm64"),
}
"""The machines that wheels are made for. The library links nothing, so any C library will do.

Elsewhere the library is for this very machine.
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


def _machine() -> str:
    """Return the name in `TARGETS` of the machine to compile for, or of this one if it has none."""
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    here = f"{system}-{platform.machine().lower()}"
    return os.environ.get(KERNEL_FOR) or {"linux-arm64": "linux-aarch64"}.get(here, here)


def _target() -> list[str]:
    """Return the flags for any processor of a kind and systems as old as the wheel's tag."""
    machine = _machine()
    if os.environ.get(KERNEL_FOR) and machine not in TARGETS:
        raise RuntimeError(f"{KERNEL_FOR} is {machine}, none of {', '.join(TARGETS)}")
    return ["-target", TARGETS[machine].zig] if machine in TARGETS else []


def tag() -> str:
    """Return the tag of a wheel for any Python on this kind of machine."""
    machine = _machine()
    here = TARGETS[machine].tag if machine in TARGETS else machine.replace("-", "_")
    return f"py3-none-{here}"


class KernelHook(BuildHookInterface[Any]):
    """Adds the library to the wheel, or to the checkout in an editable install.

    No other build writes to the checkout. The library is an accelerator only. If it cannot be
    compiled, the build warns and makes a pure Python wheel.
    """

    _folder: tempfile.TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return the compiler as a build requirement, on the platforms that have one."""
        return [COMPILER] if _wanted() and _machine() in TARGETS else []

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
