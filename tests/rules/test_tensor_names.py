"""Names that a wrapper leaves, in models of any family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from tests.support.cases import codes
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = {"config.json": {"model_type": "llama", "architectures": ["LlamaModel"]}}
NAMES = ("embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "layers.0.mlp.up_proj.weight")


def _wrapped(folder: Path, *names: str) -> Path:
    return model(folder, dict.fromkeys(names, (4, 4)), LLAMA)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("_orig_mod.layers.0.self_attn.q_proj.weight", "error"),
        ("layers.0._fsdp_wrapped_module.self_attn.q_proj.weight", "error"),
        ("layers.0._fsdp_wrapped_module._fpw_module.self_attn.q_proj.weight", "error"),
        ("layers.0._checkpoint_wrapped_module.self_attn.q_proj.weight", "error"),
        ("layers.0.self_attn._fp32_params.q_proj.weight", "error"),
        ("_forward_module.layers.0.self_attn.q_proj.weight", "error"),
    ],
)
def test_a_wrapper_in_one_name_is_found_and_sanitize_removes_it(
    name: str, severity: str, tmp_path: Path
) -> None:
    folder = _wrapped(tmp_path / "wrapped", NAMES[0], name, NAMES[2])
    (finding,) = api.verify(str(folder)).findings
    assert (finding.code, finding.severity, finding.subject) == ("CK302", severity, name)
    assert finding.remedy.argv == ("ckpt", "sanitize", str(folder))
    plan = api.sanitize(str(folder))
    api.write(plan, str(tmp_path / "plain"))
    assert codes(tmp_path / "plain") == set()
    held = api.read(str(tmp_path / "plain")).tensors
    assert {tensor.name for tensor in held} == set(NAMES)


@pytest.mark.parametrize(("others", "severity"), [(LLAMA, "error"), ({}, "warning")])
def test_module_before_every_name_is_an_error_in_a_known_family(
    others: dict[str, Any], severity: str, tmp_path: Path
) -> None:
    shapes = {f"module.{name}": (4, 4) for name in NAMES}
    folder = model(tmp_path / "ddp", shapes, others)
    found = {one.code: one.severity for one in api.verify(str(folder)).findings}
    assert found["CK302"] == severity
    assert {tensor.name for tensor in api.sanitize(str(folder)).after.tensors} == set(NAMES)


def test_module_in_some_names_is_a_part_of_the_model(tmp_path: Path) -> None:
    names = (NAMES[0], "layers.0.module.weight", "layers.1.module.weight")
    folder = _wrapped(tmp_path / "lawful", *names)
    assert codes(folder) == set()
    assert {tensor.name for tensor in api.sanitize(str(folder)).after.tensors} == set(names)


def test_names_like_a_wrapper_are_none(tmp_path: Path) -> None:
    names = ("modules.0.weight", "my_orig_mod.weight", "_fp32_params_scale.weight")
    assert codes(_wrapped(tmp_path / "alike", *names)) == set()
