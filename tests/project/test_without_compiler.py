"""Builds without the compiled kernel: they succeed, with a pure Python wheel."""

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
NO_KERNEL = {build_kernels.NO_KERNEL: "1"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that a wheel is built from."""
    for name in ("ckpt_tools", "man", "schemas", "tools"):
        shutil.copytree(
            ROOT / name, tmp_path / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """Environment variables that put a failing compiler first."""
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


def test_a_wheel_without_the_kernel_is_pure_and_otherwise_complete(checkout: Path) -> None:
    compiled, pure = (build(checkout, **environment) for environment in ({}, NO_KERNEL))
    assert (
        "built without its compiled kernel, so it reads tensor values more slowly:"
        " CKPT_NO_KERNEL is set"
    ) in pure.stderr
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


def test_a_failing_or_missing_compiler_does_not_fail_the_build(
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
def test_an_editable_install_without_the_kernel_removes_an_outdated_one(
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


def test_the_compiler_is_a_build_requirement_unless_compilation_is_off(checkout: Path) -> None:
    call = "print(build.get_requires_for_build_wheel())"
    assert build(checkout, call).stdout.strip() == str([build_kernels.COMPILER])
    assert build(checkout, call, **NO_KERNEL).stdout.strip() == "[]"
