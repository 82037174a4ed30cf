"""The distribution where nothing can be compiled.

It installs all the same, as a wheel for every machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ckpt_tools import __version__
from tools import build_kernels

ROOT = Path(__file__).parents[2]
LIBRARY = build_kernels.LIBRARY.relative_to(ROOT)
NO_KERNEL = {build_kernels.WITHOUT: "1"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a wheel is made of, which a test may spoil."""
    for name in ("ckpt_tools", "schemas", "tools"):
        shutil.copytree(
            ROOT / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """An environment whose compiler fails."""
    compiler = tmp_path / "broken" / "ziglang"
    compiler.mkdir(parents=True)
    (compiler / "__main__.py").write_text(
        "raise SystemExit('no compiler for this machine')\n", encoding="utf-8"
    )
    (compiler / "__init__.py").touch()
    return {"PYTHONPATH": str(compiler.parent)}


def build(
    checkout: Path, call: str = "print(build.build_wheel('out'))", **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from hatchling import build; {call}"]
    return subprocess.run(
        command,
        check=True,
        cwd=checkout,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )


def test_a_wheel_without_the_kernel_is_for_every_machine_and_holds_all_else(checkout: Path) -> None:
    compiled, pure = (build(checkout, **environment) for environment in ({}, NO_KERNEL))
    assert (
        "without its compiled part, and is slower with values: CKPT_NO_KERNEL is set" in pure.stderr
    )
    assert compiled.stderr == ""
    names = [name.stdout.strip() for name in (compiled, pure)]
    assert names == [
        f"ckpt_tools-{__version__}-{tag}.whl" for tag in (build_kernels.tag(), "py3-none-any")
    ]
    with (
        zipfile.ZipFile(checkout / "out" / names[0]) as a,
        zipfile.ZipFile(checkout / "out" / names[1]) as b,
    ):
        assert set(a.namelist()) - set(b.namelist()) == {LIBRARY.as_posix()}
        assert set(b.namelist()) < set(a.namelist())
        assert (
            "Root-Is-Purelib: true" in b.read(f"ckpt_tools-{__version__}.dist-info/WHEEL").decode()
        )


def test_a_compiler_that_fails_or_is_not_there_makes_no_build_fail(
    checkout: Path, broken: dict[str, str], tmp_path: Path
) -> None:
    done = build(checkout, **broken)
    assert done.stdout.strip().endswith("-py3-none-any.whl")
    assert "no compiler for this machine" in done.stderr
    (tmp_path / "broken" / "ziglang" / "__main__.py").unlink()
    done = build(checkout, **broken)
    assert done.stdout.strip().endswith("-py3-none-any.whl")
    assert "pip install ziglang" in done.stderr


@pytest.mark.parametrize("there", [False, True])
def test_an_editable_install_without_the_kernel_keeps_none_of_an_older_source(
    checkout: Path, *, there: bool
) -> None:
    (checkout / LIBRARY).unlink(missing_ok=True)
    if there:
        (checkout / LIBRARY).write_bytes(b"old")
    assert (
        build(checkout, "print(build.build_editable('out'))", **NO_KERNEL)
        .stdout.strip()
        .endswith("-py3-none-any.whl")
    )
    assert not (checkout / LIBRARY).exists()


def test_the_compiler_is_asked_for_unless_nothing_is_to_be_compiled(checkout: Path) -> None:
    call = "print(build.get_requires_for_build_wheel())"
    assert build(checkout, call).stdout.strip() == str([build_kernels.COMPILER])
    assert build(checkout, call, **NO_KERNEL).stdout.strip() == "[]"
