"""The rules about adapters and quantized models against transformers and peft.

They find something exactly where the library refuses a folder or computes something else.
`ask_transformers.py` makes the folders and records what the libraries do.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ckpt_tools import api
from ckpt_tools.rules.finding import Severity
from tests.support import forked

pytestmark = pytest.mark.lerobot

ASK = Path(__file__).with_name("ask_transformers.py")
HAS_PEFT = importlib.util.find_spec("peft") is not None

# What the rules say, and what the library does.
EXPECTED: dict[str, tuple[set[str], str]] = {
    "fp8": (set(), "same"),
    "fp8: a scale missing": ({"CK920"}, "other"),
    "fp8: no scale": ({"CK920"}, "other"),
    "fp8: a weight missing": ({"CK923"}, "refused"),
    "fp8: a scale of another shape": ({"CK924"}, "refused"),
    "fp8: no config": ({"CK921"}, "other"),
    "unmerged": ({"CK912"}, "other"),
    "lora": (set(), "same"),
    "lora: no lora_B": ({"CK905"}, "other"),
    "lora: no lora_A": ({"CK905"}, "other"),
    "lora: no tensor": ({"CK903"}, "other"),
    "lora: no elements": ({"CK312"}, "refused"),
    "lora: no prefix": ({"CK904"}, "other"),
    "lora: an adapter's name": ({"CK904"}, "other"),
    "lora: other names": ({"CK904"}, "other"),
    "lora: another rank": ({"CK907"}, "refused"),
    "lora: rank by module": (set(), "same"),
    "lora: DoRA without vectors": ({"CK906"}, "other"),
    "lora: no head": ({"CK908"}, "refused"),
    "lora: no method": ({"CK901"}, "refused"),
    "lora: another method": ({"CK904"}, "other"),
    "lora: a target that the base lacks": (set(), "same"),
    "dora": (set(), "same"),
    "dora: not asked for": ({"CK906"}, "other"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return the folder of the variants, and what the libraries do with each."""
    workspace = tmp_path_factory.mktemp("transformers")
    return workspace, forked.answers(ASK, workspace)


@pytest.mark.parametrize("variant", EXPECTED)
def test_the_rules_find_what_the_library_refuses_or_loads_as_something_else(
    variant: str, asked: tuple[Path, dict[str, str]]
) -> None:
    workspace, behaviour = asked
    if variant.startswith(("lora", "dora")) and not HAS_PEFT:
        pytest.skip("peft is not installed")
    codes, does = EXPECTED[variant]
    findings = api.verify(str(workspace / variant)).findings
    assert behaviour[variant].partition(":")[0] == does
    assert {one.code for one in findings if one.severity is not Severity.NOTE} == codes
    assert (does == "same") == (not codes)
