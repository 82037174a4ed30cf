"""What `ckpt diff --values` says of real trainings: of all weights, of parts, of adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from ckpt_tools import api
from ckpt_tools.diff.change_kind import ChangeKind
from ckpt_tools.diff.changed_parts import UNRELATED_BELOW
from tests.support import forked

pytestmark = pytest.mark.lerobot

TRAIN = Path(__file__).with_name("train_toys.py")


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all models, trained in one process, since the imports take seconds."""
    folder = tmp_path_factory.mktemp("toys")
    forked.python(TRAIN, folder)
    return folder


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("base", "base", ChangeKind.IDENTICAL),
        ("base", "base-bf16", ChangeKind.ROUNDED),
        ("base-bf16", "base", ChangeKind.ROUNDED),
        ("base", "full", ChangeKind.CONTINUED),
        ("base", "full-little", ChangeKind.CONTINUED),
        ("base", "full-long", ChangeKind.CONTINUED),
        ("base-bf16", "full-bf16", ChangeKind.CONTINUED),
        ("base-bf16", "full-rounded", ChangeKind.CONTINUED),
        ("base", "lora", ChangeKind.LOW_RANK),
        ("base", "lora-16", ChangeKind.LOW_RANK),
        ("base-bf16", "lora-bf16", ChangeKind.LOW_RANK),
        ("lora", "base", ChangeKind.LOW_RANK),
        ("base", "frozen", ChangeKind.PARTS),
        ("base", "head", ChangeKind.PARTS),
        ("base", "other", ChangeKind.UNRELATED),
        ("base", "untrained", ChangeKind.UNRELATED),
    ],
)
def test_a_training_is_called_what_it_was(
    toys: Path, before: str, after: str, kind: ChangeKind
) -> None:
    found = api.diff(toys / before, toys / after, values=True, cached=False).change

    assert found is not None
    assert (found.kind, found.text) == (kind, found.text)


def test_the_thresholds_are_far_from_what_trainings_give(toys: Path) -> None:
    cosines = {
        name: found.cosine
        for name in ("full-long", "other", "untrained")
        if (found := api.diff(toys / "base", toys / name, values=True, cached=False).change)
    }

    assert abs(cosines["other"] or 1) < UNRELATED_BELOW / 2
    assert abs(cosines["untrained"] or 1) < UNRELATED_BELOW / 2
    assert (cosines["full-long"] or 0) > 2 * UNRELATED_BELOW


@pytest.mark.parametrize(
    ("before", "after", "rank"), [("base", "lora", 4), ("base", "lora-16", 16)]
)
def test_the_rank_of_an_adapter_is_found_exactly(
    toys: Path, before: str, after: str, rank: int
) -> None:
    found = api.diff(toys / before, toys / after, values=True, cached=False).change

    assert found is not None
    assert {one.rank for one in found.ranks if min(one.rows, one.columns) >= 2 * rank} == {rank}


def test_trained_and_frozen_parts_are_named(toys: Path) -> None:
    found = api.diff(toys / "base", toys / "frozen", values=True, cached=False).change

    assert found is not None
    moved, still = ([p for p in found.parts if bool(p.changed) is state] for state in (True, False))
    assert sum(part.tensors for part in moved) == 19  # both layers are one part, and the head
    assert all(part.share == 0 for part in still)
    assert "frozen" in found.text
