"""Models that real libraries saved, tiny and with random weights: no rule finds fault with them.

And the same models damaged in ways that any model can be: a rule finds it.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.read import read
from ckpt_tools.families.expected import FLOATS
from ckpt_tools.families.family import Expectation
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.coverage import Question, State
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Severity, Verification
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from tests.support import damage, forked

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from tests.support.damage import Damage

pytestmark = pytest.mark.lerobot

SAVE = Path(__file__).with_name("save_models.py")

BASE = "example/tiny-llama"
"""What save_models.py calls the base model of its adapters."""

POLICIES = ("act", "diffusion", "vqbet", "tdmpc")

FAMILIES = {
    **dict.fromkeys(("llama", "llama-tied", "llama-bf16", "llama-sharded"), "llama"),
    **{name: name for name in ("qwen2", "qwen3", "mixtral", "phi3", "gpt2", "t5", "bert")},
    **{name: name for name in ("whisper", "vit", "dinov2", "siglip", "clip", "paligemma")},
    "qwen3-moe": "qwen3_moe",
    "mixtral-stacked": "mixtral",
    "qwen2-moe-stacked": "qwen2_moe",
    "t5-untied": "t5",
    "gemma3": "gemma3_text",
    "smolvlm": "smolvlm",
    "bert-classifier": "bert",
    **dict.fromkeys(("lora", "lora-dora", "lora-head", "lora-all-linear"), "peft adapter"),
    **dict.fromkeys(("lora-ranks", "lora-layers", "lora-embedding"), "peft adapter"),
    "lora-paligemma": "peft adapter",
    "pipeline": "diffusers pipeline",
    "dit": "DiTTransformer2DModel",
    "sentences": "sentence-transformers",
    "timm-vit": "vit_tiny_patch16_224",
    "timm-resnet": "resnet10t",
    **{name: name for name in POLICIES},
    "act-lora": "peft adapter",
}
"""What the tool must call each model that save_models.py saves."""

NOTES = {"CK745"}
"""Notes that any of them may get: the safetensors library lets only the owner read its files."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all models, saved in one process, since the imports take seconds."""
    folder = tmp_path_factory.mktemp("real")
    forked.python(SAVE, folder)
    return folder


def words(found: Verification) -> list[str]:
    """Return the warnings and errors."""
    return [
        f"{one.code} {one.path} {one.subject}: {one.what}"
        for one in found.findings
        if one.severity is not Severity.NOTE
    ]


def state(found: Verification, question: Question) -> State:
    return next(one.state for one in found.coverage if one.question is question)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_real_library_saved_is_right(saved: Path, name: str) -> None:
    found = api.verify(str(saved / name), values=True)
    assert words(found) == []
    assert {one.code for one in found.findings} <= NOTES
    assert found.family == FAMILIES[name]
    assert state(found, Question.VALUES) is State.CHECKED


@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("lora")])
def test_an_adapter_fits_its_base(saved: Path, tmp_path: Path, name: str) -> None:
    base = saved / ("paligemma" if name == "lora-paligemma" else "llama")
    folder = shutil.copytree(saved / name, tmp_path / name)
    bases = [f"{BASE}={base}"]
    found = api.verify(str(folder), base=bases)
    assert words(found) == []
    assert {one.code for one in found.findings} <= NOTES
    assert state(found, Question.COMPLETENESS) is State.CHECKED
    assert damage.last_layer_less(folder)
    assert words(api.verify(str(folder), base=bases))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_gate_objects_to_nothing_but_the_model_card(saved: Path, name: str) -> None:
    verdict = api.gate(str(saved / name), values=False)
    assert {
        one.code for one in verdict.verification.findings if one.severity is not Severity.NOTE
    } <= {"CK813"}


BLIND = {
    "a layer less": {
        *(name for name in FAMILIES if name.startswith("lora")),
        "timm-vit",
    },
}
"""What no rule sees yet, by damage: what config.json says of these is not compared."""

DAMAGE: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "no tensors": (damage.no_tensors, ("llama", "bert", "lora", "act", "timm-vit", "dit")),
    "a tensor less": (damage.one_tensor_less, tuple(FAMILIES)),
    "a layer less": (damage.last_layer_less, tuple(FAMILIES)),
    "half the vocabulary": (damage.half_the_vocabulary, tuple(FAMILIES)),
    "no lora_B": (damage.no_second_halves, tuple(FAMILIES)),
    "no postprocessor": (damage.no_file("policy_postprocessor*"), (*POLICIES, "act-lora")),
    "NaN": (damage.nan_in("."), ("llama", "lora", "timm-resnet", "tdmpc")),
    "NaN in the U-Net": (damage.nan_in("unet"), ("pipeline",)),
    "NaN in the dense layer": (damage.nan_in("2_Dense"), ("sentences",)),
    "no U-Net": (damage.no_folder("unet"), ("pipeline",)),
    "no weights of the U-Net": (damage.no_file("unet/*.safetensors"), ("pipeline",)),
    "no dense layer": (damage.no_folder("2_Dense"), ("sentences",)),
}
"""What is damaged, and in which models; one that has nothing of that kind stays as it is."""


@pytest.mark.parametrize("label", DAMAGE)
def test_damage_is_found_or_not_called_checked(saved: Path, tmp_path: Path, label: str) -> None:
    damaging, names = DAMAGE[label]
    unseen, damaged = set(), 0
    for name in names:
        folder = shutil.copytree(saved / name, tmp_path / name)
        if not damaging(folder):
            continue
        damaged += 1
        found = api.verify(str(folder), values=label.startswith("NaN"))
        if not words(found):
            unseen.add(name)
            assert state(found, Question.COMPLETENESS) is not State.CHECKED
            assert state(found, Question.AGREEMENT) is not State.CHECKED
        shutil.rmtree(folder)
    assert damaged
    assert unseen == BLIND.get(label, set())


SAMPLES = 6
RULES = tuple(rule for rule in all_rules() if rule.code.startswith("CK3"))


def damaged(checkpoint: Checkpoint, tensor: Tensor, *instead: Tensor) -> list[str]:
    """Return the subjects of what is found with other tensors in the place of one."""
    files = tuple(
        file._replace(
            tensors=tuple(
                one for there in file.tensors for one in (instead if there is tensor else (there,))
            )
        )
        for file in checkpoint.weights
    )
    subject = Subject(checkpoint._replace(weights=files), family_of(checkpoint))
    return [one.subject for one in check_rules(RULES, subject).findings]


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"pipeline"}))
def test_any_tensor_that_is_dropped_renamed_reshaped_or_retyped_is_named(
    saved: Path, name: str
) -> None:
    checkpoint = read(str(saved / name))
    expectation = family_of(checkpoint).expected(checkpoint)
    if not isinstance(expectation, Expectation):
        return
    rng = random.Random(name)  # noqa: S311 - samples
    for one in rng.sample(checkpoint.tensors, SAMPLES):
        group = next((group for group in expectation.ties if one.name in group), (one.name,))
        assert set(damaged(checkpoint, one)) & {*group, replaced(one.name)}
        assert f"{one.name}_x" in damaged(checkpoint, one, one._replace(name=f"{one.name}_x"))
        if one.shape:
            longer = one._replace(shape=(*one.shape[:-1], one.shape[-1] + 1))
            assert damaged(checkpoint, one, longer) == [one.name]
        wrong = Dtype.I8 if one.dtype in FLOATS else Dtype.F32
        assert damaged(checkpoint, one, one._replace(dtype=wrong)) == [one.name]


def replaced(name: str) -> str:
    """Return what transformers calls a tensor of BERT that is stored under its older name."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )
