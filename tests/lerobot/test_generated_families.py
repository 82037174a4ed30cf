"""The files of LeRobot's families are what their models give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import forked
from tools.families import __main__ as command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lerobot, pytest.mark.slow]


def test_the_files_of_act_and_tdmpc_are_what_their_models_give(tmp_path: Path) -> None:
    families = ["lerobot/act", "lerobot/tdmpc"]
    forked.python("-m", "tools.families", *families, "--into", tmp_path, "--fresh", 3)
    for family in families:
        made = (tmp_path / f"{family}.json").read_text(encoding="utf-8")
        with open(f"{command.DATA}/{family}.json", encoding="utf-8") as file:
            assert made == file.read()
