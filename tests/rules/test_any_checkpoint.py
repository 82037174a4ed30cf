"""Rules about names, dtypes, shapes, metadata and references never fail, for any checkpoint."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Document, OtherFile, Tensor, TensorFile
from ckpt_tools.checkpoint.spec import Spec
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla import facts
from ckpt_tools.families.smolvla.layout import Dimensions, layout
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from tests.support.cases import NORMAL, make
from tests.support.policies import RULES, checkpoint_of, policy

SEGMENTS = [
    "model",
    "vlm_with_expert",
    "vlm",
    "lm_expert",
    "teacher",
    "_orig_mod",
    "module",
    "layers",
    "0",
    "1",
    "999",
    "self_attn",
    "k_proj",
    "weight",
    "bias",
]
NAMES = st.one_of(
    st.sampled_from([name for name, _ in layout(Dimensions())]),
    st.lists(st.sampled_from(SEGMENTS), max_size=6).map(".".join),
    st.sampled_from([name for name, _ in layout(Dimensions())]).map(
        lambda name: f"model._teacher_model.{name}"
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
SHAPES = st.lists(
    st.one_of(st.integers(0, 5), st.sampled_from([960, 2**31, 2**63])), max_size=4
).map(tuple)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["smolvla", "true", "cross_attn", 10**400, 16, 0.75]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
CONFIGS = st.none() | st.dictionaries(
    st.sampled_from(["type", *sorted(facts.SMOLVLA.decisive)]), JSON, max_size=6
)
METADATA = st.none() | st.lists(
    st.tuples(NAMES | st.just("format"), NAMES), max_size=4, unique_by=lambda pair: pair[0]
).map(tuple)


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    members = [
        Tensor(name, dtype, shape, "model.safetensors", 0, draw(st.integers(0, 99)))
        for name in draw(st.lists(NAMES, max_size=8, unique=True))
        for dtype, shape in [(draw(st.sampled_from(list(Dtype))), draw(SHAPES))]
    ]
    found = draw(CONFIGS)
    file = TensorFile("model.safetensors", 0, 0, tuple(members), draw(METADATA))
    # The text tells one config from another, as that of a file does.
    documents = () if found is None else (Document("config.json", repr(found), found),)
    others = (OtherFile("model.safetensors.index.json", 2),) * draw(st.integers(0, 1))
    return Checkpoint(where="x", root="x", weights=(file,), documents=documents, others=others)


@given(checkpoints(), checkpoints())
def test_no_rule_fails_for_any_checkpoint(checkpoint: Checkpoint, reference: Checkpoint) -> None:
    spec = Spec(
        "x", tuple((tensor.name, tensor.dtype, tensor.shape) for tensor in reference.tensors)
    )
    for family in (family_of(checkpoint), facts.SMOLVLA):
        found, *_ = check_rules(
            RULES, Subject(checkpoint, family, entries=(), reference=reference, spec=spec)
        )
        assert all(
            finding.what and (finding.next or finding.severity is Severity.NOTE)
            for finding in found
        )


@given(CONFIGS)
def test_no_rule_fails_for_any_config(values: dict[str, Any] | None) -> None:
    checkpoint = checkpoint_of(policy(make.TOY, {}).tensors, values)
    found, *_ = check_rules(
        RULES, Subject(checkpoint, facts.SMOLVLA, entries=(), reference=api.read(str(NORMAL)))
    )
    assert {finding.code for finding in found} <= {
        "CK305",
        "CK306",
        "CK307",
        "CK308",
        "CK311",
        "CK504",
    }


@given(checkpoints())
def test_a_checkpoint_does_not_differ_from_itself(checkpoint: Checkpoint) -> None:
    spec = Spec(
        "x", tuple((tensor.name, tensor.dtype, tensor.shape) for tensor in checkpoint.tensors)
    )
    found, *_ = check_rules(
        RULES, Subject(checkpoint, family_of(checkpoint), reference=checkpoint, spec=spec)
    )
    assert not [finding.code for finding in found if finding.code.startswith("CK5")]


ADAPTER_NAMES = st.sampled_from(
    [
        f"{prefix}layers.{layer}.q_proj.{leaf}"
        for prefix in ("", "base_model.model.")
        for layer in (0, 1)
        for leaf in (
            "lora_A.weight",
            "lora_B.weight",
            "lora_A.default.weight",
            "lora_embedding_A",
            "lora_magnitude_vector",
            "weight",
            "weight_scale_inv",
            "qweight",
            "scales",
            "qzeros",
            "weight.absmax",
            "weight.quant_state.bitsandbytes__nf4",
            "SCB",
        )
    ]
)
ADAPTER_CONFIGS = st.dictionaries(
    st.sampled_from(
        [
            "peft_type",
            "base_model_name_or_path",
            "r",
            "rank_pattern",
            "target_modules",
            "modules_to_save",
            "use_dora",
        ]
    ),
    JSON | st.sampled_from(["LORA", "LOHA", ["q_proj", 1], {"q_proj": 2, "(": 1, "a\\": 3}]),
)
QUANTIZATION = st.dictionaries(
    st.sampled_from(["quant_method", "bits", "version", "weight_block_size", "desc_act"]),
    JSON | st.sampled_from(["gptq", "awq", "fp8", "bitsandbytes", [0, 1], [2, 2], 4]),
)


@given(
    st.lists(st.tuples(ADAPTER_NAMES, st.sampled_from(list(Dtype)), SHAPES), max_size=8),
    ADAPTER_CONFIGS,
    QUANTIZATION | JSON,
    st.sampled_from(["adapter_model.safetensors", "model.safetensors"]),
)
def test_rules_about_adapters_and_quantized_models_never_fail(
    tensors: list[tuple[str, Dtype, tuple[int, ...]]],
    adapter: dict[str, Any],
    quantization: Any,
    file: str,
) -> None:
    members = {name: Tensor(name, dtype, shape, file, 0, 9) for name, dtype, shape in tensors}
    weights = (TensorFile(file, 0, 0, tuple(members.values()), None),)
    config = {"model_type": "x", "input_features": {}, "quantization_config": quantization}
    documents = (
        Document("config.json", repr(quantization), config),
        Document("adapter_config.json", repr(adapter), adapter),
    )
    subject = Subject(
        Checkpoint("x", "x", weights, documents=documents), family=facts.SMOLVLA, entries=()
    )
    check_rules([rule for rule in all_rules() if rule.code.startswith("CK9")], subject)
