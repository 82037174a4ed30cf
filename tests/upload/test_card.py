"""The model card that `ckpt upload --card` writes: what it says, and what it never says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ckpt_tools import api
from ckpt_tools.api import _upload
from ckpt_tools.checkpoint.read import read
from ckpt_tools.cli.main import main
from ckpt_tools.errors import OutputExists, UnknownSelection
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.rules.finding import Severity
from ckpt_tools.upload import hf_cli
from ckpt_tools.upload.card import card

NORMAL = Path(__file__).parents[2] / "fixtures" / "normal"
STRICT = Settings(today="2026-01-01", severity={"CK813": Severity.ERROR})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A fresh `pretrained_model`, which has no card."""
    shutil.copytree(NORMAL, tmp_path / "out")
    return tmp_path / "out"


def with_values(folder: Path, name: str, **values: Any) -> None:
    document = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(document | values))


def test_a_card_says_license_base_dataset_and_steps(out: Path) -> None:
    assert card(read(str(out)), "mit", "me/my-policy") == (
        "---\n"
        "license: mit\n"
        "library_name: lerobot\n"
        "pipeline_tag: robotics\n"
        "tags: [robotics, lerobot, smolvla]\n"
        "base_model: HuggingFaceTB/SmolVLM2-500M-Video-Instruct\n"
        "datasets: [example/so100_pick_place]\n"
        "---\n"
        "\n"
        "# my-policy\n"
        "\n"
        "A `smolvla` policy for [LeRobot](https://github.com/huggingface/lerobot).\n"
        "It is based on [HuggingFaceTB/SmolVLM2-500M-Video-Instruct]"
        "(https://huggingface.co/HuggingFaceTB/SmolVLM2-500M-Video-Instruct).\n"
        "It was trained on [example/so100_pick_place]"
        "(https://huggingface.co/datasets/example/so100_pick_place).\n"
        "The training was configured for 20,000 steps.\n"
    )


def test_the_model_it_was_trained_from_comes_before_its_vision_language_model(out: Path) -> None:
    with_values(out, "config.json", pretrained_path="lerobot/smolvla_base")
    assert "base_model: lerobot/smolvla_base\n" in card(read(str(out)), "mit", "p")


@pytest.mark.parametrize(
    "path",
    [
        "/home/ada/secret",
        "./here",
        "../ada/model",
        "outputs/train",
        "a/b/c",
        "me/x\n# Title",
        "~/x",
        7,
        None,
    ],
)
def test_no_path_of_a_machine_is_in_a_card(out: Path, path: object) -> None:
    with_values(out, "config.json", pretrained_path=path, vlm_model_name=path)
    with_values(out, "train_config.json", dataset={"repo_id": path}, steps="many")
    text = card(read(str(out)), "mit", "../x y")
    assert "base_model" not in text
    assert "datasets" not in text
    assert str(path) not in text
    assert "# smolvla policy\n" in text
    assert "configured" not in text


def test_a_dataset_that_was_read_from_a_folder_is_not_named(out: Path) -> None:
    with_values(out, "train_config.json", dataset={"repo_id": "me/data", "root": "/data/x"})
    assert "me/data" not in card(read(str(out)), "mit", "p")


def test_without_a_train_config_the_rest_is_said(out: Path) -> None:
    (out / "train_config.json").unlink()
    assert card(read(str(out)), "mit", "p").endswith("SmolVLM2-500M-Video-Instruct).\n")


def test_the_card_is_written_uploaded_and_meets_what_the_gate_requires(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_repo: str, folder: str, *_: object) -> hf_cli.Commit:
        assert "license: mit" in Path(folder, "README.md").read_text()
        return hf_cli.Commit("me/p", "model", "0" * 40, "url")

    monkeypatch.setattr(hf_cli, "send", send)
    monkeypatch.setattr(hf_cli, "compare", lambda *_: ())
    done = _upload.upload("me/p", out, settings=STRICT, card_license="mit")
    assert "README.md" in {file.path for file in done.files}
    assert (out / "README.md").read_text() == done.card
    assert api.gate(out, settings=STRICT).passes


def test_a_dry_run_shows_the_card_and_writes_nothing(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(out.iterdir())
    assert main(["upload", "me/p", str(out), "--card", "--license", "mit", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "README.md, which would be written and uploaded too:\n\n---\nlicense: mit" in shown.err
    assert "license" not in shown.out
    assert sorted(out.iterdir()) == before


def test_without_a_card_the_command_says_how_to_get_one(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upload", "me/p", str(out), "--dry-run"]) == 0
    assert "README.md: is missing; write one" in capsys.readouterr().err


def test_nothing_is_written_if_the_gate_fails(out: Path) -> None:
    (out / "a.pt").write_bytes(b"x")
    assert not api.upload("me/p", out, card_license="mit").verdict.passes
    assert not (out / "README.md").exists()


def test_a_card_that_is_there_stays_as_it_is(out: Path) -> None:
    (out / "README.md").write_text("mine")
    with pytest.raises(OutputExists, match=r"README\.md: already exists; omit card_license="):
        api.upload("me/p", out, card_license="mit")
    assert (out / "README.md").read_text() == "mine"


@pytest.mark.parametrize("license_id", ["todo", "???", " ", "a\nb", "[More Information Needed]"])
def test_a_license_that_is_none_is_rejected(out: Path, license_id: str) -> None:
    with pytest.raises(UnknownSelection, match="is not a license"):
        api.upload("me/p", out, card_license=license_id)


def test_cards_are_written_for_folders_of_policies_only(out: Path) -> None:
    for where in (out / "model.safetensors", NORMAL.parent / "language-model"):
        copy = out.parent / where.name
        (shutil.copytree if where.is_dir() else shutil.copy)(where, copy)
        (copy / "README.md").unlink() if copy.is_dir() else None
        with pytest.raises(UnknownSelection, match="only for the folder of a LeRobot policy"):
            api.upload("me/p", copy, card_license="mit")


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--card"], "--card needs a license"), (["--license", "mit"], "--license is for --card")],
)
def test_card_and_license_belong_together(
    out: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upload", "me/p", str(out), *options]) == 2
    assert words in capsys.readouterr().err
