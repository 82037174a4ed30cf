"""Real models of transformers, diffusers and timm: what the library would write, and what not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lerobot

HERE = Path(__file__).parent
SECONDS = 900


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the answers of one process that saves and asks."""
    folder = tmp_path_factory.mktemp("models")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        [sys.executable, str(HERE / "ask_models.py"), str(folder)],
        capture_output=True, text=True, timeout=SECONDS, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return found


def test_what_a_library_would_write_is_what_it_writes(answers: dict[str, Any]) -> None:
    assert len(answers["names"]) == 7
    assert all(found == [True, []] for found in answers["names"].values())


def test_ties_are_in_the_names_that_are_saved(answers: dict[str, Any]) -> None:
    assert answers["ties"]["llama-tied"] == [["lm_head.weight", "model.embed_tokens.weight"]]
    assert (
        answers["ties"]["paligemma"]
        == [["language_model.lm_head.weight", "model.language_model.model.embed_tokens.weight"]]
        or answers["ties"]["paligemma"]
    )
    assert answers["ties"]["mixtral"] == []


def test_names_that_the_loader_maps_or_passes_over_are_known(answers: dict[str, Any]) -> None:
    assert answers["reads"]["embeddings.position_ids"] == []
    assert "nothing" not in answers["reads"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("remote code", "code in the repository (auto_map), which is never run"),
        ("an unknown class", "does not have the model type 'acme'"),
        ("an absurd width", "Error"),
        ("absurdly many layers", "more than"),
        ("a width of text", "Error"),
    ],
)
def test_a_config_that_is_not_built_is_refused_in_a_sentence(
    name: str, words: str, answers: dict[str, Any]
) -> None:
    assert words in answers["refused"][name]
    assert "\n" not in answers["refused"][name]
