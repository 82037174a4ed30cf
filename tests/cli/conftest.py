"""Fixtures that the tests of the command line share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools.cli.main import main
from tests.support.bad_checkpoints import weights
from tests.support.config_files import TEXT, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.register_assert_rewrite("tests.support.ckpt_process")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid checkpoint."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "model.safetensors").write_bytes(weights())
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def config(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """A function that runs `ckpt config` in this process."""

    def run(*arguments: str | Path) -> Outcome:
        code = main(["config", *map(str, arguments)])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config in unusual formatting, and another file."""
    (tmp_path / "config.json").write_bytes(TEXT.encode())
    (tmp_path / "train_config.json").write_bytes(b'{"steps": 1}\n')
    return tmp_path
