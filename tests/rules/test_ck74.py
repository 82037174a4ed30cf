"""CK74x: the training config, and leftovers of training in the folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from tests.support.cases import (
    FIXTURES,
    Case,
    added,
    both,
    changed,
    config,
    edited,
    hold,
    make,
    untouched,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cases import Change


def policy(**values: Any) -> Change:
    """Set fields of the policy in train_config.json."""

    def change(folder: Path) -> None:
        path = folder / "train_config.json"
        document = json.loads(path.read_text())
        document["policy"].update(values)
        path.write_text(json.dumps(document))

    return change


def dataset(**values: Any) -> Change:
    """Set fields of the dataset in train_config.json."""

    def change(folder: Path) -> None:
        path = folder / "train_config.json"
        document = json.loads(path.read_text())
        document["dataset"].update(values)
        path.write_text(json.dumps(document))

    return change


def modes(weights: int, settings: int) -> Change:
    """Set the permissions of the weights and of config.json."""

    def change(folder: Path) -> None:
        for path in folder.glob("*.safetensors"):
            path.chmod(weights)
        (folder / "config.json").chmod(settings)

    return change


CASES = {
    "fields of reflow": Case(
        "CK741",
        policy(use_reflow=False),
        (policy(use_cache=False), edited("train_config.json", use_reflow=True)),
    ),
    "the plugin's type": Case(
        "CK741",
        policy(type="smolvla_reflow"),
        (policy(type="smolvla"), edited("train_config.json", policy=None)),
    ),
    "a root at home": Case(
        "CK742",
        dataset(root="/home/robot/data"),
        (dataset(root="data/so100"), dataset(revision="v3.0")),
    ),
    "an output far up": Case(
        "CK742",
        edited("train_config.json", output_dir="../../runs"),
        (edited("train_config.json", output_dir="outputs/a/b"), untouched),
    ),
    "an output at home": Case(
        "CK742",
        edited("train_config.json", output_dir="~/runs"),
        (edited("train_config.json", job_name="a~b"), untouched),
    ),
    "a root on a drive": Case("CK742", dataset(root="C:\\data"), (dataset(root="c"), untouched)),
    "an optimizer": Case(
        "CK743",
        added("optimizer_state.safetensors", b""),
        (added("optimizer.md", "Adam"), added("scheduler.txt", "cosine")),
    ),
    "a training state": Case(
        "CK743",
        added("training_state/training_step.json", "{}"),
        (added("training/notes.txt", ""), added("state.json", "{}")),
    ),
    "wandb": Case(
        "CK743",
        added("logs/wandb/run-1/run.wandb", b"\0"),
        (added("wandb.md", "none"), added("notes/wandb.txt", "")),
    ),
    "a half-written file": Case(
        "CK744",
        added("model.safetensors.tmp", b"\0"),
        (added("tmp", b"\0"), added("template.txt", "")),
    ),
    "a half-loaded file": Case(
        "CK744",
        added("deep/er/x.incomplete", b"\0"),
        (added("incomplete.txt", ""), added("deep/x", b"")),
    ),
    "a save that was interrupted": Case(
        "CK744",
        added(".saving-000010/a.json", "{}"),
        (added("saving.md", ""), added(".hidden", "")),
    ),
    "weights for their owner": Case(
        "CK745",
        modes(0o600, 0o644),
        (modes(0o644, 0o644), modes(0o600, 0o600), modes(0o444, 0o644)),
    ),
    "an unknown field": Case(
        "CK746",
        edited("train_config.json", flavour="mild"),
        (edited("train_config.json", use_rabc=False), edited("train_config.json", env=...)),
    ),
    "a word for a number": Case(
        "CK746",
        edited("train_config.json", steps="many"),
        (edited("train_config.json", steps=1), edited("train_config.json", seed=None)),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_rule_finds_its_fault_and_no_near_miss(case: Case, tmp_path: Path) -> None:
    hold(case, tmp_path)


def test_a_folder_is_one_finding_whatever_its_contents(tmp_path: Path) -> None:
    files = [
        added(f"training_state/{name}", b"")
        for name in ("rng_state.safetensors", "optimizer_state.safetensors", "training_step.json")
    ]
    folder = changed(
        tmp_path / "copy", both(*files, added("wandb/a.tmp", b""), added("wandb/b.tmp", b""))
    )
    found = [(finding.code, finding.path) for finding in api.verify(str(folder)).findings]
    assert sorted(found) == [
        ("CK743", "training_state/"),
        ("CK743", "wandb/"),
        ("CK744", "wandb/a.tmp"),
        ("CK744", "wandb/b.tmp"),
    ]


def test_rules_about_files_check_any_model(tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        for path in folder.iterdir():
            path.unlink()
        make.CHECKPOINTS["language-model"](folder)
        added("optimizer.pt", b"\0")(folder)

    folder = changed(tmp_path / "copy", change)
    assert "CK743" in {finding.code for finding in api.verify(str(folder)).findings}


def test_a_single_file_has_no_folder_to_check() -> None:
    skipped = {
        skip.code for skip in api.verify(str(FIXTURES / "normal" / "model.safetensors")).skipped
    }
    assert {"CK711", "CK721", "CK722", "CK743", "CK744", "CK745"} <= skipped


def test_config_and_train_config_are_checked_separately(tmp_path: Path) -> None:
    assert {
        finding.code
        for finding in api.verify(str(changed(tmp_path / "copy", config(solver="euler")))).findings
    } == {"CK703"}
