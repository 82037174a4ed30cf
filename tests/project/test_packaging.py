"""The distribution as a user gets it: a wheel, in a clean environment, with its schemas."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

from ckpt_tools import __version__
from ckpt_tools.storage import schemas
from ckpt_tools.values import kernels
from tests.project.environments import built
from tools import build_kernels

ROOT = Path(__file__).parents[2]
PATTERNS = "ckpt_tools/scan/secret_patterns.toml"
SCHEMAS = sorted(path.name for path in (ROOT / "schemas").iterdir())


def test_the_wheel_holds_the_schemas_byte_for_byte(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name: archive.read(f"ckpt_tools/schemas/{name}") for name in SCHEMAS}
    assert shipped == {name: (ROOT / "schemas" / name).read_bytes() for name in SCHEMAS}
    assert len(shipped) >= 3


def test_the_wheel_has_the_formats_of_secrets(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = archive.read(PATTERNS)
    assert shipped == (ROOT / PATTERNS).read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    parts = {f"ckpt_tools-{__version__}.{part}" for part in ("dist-info", "data")}
    assert tops == {"ckpt_tools", *parts}


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


def test_an_editable_install_finds_the_same_schemas() -> None:
    assert {f"{name.removesuffix('.schema.json')}" for name in SCHEMAS} >= {
        "diff",
        "show",
        "smolvla-config",
    }
    assert all(
        Path(schemas.path_of(name.removesuffix(".schema.json"))).read_bytes()
        == (ROOT / "schemas" / name).read_bytes()
        for name in SCHEMAS
    )


def test_the_version_is_said_once(wheel: Path) -> None:
    assert wheel.name.startswith(f"ckpt_tools-{__version__}-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ("version" in project, project["dynamic"]) == (False, ["version"])
