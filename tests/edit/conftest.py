"""What tests of surgery share: a checkpoint to write from, and two plans for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import plans

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.edit.model import Plan

pytest.register_assert_rewrite("tests.support.write_checks")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A sharded checkpoint."""
    return plans.sharded(tmp_path / "in")


@pytest.fixture
def plan(old: Path, tmp_path: Path) -> Plan:
    """A plan that rewrites one shard, the index and the config."""
    return plans.rewriting(old, tmp_path / "ref")


@pytest.fixture
def merge(old: Path, tmp_path: Path) -> Plan:
    """A plan that makes one file of two shards."""
    return plans.merging(old, tmp_path / "ref")
