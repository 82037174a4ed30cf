"""config.json of a transformers model against its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.cases import codes
from tests.support.checkpoints import weights
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding
    from tests.support.models import Shapes

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 48,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "tie_word_embeddings": False,
}
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
SHAPES: dict[str, tuple[int, ...]] = {
    HEAD: (48, 16),
    EMBEDDING: (48, 16),
    "model.norm.weight": (16,),
    **{
        f"model.layers.{at}.{name}.weight": shape
        for at in (0, 1)
        for name, shape in {"self_attn.q_proj": (16, 16), "mlp.up_proj": (32, 16)}.items()
    },
}


def found(folder: Path, shapes: Shapes = SHAPES, /, **config: object) -> list[Finding]:
    given = {key: value for key, value in (CONFIG | config).items() if value is not ...}
    every = api.verify(str(model(folder, shapes, {"config.json": given}))).findings
    return [one for one in every if one.code.startswith("CK94")]


def coded(folder: Path, shapes: Shapes = SHAPES, /, **config: object) -> list[str]:
    return [f"{one.code} {one.severity}" for one in found(folder, shapes, **config)]


def less(*names: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in SHAPES.items() if not name.startswith(names)}


def under(prefix: str) -> dict[str, tuple[int, ...]]:
    return {prefix + name: shape for name, shape in SHAPES.items()}


def test_config_and_weights_that_agree_have_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path / "good") == []


# --- vocabulary and width -------------------------------------------------------------------------


def test_another_vocabulary_is_an_error_with_the_command_that_corrects_it(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", vocab_size=55)
    assert (finding.code, finding.severity) == ("CK940", "error")
    assert (finding.path, finding.subject) == ("config.json", "/vocab_size")
    assert finding.what.startswith(
        "is 55, but lm_head.weight and model.embed_tokens.weight have 48 rows"
    ) or finding.what.startswith(
        "is 55, but model.embed_tokens.weight and lm_head.weight have 48 rows"
    )
    assert finding.remedy.argv[3:] == ("set", "/vocab_size", "48")


def test_a_head_of_another_size_is_an_error(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", SHAPES | {HEAD: (50, 16)})
    assert (finding.code, finding.subject) == ("CK940", HEAD)


def test_the_text_config_counts_where_there_is_one(tmp_path: Path) -> None:
    text = {"vocab_size": 55, "hidden_size": 16, "num_hidden_layers": 2}
    (finding,) = found(tmp_path / "bad", under("language_model."), text_config=text)
    assert (finding.code, finding.subject) == ("CK940", "/text_config/vocab_size")
    text["vocab_size"] = 48
    assert found(tmp_path / "good", under("language_model."), text_config=text, vocab_size=9) == []


@pytest.mark.parametrize(
    "config",
    [
        {"vocab_size": ...},
        {"vocab_size": 40, "padded_vocab_size": 48},
        {"vocab_size": 40, "model_type": "mllama_text_model"},
        {"vocab_size": 40, "is_encoder_decoder": True},
        {"vocab_size": "48"},
        {"vocab_size": 40, "text_config": {"hidden_size": 16}},
    ],
)
def test_rows_that_may_differ_are_left_alone(config: dict[str, object], tmp_path: Path) -> None:
    assert found(tmp_path / "near", **config) == []


def test_a_model_with_code_of_its_own_gets_a_note(tmp_path: Path) -> None:
    config = {"vocab_size": 55, "auto_map": {"AutoModel": "modeling.Model"}}
    assert "CK940 note" in coded(tmp_path / "own", **config)


def test_another_width_is_an_error_unless_the_embedding_has_its_own(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", hidden_size=32)
    assert (finding.code, finding.subject) == ("CK941", "/hidden_size")
    assert found(tmp_path / "near", hidden_size=32, embedding_size=16) == []
    assert found(tmp_path / "other", hidden_size=32, word_embed_proj_dim=16) == []


def test_a_quantized_embedding_is_not_measured(tmp_path: Path) -> None:
    packed = SHAPES | {EMBEDDING: (Dtype.U8, (384, 1)), HEAD: (Dtype.U8, (384, 1))}
    assert found(tmp_path / "bnb", packed) == []


# --- layers ---------------------------------------------------------------------------------------


def test_layers_that_are_not_stored_are_named(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", num_hidden_layers=5)
    assert (finding.code, finding.severity, finding.subject) == (
        "CK942",
        "error",
        "/num_hidden_layers",
    )
    assert "model.layers.{2..4} are not stored" in finding.what


def test_layers_beyond_the_config_are_named(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", num_hidden_layers=1)
    assert finding.code == "CK942"
    assert "model.layers.1 is stored too: transformers drops it" in finding.what


@pytest.mark.parametrize(
    ("shapes", "config"),
    [
        (SHAPES | {"model.layers.2.eh_proj.weight": (16, 32)}, {}),
        (SHAPES | {"model.layers.2.mlp.up_proj.weight": (32, 16)}, {"num_nextn_predict_layers": 1}),
        (SHAPES | {"model.visual.blocks.5.attn.weight": (4, 4)}, {}),
        (less("model.layers"), {}),
        (SHAPES, {"num_hidden_layers": 4, "num_layers": 2}),
        (SHAPES, {"num_hidden_layers": 3, "block_configs": []}),
        (SHAPES, {"num_hidden_layers": True}),
    ],
)
def test_layers_that_may_differ_are_left_alone(
    shapes: Shapes, config: dict[str, object], tmp_path: Path
) -> None:
    assert found(tmp_path / "near", shapes, **config) == []


# --- head -----------------------------------------------------------------------------------------


def test_a_missing_head_is_an_error_only_where_config_unties_it(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "bad", less(HEAD))
    assert (finding.code, finding.severity, finding.subject) == (
        "CK943",
        "error",
        "/tie_word_embeddings",
    )
    assert found(tmp_path / "tied", less(HEAD), tie_word_embeddings=True) == []
    assert found(tmp_path / "silent", less(HEAD), tie_word_embeddings=...) == []


def test_a_tied_matrix_may_be_stored_under_the_heads_name(tmp_path: Path) -> None:
    assert found(tmp_path / "tied", less(EMBEDDING), tie_word_embeddings=True) == []


def test_a_model_without_a_head_lacks_none(tmp_path: Path) -> None:
    assert found(tmp_path / "base", less(HEAD), architectures=["LlamaModel"]) == []
    classifier = less(HEAD) | {"score.weight": (2, 16)}
    architectures = ["LlamaForSequenceClassification"]
    assert found(tmp_path / "score", classifier, architectures=architectures) == []


def test_a_head_of_another_name_or_another_dtype_is_there(tmp_path: Path) -> None:
    assert found(tmp_path / "named", less(HEAD) | {"embed_out.weight": (48, 16)}) == []
    assert found(tmp_path / "packed", less(HEAD) | {"lm_head.qweight": (Dtype.I32, (2, 48))}) == []


# --- dtype ----------------------------------------------------------------------------------------


def test_weights_in_f32_that_config_calls_bfloat16_are_a_note(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "wide", torch_dtype="bfloat16")
    assert (finding.code, finding.severity) == ("CK944", "note")
    assert finding.remedy.argv == ("ckpt", "cast", str(tmp_path / "wide"), "BF16")
    assert "refuses where a value would be rounded" in finding.next


def test_what_the_cast_would_do_is_said_where_the_values_were_read(tmp_path: Path) -> None:
    folder = model(tmp_path / "wide", SHAPES, {"config.json": CONFIG | {"dtype": "bfloat16"}})
    (finding,) = api.verify(str(folder), values=True).findings
    assert finding.remedy.argv == ()
    assert finding.next.startswith("7 tensors would be rounded: decide whether to keep F32")
    exact = dict.fromkeys(("a.weight", "b.weight"), (Dtype.F32, (2,), b"\0\0\x80?\0\0\0@"))
    (folder / "model.safetensors").write_bytes(weights(exact))
    (finding,) = (one for one in api.verify(str(folder), values=True).findings if "F32" in one.what)
    assert finding.next.endswith("which loses nothing")


@pytest.mark.parametrize("stated", ["float32", ..., None, 7])
def test_weights_of_the_dtype_that_config_says_are_fine(stated: object, tmp_path: Path) -> None:
    assert found(tmp_path / "near", torch_dtype=stated) == []


def test_some_tensors_in_f32_are_fine(tmp_path: Path) -> None:
    mixed = SHAPES | {EMBEDDING: (Dtype.BF16, (48, 16))}
    assert found(tmp_path / "mixed", mixed, torch_dtype="bfloat16") == []


def test_a_policy_is_not_read_as_a_transformers_model(tmp_path: Path) -> None:
    config = CONFIG | {"type": "act", "input_features": {}, "vocab_size": 55}
    folder = model(tmp_path / "policy", SHAPES, {"config.json": config})
    assert {code for code in codes(folder) if code.startswith("CK94")} == set()
