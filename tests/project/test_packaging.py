"""The distribution as a user gets it: a wheel, in a clean environment, with its schemas."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from ckpt_tools import __version__
from ckpt_tools.storage import schemas
from ckpt_tools.values import kernels
from tools import build_kernels

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted(path.name for path in (ROOT / "schemas").iterdir())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return built(tmp_path_factory.mktemp("wheel"))


def built(out: Path) -> Path:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(out)], check=True, cwd=ROOT, capture_output=True
    )
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_schemas_byte_for_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name: archive.read(f"ckpt_tools/schemas/{name}") for name in SCHEMAS}
    assert shipped == {name: (ROOT / "schemas" / name).read_bytes() for name in SCHEMAS}
    assert len(shipped) >= 3


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"ckpt_tools", f"ckpt_tools-{__version__}.dist-info"}


def test_building_a_wheel_leaves_the_checkout_alone_and_takes_no_remains_along(
    tmp_path: Path,
) -> None:
    remains = ROOT / "ckpt_tools" / "values" / "libkernels.4711"
    before = Path(kernels.LIBRARY).stat().st_mtime_ns
    remains.write_bytes(b"")
    try:
        made = built(tmp_path)
    finally:
        remains.unlink()
    assert Path(kernels.LIBRARY).stat().st_mtime_ns == before
    with zipfile.ZipFile(made) as archive:
        assert [name for name in archive.namelist() if "libkernels" in name] == [
            "ckpt_tools/values/libkernels.so"
        ]


def test_the_wheel_is_for_this_kind_of_machine_and_any_python(wheel: Path) -> None:
    assert wheel.name == f"ckpt_tools-{__version__}-{build_kernels.tag()}.whl"
    assert not wheel.name.endswith("any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("ckpt_tools/values/libkernels.so") == Path(kernels.LIBRARY).read_bytes()
        assert (
            "Root-Is-Purelib: false"
            in archive.read(f"ckpt_tools-{__version__}.dist-info/WHEEL").decode()
        )


@pytest.mark.slow
def test_the_wheel_runs_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    """A clean environment with the pinned dependencies that the tool itself needs.

    No torch, no LeRobot.
    """
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(_pins(), encoding="utf-8")
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        constraints,
        wheel,
    ]
    subprocess.run(install, check=True, capture_output=True)
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "ckpt", "--help"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "Diff, repair, verify and gate" in done.stdout
    diff: list[str | Path] = [
        tmp_path / "venv" / "bin" / "ckpt",
        "diff",
        ROOT / "fixtures" / "normal",
        ROOT / "fixtures" / "normal",
    ]
    assert subprocess.run(diff, check=False, capture_output=True, cwd=tmp_path).returncode == 0
    values = subprocess.run(
        [*diff, "--values"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    )
    assert values.returncode == 0, values.stderr
    where = "from ckpt_tools.storage.schemas import path_of; print(path_of('diff'))"
    found = subprocess.run(
        [python, "-c", where], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout.strip()
    assert Path(found).read_bytes() == (ROOT / "schemas" / "diff.schema.json").read_bytes()
    assert "site-packages" in found
    heavy = subprocess.run([python, "-c", "import torch"], check=False, capture_output=True)
    assert heavy.returncode != 0


def test_an_editable_install_finds_the_same_schemas() -> None:
    assert {f"{name.removesuffix('.schema.json')}" for name in SCHEMAS} >= {
        "diff",
        "show",
        "smolvla-config",
    }
    assert all(
        schemas.path_of(name.removesuffix(".schema.json")).read_bytes()
        == (ROOT / "schemas" / name).read_bytes()
        for name in SCHEMAS
    )


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


def _pins() -> str:
    """Return requirements.lock without its hashes.

    As constraints they would demand a hash of the wheel too.
    """
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.rstrip(" \\") for line in lines if "==" in line)
