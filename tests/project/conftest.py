"""Fixtures for the packaging tests: the wheel, and environments in which it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.project.environments import LOCKS, PYTHONS, Environment, built, create
from tests.project.hosts import furnished
from tools import site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(
    scope="session", params=[(python, lock) for python in PYTHONS for lock in LOCKS], ids="-".join
)
def environment(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """An environment with the wheel, for every supported Python and every lock."""
    version, lock = request.param
    return create(tmp_path_factory.mktemp("environment"), version, lock, wheel)


@pytest.fixture(scope="session")
def without_kernel(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the pure Python wheel."""
    wheel = built(tmp_path_factory.mktemp("pure"), CKPT_NO_KERNEL="1")
    return create(tmp_path_factory.mktemp("environment"), PYTHONS[0], LOCKS[0], wheel)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a good and a bad checkpoint, and commands as an installation leaves them."""
    return furnished(tmp_path)


@pytest.fixture(scope="session")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation site."""
    out = tmp_path_factory.mktemp("documentation") / "site"
    site.build(out)
    return out
