"""transformers is the judge: what it builds has no finding, and what rules refuse it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from tests.support import forked
from tests.support.cases import ROOT, codes
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lerobot

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 48,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
}
LAYER = {
    "input_layernorm": (16,),
    "post_attention_layernorm": (16,),
    "mlp.down_proj": (16, 32),
    "mlp.gate_proj": (32, 16),
    "mlp.up_proj": (32, 16),
    "self_attn.k_proj": (8, 16),
    "self_attn.o_proj": (16, 16),
    "self_attn.q_proj": (16, 16),
    "self_attn.v_proj": (8, 16),
}
SHAPES: dict[str, tuple[int, ...]] = {
    "lm_head.weight": (48, 16),
    "model.embed_tokens.weight": (48, 16),
    "model.norm.weight": (16,),
    **{f"model.layers.{at}.{name}.weight": shape for at in (0, 1) for name, shape in LAYER.items()},
}
QUERY = "model.layers.1.self_attn.q_proj.weight"
RULES = [one for one in all_rules() if one.code[:4] in {"CK30", "CK31", "CK32", "CK94"}]


def _python(*arguments: object) -> Any:
    return json.loads(forked.python(ROOT / "tests/support/architectures.py", *arguments).stdout)


def test_what_transformers_builds_has_no_finding() -> None:
    for name, built in _python("names").items():
        tensors = tuple(
            Tensor(key, Dtype.F32, tuple(shape), "model.safetensors", 0, 0)
            for key, shape in built["shapes"].items()
        )
        file = TensorFile("model.safetensors", 0, 0, tensors, None)
        config = Document("config.json", json.dumps(built["config"]), built["config"])
        there = Checkpoint("x", "x", (file,), documents=(config,))
        found, *_ = check_rules(RULES, Subject(there, family_of(there)))
        assert found == (), name


def test_transformers_refuses_or_forgets_what_the_rules_report(tmp_path: Path) -> None:
    cases: dict[str, tuple[dict[str, Any], dict[str, Any], str, set[str]]] = {
        "good": (SHAPES, {}, "", set()),
        "vocabulary": (SHAPES, {"vocab_size": 55}, "refused", {"CK307"}),
        "width": (SHAPES, {"hidden_size": 32}, "refused", {"CK307"}),
        "layers": (SHAPES, {"num_hidden_layers": 3}, "model.layers.2.", {"CK305"}),
        "head": (_without("lm_head.weight"), {}, "lm_head.weight", {"CK305"}),
        "tied": (_without("lm_head.weight"), {"tie_word_embeddings": True}, "", set()),
        "empty": (SHAPES | {QUERY: (0,)}, {}, "refused", {"CK312"}),
        "wrapped": (
            _without(QUERY) | {QUERY.replace("attn.", "attn._fp32_params."): (16, 16)},
            {},
            QUERY,
            {"CK302"},
        ),
    }
    for name, (shapes, config, _, expected) in cases.items():
        folder = model(tmp_path / name, shapes, {"config.json": CONFIG | config})
        assert codes(folder) == expected, name
    said = _python("load", *(tmp_path / name for name in cases))
    for name, (_, _, expected_text, _) in cases.items():
        text = said[str(tmp_path / name)]
        assert text.startswith(expected_text) if expected_text else text == "", (name, text)


def _without(name: str) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in SHAPES.items() if key != name}
