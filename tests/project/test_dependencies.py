"""The dependencies in pyproject.toml: the locks match them, and every import is declared."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.project.environments import LOCKS, PROJECT, PYTHONS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEEDED = [Requirement(line) for line in PROJECT["dependencies"]]
LOCKED = [ROOT / "requirements" / f"{name}.lock" for name in ("development", *LOCKS)]


def pins(lock: Path, python: str) -> dict[str, Version]:
    """Return the versions in a lock for a Python on Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    lines = re.findall(r"^(\S+==.*?)(?: \\)?$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    found = [
        requirement
        for requirement in map(Requirement, lines)
        if not requirement.marker or requirement.marker.evaluate(environment)
    ]
    return {
        canonicalize_name(requirement.name): Version(str(requirement.specifier)[2:])
        for requirement in found
    }


def needed(python: str) -> list[Requirement]:
    return [
        requirement
        for requirement in NEEDED
        if not requirement.marker or requirement.marker.evaluate({"python_version": python})
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lowest_lock_pins_the_lowest_versions(python: str) -> None:
    """If this fails after a change of pyproject.toml, run `make lock`."""
    found = pins(ROOT / "requirements" / "lowest.lock", python)
    for requirement in needed(python):
        (lowest,) = (
            specifier.version for specifier in requirement.specifier if specifier.operator == ">="
        )
        assert found[requirement.name] == Version(lowest), requirement


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKED, ids=lambda lock: lock.stem)
def test_every_lock_pins_allowed_versions(lock: Path, python: str) -> None:
    found = pins(lock, python)
    for requirement in needed(python):
        assert found[requirement.name] in requirement.specifier, requirement
    assert lock.stem == "development" or not {"torch", "lerobot", "transformers"} & found.keys()


@pytest.mark.parametrize("requirement", NEEDED, ids=str)
def test_every_dependency_has_both_bounds(requirement: Requirement) -> None:
    assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}


@pytest.mark.parametrize("lock", LOCKED, ids=lambda lock: lock.stem)
def test_a_lock_has_versions_and_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert all(line.startswith("    --hash=sha256:") or "==" in line for line in text.splitlines())


@pytest.mark.parametrize("sources", ["ckpt_tools", "lerobot_policy_smolvla_reflow/src"])
def test_no_library_is_imported_by_name(sources: str) -> None:
    """deptry, mypy and import-linter see import statements only."""
    paths = list((ROOT / sources).rglob("*.py"))
    assert paths
    assert {name for path in paths for name in _imported_by_name(path)} <= {"ckpt_tools"}


def _imported_by_name(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith("import_module")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value).partition(".")[0]
