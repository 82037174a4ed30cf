"""Adapters as PEFT saves them have no finding; what PEFT refuses or leaves at random values has.

The layouts are those of peft 0.21.2 for each of its methods and options.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.read import read
from ckpt_tools.cli.main import main
from ckpt_tools.edit.sanitize import operations
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.finding import Severity
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding
    from tests.support.models import Shapes

P = "base_model.model.model."
FILE = "adapter_model.safetensors"
CONFIG: dict[str, object] = {
    "peft_type": "LORA",
    "base_model_name_or_path": "example/base",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj"],
}
POLICY: dict[str, object] = {
    "type": "smolvla",
    "use_peft": True,
    "input_features": {},
    "output_features": {},
}


def pair(module: str, rank: int = 4, size: int = 6) -> dict[str, tuple[int, ...]]:
    return {f"{module}.lora_A.weight": (rank, size), f"{module}.lora_B.weight": (size, rank)}


def lora(layers: int = 2, **ranks: int) -> dict[str, tuple[int, ...]]:
    """A LoRA of q_proj and v_proj in each layer."""
    return {
        name: shape
        for layer in range(layers)
        for leaf in ("q_proj", "v_proj")
        for name, shape in pair(f"{P}layers.{layer}.self_attn.{leaf}", ranks.get(leaf, 4)).items()
    }


def without(shapes: Shapes, *parts: str) -> dict[str, Any]:
    return {name: one for name, one in shapes.items() if not any(part in name for part in parts)}


def renamed(shapes: Shapes, old: str, new: str) -> dict[str, Any]:
    return {name.replace(old, new): one for name, one in shapes.items()}


def adapter(
    folder: Path,
    shapes: Shapes | None = None,
    documents: Mapping[str, object] | None = None,
    file: str = FILE,
    **config: Any,
) -> Path:
    """Write an adapter; a config key of ... is left out."""
    value = {key: one for key, one in {**CONFIG, **config}.items() if one is not ...}
    files = {"adapter_config.json": value, **(documents or {})}
    return model(folder, lora() if shapes is None else shapes, files, file=file)


def found(folder: Path) -> list[Finding]:
    return [one for one in api.verify(str(folder)).findings if one.code.startswith("CK9")]


MAGNITUDES = {
    f"{P}layers.{layer}.self_attn.{leaf}.lora_magnitude_vector": (6,)
    for layer in range(2)
    for leaf in ("q_proj", "v_proj")
}
EMBEDDING = {
    f"{P}embed_tokens.lora_embedding_A": (4, 9),
    f"{P}embed_tokens.lora_embedding_B": (6, 4),
    f"{P}embed_tokens.base_layer.weight": (9, 6),
}
GOOD: dict[str, tuple[Shapes, dict[str, Any]]] = {
    "plain": (lora(), {}),
    "rsLoRA": (lora(), {"use_rslora": True}),
    "DoRA": ({**lora(), **MAGNITUDES}, {"use_dora": True}),
    "a bias beside lora_B": (
        {**lora(), f"{P}layers.0.self_attn.q_proj.lora_B.bias": (6,)},
        {"lora_bias": True},
    ),
    "an embedding, with its base": (
        {**lora(), **EMBEDDING},
        {"target_modules": ["q_proj", "v_proj", "embed_tokens"]},
    ),
    "a convolution": (
        {f"{P}conv.lora_A.weight": (4, 3, 5, 5), f"{P}conv.lora_B.weight": (6, 4, 1, 1)},
        {"target_modules": ["conv"]},
    ),
    "a head in full": (
        {**lora(), "base_model.model.score.weight": (2, 6)},
        {"modules_to_save": ["classifier", "score"]},
    ),
    "rank by module": (lora(q_proj=2), {"rank_pattern": {"q_proj": 2}}),
    "rank by the end of a name": (
        lora(q_proj=2),
        {"rank_pattern": {"layers.0.self_attn.q_proj": 2, r"^model\.layers.1.self_attn.q_proj": 2}},
    ),
    "rank by an expression": (lora(q_proj=2), {"rank_pattern": {r".*(q|k)_proj": 2}}),
    "experts as one parameter": (
        pair(f"{P}layers.0.mlp.experts", 12),
        {"target_modules": [], "target_parameters": ["mlp.experts.gate_up_proj"]},
    ),
    "default rank": (lora(q_proj=8, v_proj=8), {"r": ...}),
    "targets by expression": (lora(), {"target_modules": r".*self_attn\.(q|v)_proj"}),
    "targets by default": (lora(), {"target_modules": ...}),
    "some layers": (without(lora(8), "layers.3."), {"layers_to_transform": [0, 1, 2, 4, 5, 6, 7]}),
    "a hybrid of two kinds of layers": (
        {
            name: one
            for layer in range(12)
            for name, one in pair(
                f"{P}layers.{layer}.{'attn.q_proj' if layer % 4 == 3 else 'mamba.in_proj'}"
            ).items()
        },
        {"target_modules": ["q_proj", "in_proj"]},
    ),
    "new tokens": (
        {**lora(), f"{P}embed_tokens.token_adapter.trainable_tokens_delta": (2, 6)},
        {"trainable_token_indices": [1, 2]},
    ),
    "AdaLoRA": (
        {f"{P}layers.0.self_attn.q_proj.lora_{part}": (12, 6) for part in "ABE"},
        {"peft_type": "ADALORA"},
    ),
    "IA3": ({f"{P}layers.0.self_attn.k_proj.ia3_l": (6, 1)}, {"peft_type": "IA3"}),
    "prompts": (
        {"prompt_embeddings": (4, 6)},
        {"peft_type": "PROMPT_TUNING", "target_modules": ...},
    ),
    "a method of tomorrow": ({"x": (1,)}, {"peft_type": "NEW"}),
}


@pytest.mark.parametrize(("shapes", "config"), GOOD.values(), ids=GOOD)
def test_what_peft_saves_has_no_finding(
    shapes: Shapes, config: dict[str, Any], tmp_path: Path
) -> None:
    folder = adapter(tmp_path / "m", shapes, **config)
    assert found(folder) == []
    assert api.verify(str(folder)).clean


LACKS_ONE = without(lora(8), "layers.3.self_attn.v_proj")
BAD: dict[str, tuple[str, str, Shapes, dict[str, Any]]] = {
    "no base model": ("CK902", "null", lora(), {"base_model_name_or_path": None}),
    "an empty base model": ("CK902", '""', lora(), {"base_model_name_or_path": ""}),
    "base model absent": ("CK902", "absent", lora(), {"base_model_name_or_path": ...}),
    "a local base model": ("CK902", "machines", lora(), {"base_model_name_or_path": "/data/base"}),
    "no method": ("CK901", "absent", lora(), {"peft_type": ...}),
    "no tensor": ("CK903", "contains no tensor", {}, {}),
    "no head": ("CK908", "lm_head", lora(), {"modules_to_save": ["lm_head"]}),
    "names of another program": ("CK904", "reads none", renamed(lora(), ".lora_", "_"), {}),
    "lora_down": (
        "CK904",
        "reads none",
        renamed(renamed(lora(), "lora_A", "lora_down"), "lora_B", "lora_up"),
        {},
    ),
    "no .weight": ("CK904", "reads none", renamed(lora(), ".weight", ""), {}),
    "an adapter's name": ("CK904", "'default'", renamed(lora(), ".weight", ".default.weight"), {}),
    "no prefix": ("CK904", "without `base_model", renamed(lora(), "base_model.model.", ""), {}),
    "another method": ("CK904", "LOHA", lora(), {"peft_type": "LOHA"}),
    "no lora_B": ("CK905", "untrained", without(lora(), "1.self_attn.q_proj.lora_B"), {}),
    "no lora_A": ("CK905", "random", without(lora(), "1.self_attn.q_proj.lora_A"), {}),
    "half an embedding": (
        "CK905",
        "lora_B",
        without({**lora(), **EMBEDDING}, "embedding_B"),
        {"target_modules": ["q_proj", "v_proj", "embed_tokens"]},
    ),
    "DoRA unasked": ("CK906", "drops", {**lora(), **MAGNITUDES}, {}),
    "DoRA not stored": ("CK906", "without a lora_magnitude", lora(), {"use_dora": True}),
    "another rank": ("CK907", "rank 4, but", lora(), {"r": 16}),
    "a pattern for others": ("CK907", "rank 2, but", lora(q_proj=2), {"rank_pattern": {"q": 2}}),
    "rank zero": ("CK907", "positive", lora(), {"r": 0}),
    "one layer without": ("CK911", "which 7 other", LACKS_ONE, {}),
    "a listed layer without": (
        "CK911",
        "layers.9.self_attn.q_proj",
        lora(),
        {"target_modules": ["q_proj", "v_proj", "model.layers.9.self_attn.q_proj"]},
    ),
}


@pytest.mark.parametrize(("code", "words", "shapes", "config"), BAD.values(), ids=BAD)
def test_what_peft_refuses_or_loads_as_something_else_is_one_finding(
    code: str, words: str, shapes: Shapes, config: dict[str, Any], tmp_path: Path
) -> None:
    findings = found(adapter(tmp_path / "m", shapes, **config))
    assert [one.code for one in findings] == [code]
    assert words in findings[0].what
    assert findings[0].severity is not Severity.NOTE


NOTES: dict[str, tuple[Shapes, dict[str, Any]]] = {
    "a target that the base may lack": (lora(), {"target_modules": ["q_proj", "v_proj", "query"]}),
    "the last layer without": (without(lora(8), "layers.7.self_attn.v_proj"), {}),
    "every fourth layer without": (without(lora(8), "1.self_attn.v", "5.self_attn.v"), {}),
}


@pytest.mark.parametrize(("shapes", "config"), NOTES.values(), ids=NOTES)
def test_modules_that_may_lack_tensors_by_design_are_a_note(
    shapes: Shapes, config: dict[str, Any], tmp_path: Path
) -> None:
    findings = found(adapter(tmp_path / "m", shapes, **config))
    assert [(one.code, one.severity) for one in findings] == [("CK911", Severity.NOTE)]


@pytest.mark.parametrize("case", ["an adapter's name", "no prefix", "another rank", "DoRA unasked"])
def test_a_suggested_command_repairs_the_adapter(case: str, tmp_path: Path) -> None:
    _, _, shapes, config = BAD[case]
    folder = adapter(tmp_path / "m", shapes, **config)
    (finding,) = found(folder)
    assert finding.remedy.argv
    argv = list(finding.remedy.argv[1:])
    out = tmp_path / "out"
    assert main([*argv, "-o", str(out)] if argv[0] == "rename" else argv) == 0
    assert found(out if out.exists() else folder) == []


def test_tensors_without_elements_are_one_finding(tmp_path: Path) -> None:
    findings = api.verify(str(adapter(tmp_path, dict.fromkeys(lora(), (0,))))).findings
    assert [one.code for one in findings] == ["CK312"]


def test_an_adapter_without_config_is_found_in_a_folder_only(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", lora(), file=FILE)
    assert [one.code for one in found(folder)] == ["CK901"]
    assert found(folder / FILE) == []


def test_a_rank_expression_of_an_author_is_never_evaluated(tmp_path: Path) -> None:
    hostile = {"(a+)+$": 2, "(": 3, "a" * 40 + "!": "x"}
    folder = adapter(tmp_path, renamed(lora(), "q_proj", "a" * 60), rank_pattern=hostile)
    assert "CK907" not in {one.code for one in found(folder)}


FULL = {"model.layers.0.q_proj.weight": (4, 4), "model.layers.0.norm.weight": (4,)}


@pytest.mark.parametrize(
    ("shapes", "file", "words"),
    [
        (lora(), "adapter.safetensors", "PEFT reads adapter_model.safetensors only"),
        (FULL, "model.safetensors", "beside a full model"),
    ],
)
def test_an_adapter_config_needs_the_file_that_peft_reads(
    shapes: Shapes, file: str, words: str, tmp_path: Path
) -> None:
    (finding,) = found(adapter(tmp_path, shapes, file=file))
    assert finding.code == "CK909"
    assert finding.severity is Severity.ERROR
    assert words in finding.what


UNMERGED = {
    "model.layers.0.q_proj.base_layer.weight": (4, 4),
    "model.layers.0.q_proj.lora_A.default.weight": (2, 4),
    "model.layers.0.q_proj.lora_B.default.weight": (4, 2),
}


@pytest.mark.parametrize(
    "shapes", [UNMERGED, without(UNMERGED, "lora"), {**FULL, **pair("model.layers.0.q_proj")}]
)
def test_a_full_model_with_an_adapters_names_was_never_merged(
    shapes: Shapes, tmp_path: Path
) -> None:
    (finding,) = found(model(tmp_path, shapes, {"config.json": {"model_type": "llama"}}))
    assert (finding.code, finding.severity) == ("CK912", Severity.ERROR)


@pytest.mark.parametrize(
    ("shapes", "config"),
    [
        (FULL, {}),
        ({"base_layer.0.weight": (4, 3)}, {"architecture": "dla34"}),
        (pair("transformer.blocks.0.attn.to_q"), {}),  # the LoRA of a diffusers pipeline
        ({"layers.0.q.weight": (4, 4), "layers.0.q.lora_A": (2, 4)}, {}),  # the model's own
        (UNMERGED, {"model_type": "phi4mm", "speech_lora": {"r": 320}}),
    ],
)
def test_other_models_with_such_names_are_right(
    shapes: Shapes, config: dict[str, object], tmp_path: Path
) -> None:
    assert found(model(tmp_path, shapes, {"config.json": config})) == []


def test_repository_code_may_build_the_names_of_an_adapter(tmp_path: Path) -> None:
    (finding,) = found(model(tmp_path, UNMERGED, {"config.json": {"auto_map": {"AutoModel": "x"}}}))
    assert finding.severity is Severity.NOTE


# --- LeRobot --------------------------------------------------------------------------------------


def policy(folder: Path, **config: Any) -> Path:
    return adapter(folder, documents={"config.json": {**POLICY, **config}}, target_modules=".*")


def test_the_lora_of_a_policy_is_right_without_model_safetensors(tmp_path: Path) -> None:
    folder = policy(tmp_path / "m")
    result = api.verify(str(folder))
    assert result.family == "peft adapter"
    codes = {one.code for one in result.findings}
    assert not {"CK208", "CK305", "CK910"} & codes
    checkpoint = read(str(folder))
    assert operations(checkpoint, family_of(checkpoint)) == []
    gate = api.gate(str(folder))
    assert "CK816" not in {one.code for one in gate.verification.findings}


def wrong(where: Path) -> list[Finding]:
    """Return the errors and warnings."""
    return [one for one in found(where) if one.severity is not Severity.NOTE]


def test_a_policys_lora_without_base_policy_cannot_be_loaded(tmp_path: Path) -> None:
    folder = policy(tmp_path)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": None})
    )
    (finding,) = wrong(folder)
    assert (finding.code, finding.severity) == ("CK902", Severity.ERROR)
    assert "LeRobot rejects it" in finding.what


def test_use_peft_says_what_the_folder_contains(tmp_path: Path) -> None:
    (finding,) = wrong(policy(tmp_path / "a", use_peft=False))
    assert (finding.code, finding.remedy.argv[-2:]) == ("CK910", ("use_peft", "true"))
    whole = model(tmp_path / "b", FULL, {"config.json": POLICY})
    (finding,) = wrong(whole)
    assert (finding.code, finding.remedy.argv[-2:]) == ("CK910", ("use_peft", "false"))
    assert found(model(tmp_path / "c", FULL, {"config.json": {**POLICY, "use_peft": False}})) == []
