"""Plans: reviewed, applied, and refused when they are not what was reviewed."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import jsonschema

from ckpt_tools.storage.schemas import load
from ckpt_tools.strict_json.parse import parse_object
from tests.support.changing import MODEL, NORMAL, REFLOW, ROOT, ckpt, names, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plan_is_reviewed_applied_and_refused_when_stale(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "m")
    (tmp_path / "recipe.yaml").write_text(
        "operations:\n  - drop: [lm_head.*]\n  - set: {file: config.json, pointer:"
        " /vocab_size, value: 64}\n"
    )
    done = ckpt("plan", tmp_path / "m", tmp_path / "recipe.yaml", "-o", tmp_path / "plan.json")
    assert done.returncode == 1
    assert "2 steps planned, nothing written" in done.stdout
    document = json.loads((tmp_path / "plan.json").read_text())
    jsonschema.validate(document, load("plan"))
    assert document["result"]["removed"] == []
    assert ckpt("apply", tmp_path / "plan.json", "-o", tmp_path / "out").returncode == 0
    assert names(tmp_path / "out") == names(MODEL) - {"lm_head.weight"}
    assert json.loads((tmp_path / "out/config.json").read_text())["vocab_size"] == 64
    os.utime(tmp_path / "m/model.safetensors")
    stale = ckpt("apply", tmp_path / "plan.json", "-o", tmp_path / "again")
    assert (stale.returncode, stale.stdout) == (2, "")
    assert (
        "m/model.safetensors: has changed since the plan was made; make the plan again: ckpt plan"
        in stale.stderr
    )
    assert not (tmp_path / "again").exists()


def test_a_plan_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"operations": [{"drop": ["lm_head.*"]}]}')
    ckpt("plan", MODEL, tmp_path / "recipe.json", "-o", tmp_path / "plan.json")
    document = json.loads((tmp_path / "plan.json").read_text())
    document["operations"] = [{"drop": ["model.**"]}]
    (tmp_path / "plan.json").write_text(json.dumps(document))
    done = ckpt("apply", tmp_path / "plan.json", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert (
        "the plan was edited or made by another version of ckpt: its result would be different"
        in done.stderr
    )


def test_a_plan_is_applied_from_any_folder_and_keeps_its_unrepaired_problems(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "fixtures/lerobot-0.3", tmp_path / "old")
    shutil.copytree(NORMAL, tmp_path / "normal")
    done = ckpt(
        "sanitize",
        "old",
        "--reference",
        "normal",
        "--target",
        "lerobot==0.4",
        "--dry-run",
        "--format",
        "json",
        cwd=tmp_path,
    )
    (tmp_path / "plan.json").write_text(done.stdout)
    assert ckpt("apply", tmp_path / "plan.json", "-o", tmp_path / "out", cwd=ROOT).returncode == 1
    single = ckpt(
        "strip",
        "normal/model.safetensors",
        "model.state_proj.*",
        "--dry-run",
        "--format",
        "json",
        cwd=tmp_path,
    )
    (tmp_path / "single.json").write_text(single.stdout)
    assert (
        ckpt(
            "apply", tmp_path / "single.json", "-o", tmp_path / "one.safetensors", cwd=ROOT
        ).returncode
        == 0
    )
    assert names(tmp_path / "one.safetensors") == names(NORMAL) - {
        "model.state_proj.weight",
        "model.state_proj.bias",
    }


def test_a_dry_run_in_json_can_be_applied(tmp_path: Path) -> None:
    done = ckpt("sanitize", REFLOW, "--reference", NORMAL, "--dry-run", "--format", "json")
    document = parse_object(done.stdout)
    jsonschema.validate(document, load("plan"))
    (tmp_path / "plan.json").write_text(done.stdout)
    assert ckpt("apply", tmp_path / "plan.json", "-o", tmp_path / "a").returncode == 0
    assert ckpt("sanitize", REFLOW, "--reference", NORMAL, "-o", tmp_path / "b").returncode == 0
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
