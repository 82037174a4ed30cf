"""A plan that is bound to content: the same bytes at another time are fine, other bytes are not."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.edit.operations import Drop
from ckpt_tools.errors import PlanStale
from ckpt_tools.storage.digests import sha256_at
from ckpt_tools.storage.schemas import load
from tests.support.hub.policies import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A plan with digests for the checkpoint beside it, which drops the teacher."""
    shutil.copytree(ROOT / "fixtures" / "reflow", tmp_path / "m")
    (tmp_path / "recipe.yaml").write_text("operations:\n  - drop: [teacher.**]\n")
    saved = tmp_path / "plan.json"
    arguments = [str(tmp_path / name) for name in ("m", "recipe.yaml", "plan.json")]
    assert main(["plan", *arguments[:2], "--digest", "-o", arguments[2]]) == 1
    capsys.readouterr()
    return saved


def applied(plan: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["apply", str(plan), "-o", str(plan.parent / "out")])
    return status, capsys.readouterr().err


def test_the_plan_has_the_digest_of_every_file(plan: Path) -> None:
    document = json.loads(plan.read_text())
    jsonschema.validate(document, load("plan"))
    assert all(len(file["sha256"]) == 64 for file in document["source"]["files"])
    assert len(document["source"]["files"]) == 7


def test_the_same_content_fits_at_another_time(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(plan.parent / "m")
    shutil.copytree(ROOT / "fixtures" / "reflow", plan.parent / "m", copy_function=shutil.copyfile)
    os.utime(plan.parent / "m" / "model.safetensors", (1, 1))
    assert applied(plan, capsys) == (0, "")
    assert (plan.parent / "out" / "model.safetensors").exists()


def test_other_content_is_refused_though_size_and_time_are_the_same(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = plan.parent / "m" / "model.safetensors"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    status, said = applied(plan, capsys)
    assert status == 2
    assert "m/model.safetensors: has other content than the plan is for: SHA-256 " in said
    assert said.rstrip().endswith("; make the plan again: ckpt plan")
    assert not (plan.parent / "out").exists()


def test_a_digest_that_was_edited_is_refused(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = plan.parent / "m" / "train_config.json"
    old = path.read_bytes()
    path.write_bytes(old.replace(b"true", b"null", 1))
    document = json.loads(plan.read_text())
    for file in document["source"]["files"]:
        if file["path"] == str(path):
            file["sha256"] = sha256_at(str(path))
    plan.write_text(json.dumps(document))
    status, said = applied(plan, capsys)
    assert status == 2
    assert "the plan was edited or made by another version of ckpt" in said


def test_a_plan_in_memory_goes_by_content_too(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "fixtures" / "reflow", tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    plans = {
        digest: api.plan(tmp_path / "m", [Drop(("teacher.**",))], digest=digest)
        for digest in (False, True)
    }
    os.utime(weights, (1, 1))
    with pytest.raises(PlanStale, match="has changed since the plan was made"):
        api.write(plans[False], tmp_path / "a")
    assert api.write(plans[True], tmp_path / "b").path == str(tmp_path / "b")


def test_plans_are_equal_or_unequal_and_never_both(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "fixtures" / "reflow", tmp_path / "m")
    plan = api.plan(tmp_path / "m", [Drop(("teacher.**",))])
    elsewhere = plan._replace(before=plan.before._replace(where="another spelling of the path"))
    other = plan._replace(result_digest="0" * 64)

    assert (plan == elsewhere, plan != elsewhere) == (True, False)
    assert (plan == other, plan != other) == (False, True)
    assert (plan == tuple(plan), plan != tuple(plan)) == (False, True)
