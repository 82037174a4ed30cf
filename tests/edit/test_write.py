"""`api.write` requires exactly one destination, and replaces a checkpoint only if `in_place`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api, errors
from tests.support.write_checks import refusal, unchanged
from tests.support.write_faults import names

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.edit.model import Plan


@pytest.mark.parametrize("receipt", [False, True])
def test_a_plan_without_a_destination_is_refused(
    receipt: bool,
    plan: Plan,
    old: Path,
    tmp_path: Path,
) -> None:
    with unchanged(tmp_path):
        line = refusal(
            errors.EditRefused,
            lambda: api.write(plan, receipt=str(tmp_path / "receipt.json") if receipt else None),
        )
    assert line == (
        f"{old}: no destination given for the changed checkpoint; pass output= (a new folder"
        " or file) or in_place=True"
    )


def test_a_plan_with_two_destinations_is_refused(plan: Plan, old: Path, tmp_path: Path) -> None:
    with unchanged(tmp_path):
        line = refusal(
            errors.EditRefused, lambda: api.write(plan, output=str(tmp_path / "out"), in_place=True)
        )
    assert line == (
        f"{old}: two destinations given for the changed checkpoint: {tmp_path}/out and in"
        " place; pass either output= or in_place=True, not both"
    )


def test_a_plan_is_written_to_the_output_and_nowhere_else(
    plan: Plan, old: Path, tmp_path: Path
) -> None:
    with unchanged(old):
        written = api.write(plan, output=str(tmp_path / "out"))
    assert (written.path, written.backup) == (str(tmp_path / "out"), None)
    assert api.read(written.path)._replace(where="", root="") == plan.after


def test_a_plan_is_written_in_place_with_a_backup(plan: Plan, old: Path, tmp_path: Path) -> None:
    written = api.write(plan, in_place=True)
    assert (written.path, written.backup) == (str(old), f"{old}.backup")
    assert "in.backup" in names(tmp_path)
    assert api.read(written.path)._replace(where="", root="") == plan.after
