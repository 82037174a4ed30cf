"""What holds for every LeRobot policy: types, steps, sizes, cameras, statistics, and OpenPI."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.lerobot import POLICIES, is_buffer, registered, type_by_names
from ckpt_tools.rules.finding import Severity
from tests.support import forked
from tests.support.checkpoints import weights
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATES = {
    PRE: "policy_preprocessor_step_3_normalizer_processor.safetensors",
    POST: "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
}
CAMERA, STATE, ACTION = "observation.images.top", "observation.state", "action"
SHAPES: dict[str, tuple[int, ...]] = {
    "model.action_head.weight": (2, 8),
    "model.action_head.bias": (2,),
    "model.encoder_robot_state_input_proj.weight": (8, 3),
    "model.decoder_pos_embed.weight": (4, 8),
}
INPUTS = {CAMERA: {"type": "VISUAL", "shape": [3, 8, 8]}, STATE: {"type": "STATE", "shape": [3]}}
OUTPUTS = {ACTION: {"type": "ACTION", "shape": [2]}}
CONFIG: dict[str, Any] = {
    "type": "act", "input_features": INPUTS, "output_features": OUTPUTS, "chunk_size": 4,
    "n_action_steps": 4,
    "vision_backbone": "resnet-tiny",  # of no known size: these policies have no tensors of one
    "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
}  # fmt: skip
REAL = {"mean": 0.3, "std": 1.7, "min": -2.0, "max": 2.5}


def step(name: str, **settings: Any) -> dict[str, Any]:
    return {"registry_name": name, "config": settings}


def processors(config: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The steps of both processors of a policy, as LeRobot writes them for an ACT."""
    features = {**config["input_features"], **config["output_features"]}
    own = {"features": features, "norm_map": config.get("normalization_mapping", {})}
    return {
        PRE: [
            step("rename_observations_processor", rename_map={}),
            step("to_batch_processor"),
            step("device_processor", device="cpu", float_dtype=None),
            step("normalizer_processor", **own) | {"state_file": STATES[PRE]},
        ],
        POST: [
            step("unnormalizer_processor", **own) | {"state_file": STATES[POST]},
            step("device_processor", device="cpu", float_dtype=None),
        ],
    }


def policy(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,
    steps: dict[str, list[dict[str, Any]]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] = SHAPES,
    numbers: dict[str, float] = REAL,
) -> Path:
    """Write a policy; `config` replaces keys of an ACT's, ... removes one."""
    chosen = {**CONFIG, **(config or {})}
    chosen = {key: value for key, value in chosen.items() if value is not ...}
    chain = processors({**CONFIG, **{k: v for k, v in chosen.items() if k in CONFIG}}) | (
        steps or {}
    )
    model(
        folder,
        shapes,
        {"config.json": chosen, **{path: {"steps": one} for path, one in chain.items()}},
    )
    for name in STATES.values():
        held = {
            f"{feature}.{kind}": (Dtype.F32, (size,), np.full(size, number, "<f4").tobytes())
            for feature, size in ((STATE, 3), (ACTION, 2))
            for kind, number in numbers.items()
        }
        (folder / name).write_bytes(weights(held))
    return folder


def found(folder: Path, code: str = "", **options: Any) -> list[Finding]:
    """The findings of a rule, or every warning and error."""
    return [
        one
        for one in api.verify(str(folder), **options).findings
        if (one.code == code if code else one.severity is not Severity.NOTE)
    ]


def obey(finding: Finding, *more: str) -> None:
    """Run the command that a finding suggests, with more options."""
    forked.checked(forked.ckpt(*finding.remedy.argv[1:], *more))


def test_a_stock_act_has_no_finding(tmp_path: Path) -> None:
    assert found(policy(tmp_path / "act")) == []


# --- types ----------------------------------------------------------------------------------------


def test_a_missing_type_is_read_from_the_tensors(tmp_path: Path) -> None:
    folder = policy(tmp_path / "x", config={"type": ...})
    (finding,) = found(folder, "CK705")
    assert finding.severity is Severity.ERROR
    assert finding.next == (f"the tensors are those of act: ckpt config {folder} set type act")
    folder = policy(tmp_path / "y", config={"type": ...}, shapes={"model.weight": (2, 2)})
    (finding,) = found(folder, "CK705")
    assert finding.next.startswith("write the type that it was trained with")


@pytest.mark.parametrize(
    ("kind", "severity", "words"),
    [
        ("sac", "error", "LeRobot 0.6 calls it gaussian_actor"),
        ("pi0fast", "error", "pi0_fast is another policy"),
        ("acme", "warning", "only with a plugin"),
        (7, "error", "cannot tell which policy"),
    ],
)
def test_a_type_that_lerobot_does_not_register(
    tmp_path: Path, kind: object, severity: str, words: str
) -> None:
    (finding,) = found(policy(tmp_path / "x", config={"type": kind}), "CK705")
    assert finding.severity == severity
    assert words in finding.what


def test_the_release_decides_which_types_there_are(tmp_path: Path) -> None:
    new = policy(tmp_path / "new", config={"type": "vla_jepa"})
    old = policy(tmp_path / "old", config={"type": "sac"})
    reward = policy(tmp_path / "reward", config={"type": "reward_classifier"})
    assert not found(new, "CK705")
    assert found(new, "CK705", target="lerobot==0.5")
    assert not found(old, "CK705", target="lerobot==0.5")
    assert not found(reward, "CK705")
    assert registered("lerobot==0.5") - registered("lerobot==0.4") == {"multi_task_dit"}
    assert registered("lerobot==0.6") == registered("") == set(POLICIES)


def test_a_field_that_the_newest_release_lacks(tmp_path: Path) -> None:
    folder = policy(tmp_path / "x", config={"use_magic": True, "kl_weight": 10.0})
    (finding,) = found(folder)
    assert (finding.code, finding.subject) == ("CK704", "/use_magic")
    assert not found(folder, "CK704", target="lerobot==0.5")
    assert not found(policy(tmp_path / "y", config={"type": "acme", "magic": 1}), "CK704")
    obey(finding)
    assert found(folder) == []
    (finding,) = found(policy(tmp_path / "z", config={"kl_weigth": 10.0}), "CK704")
    assert finding.what.endswith("which rejects the file (did you mean kl_weight?)")


def test_groot_n1_5_needs_an_older_lerobot(tmp_path: Path) -> None:
    shapes = {"_groot_model.backbone.eagle_model.x.weight": (2, 2)}
    old = policy(tmp_path / "old", config={"type": "groot"}, shapes=shapes)
    new = policy(tmp_path / "new", config={"type": "groot"}, shapes={"model.x.weight": (2, 2)})
    assert "N1.5" in found(old, "CK705")[0].what
    chain = {PRE: pi05("groot_pack_inputs_v3")}
    packed = policy(tmp_path / "packed", config={"type": "groot"}, steps=chain)
    assert "GR00T N1.5" in found(packed, "CK731")[0].what
    assert not found(packed, "CK731", target="lerobot==0.5")
    assert not found(old, "CK705", target="lerobot==0.5")
    assert not found(new, "CK705")


# --- processors -----------------------------------------------------------------------------------


def test_processors_are_missing(tmp_path: Path) -> None:
    folder = policy(tmp_path / "x")
    (folder / PRE).unlink()
    assert [one.path for one in found(folder, "CK721")] == [PRE]
    for kind in ("sarm", "sac"):
        near = policy(tmp_path / kind, config={"type": kind})
        (near / PRE).unlink()
        assert not found(near, "CK721")


def pi05(*names: str) -> list[dict[str, Any]]:
    chain = {one["registry_name"]: one for one in processors(CONFIG)[PRE]}
    return [chain.get(name, step(name)) for name in names]


START = ("rename_observations_processor", "to_batch_processor", "device_processor")
PREPARE, TOKENS = "pi05_prepare_state_tokenizer_processor_step", "tokenizer_processor"


def test_the_steps_of_a_pi05_are_complete_and_in_order(tmp_path: Path) -> None:
    def said(name: str, *names: str) -> list[tuple[str, str]]:
        folder = policy(tmp_path / name, config={"type": "pi05"}, steps={PRE: pi05(*START, *names)})
        return [(one.severity, one.what) for one in found(folder, "CK732")]

    normal = "normalizer_processor"
    assert said("good", normal, PREPARE, TOKENS) == []
    assert said("good too", "relative_actions_processor", normal, PREPARE, TOKENS) == []
    assert said("late", PREPARE, normal, TOKENS) == [
        ("error", f"the step {normal} comes after {PREPARE}: the prompt has the raw state")
    ]
    assert said("missing", normal, TOKENS) == [
        ("error", f"the step {PREPARE} is missing: the prompt lacks the state")
    ]


def test_steps_that_the_evaluation_may_add_are_a_note(tmp_path: Path) -> None:
    chain = {PRE: pi05(*START, TOKENS, "xvla_add_domain_id", "normalizer_processor")}
    folder = policy(tmp_path / "x", config={"type": "xvla"}, steps=chain)
    assert {(one.severity, one.what.split()[2]) for one in found(folder, "CK732")} == {
        ("note", "xvla_image_to_float"),
        ("note", "xvla_imagenet_normalize"),
    }


def test_the_steps_of_a_plugins_policy_are_unknown(tmp_path: Path) -> None:
    folder = policy(
        tmp_path / "x", config={"type": "acme"}, steps={PRE: pi05("to_batch_processor")}
    )
    assert not found(folder, "CK732")


def test_modes_are_those_of_the_type_where_config_json_has_none(tmp_path: Path) -> None:
    config = {"normalization_mapping": ...}
    plain = policy(tmp_path / "act", config=config)
    assert {one.subject for one in found(plain, "CK723")} == {"/steps/3/config/norm_map/VISUAL"}
    identity = {PRE: pi05(*START), POST: [step("device_processor", device="cpu")]}
    groot = policy(tmp_path / "groot", config={**config, "type": "groot"}, steps=identity)
    acme = policy(tmp_path / "acme", config={**config, "type": "acme"}, steps=identity)
    assert not [*found(groot, "CK723"), *found(groot, "CK728"), *found(acme, "CK723")]


def test_quantiles_that_the_dataset_lacked_are_computed_not_copied(tmp_path: Path) -> None:
    quantiles = {"VISUAL": "IDENTITY", "STATE": "QUANTILES", "ACTION": "QUANTILES"}
    config = {"normalization_mapping": quantiles}
    folder = policy(tmp_path / "x", config=config)
    assert {one.subject for one in found(folder, "CK723")} == {STATE, ACTION}
    assert "augment_dataset_quantile_stats.py" in found(folder, "CK723")[0].next
    near = policy(tmp_path / "y", config=config, numbers={"q01": -1.0, "q99": 2.0})
    assert not found(near, "CK723")


def test_the_postprocessor_of_lingbot_va_has_a_mode_of_its_own(tmp_path: Path) -> None:
    identity = dict.fromkeys(("VISUAL", "STATE", "ACTION"), "IDENTITY")
    config = {"type": "lingbot_va", "normalization_mapping": identity}

    def after(mode: str) -> dict[str, list[dict[str, Any]]]:
        own = step("unnormalizer_processor", features=OUTPUTS, norm_map={"ACTION": mode})
        return {POST: [own | {"state_file": STATES[POST]}]}

    numbers = {"q01": -1.0, "q99": 1.0}
    good = policy(tmp_path / "x", config=config, steps=after("QUANTILES"), numbers=numbers)
    bad = policy(tmp_path / "y", config=config, steps=after("IDENTITY"), numbers=numbers)
    assert not [*found(good, "CK723"), *found(good, "CK728")]
    assert found(bad, "CK728")


# --- chunks and sizes -----------------------------------------------------------------------------


def actions(tmp_path: Path, **config: Any) -> list[tuple[str, str]]:
    folder = policy(tmp_path / str(len(list(tmp_path.iterdir()))), config=config)
    return [(one.severity, one.what) for one in found(folder, "CK707")]


def test_more_actions_than_a_chunk_has(tmp_path: Path) -> None:
    refused = "stock LeRobot rejects the file"
    assert actions(tmp_path, n_action_steps=5) == [
        ("error", f"is 5, but chunk_size is 4: {refused}")
    ]
    assert actions(tmp_path, n_action_steps=1) == []
    assert actions(tmp_path, temporal_ensemble_coeff=0.01) == [
        ("error", f"is 4, but temporal_ensemble_coeff needs 1: {refused}")
    ]
    assert actions(tmp_path, temporal_ensemble_coeff=0.01, n_action_steps=1) == []
    assert actions(tmp_path, type="tdmpc", horizon=5, n_action_steps=6) == [
        ("error", f"is 6, but horizon is 5: {refused}")
    ]
    assert actions(tmp_path, type="tdmpc", chunk_size=..., n_action_steps=...) == []
    assert actions(tmp_path, type="vqbet", n_action_steps=9) == []
    assert actions(tmp_path, type="acme", n_action_steps=9) == []


def test_a_diffusion_policy_executes_fewer_actions_than_config_json_says(tmp_path: Path) -> None:
    config = {"type": "diffusion", "chunk_size": ..., "horizon": 16, "n_obs_steps": 2}
    assert actions(tmp_path, **config, n_action_steps=16) == [
        ("warning", "is 16, but a chunk of horizon 16 has 15: fewer are executed")
    ]
    assert actions(tmp_path, **config, n_action_steps=15) == []
    assert actions(tmp_path, **config | {"horizon": ...}, n_action_steps=99) == []


def test_config_json_of_another_size_than_the_weights(tmp_path: Path) -> None:
    wide = {ACTION: {"type": "ACTION", "shape": [5]}}
    steps = processors(CONFIG)
    folder = policy(tmp_path / "x", config={"output_features": wide}, steps=steps)
    (finding,) = found(folder)
    assert (finding.code, finding.subject) == ("CK714", "/output_features/action/shape")
    assert finding.remedy.argv[-2:] == ("/output_features/action/shape", "[2]")
    obey(finding)
    assert found(folder) == []


def test_a_chunk_of_another_size_is_corrected_together_with_its_actions(tmp_path: Path) -> None:
    (both,) = found(policy(tmp_path / "x", config={"chunk_size": 9, "n_action_steps": 9}), "CK714")
    assert both.remedy.argv == ()
    assert "set chunk_size to 4, and n_action_steps" in both.next
    (one,) = found(policy(tmp_path / "y", config={"chunk_size": 9}), "CK714")
    assert one.remedy.argv[-2:] == ("/chunk_size", "4")


def test_sizes_that_no_tensor_tells_are_not_judged(tmp_path: Path) -> None:
    other = policy(tmp_path / "x", shapes={"model.other.weight": (7, 8)})
    padded = policy(
        tmp_path / "y",
        config={"type": "pi0", "max_action_dim": 32},
        shapes={"model.action_in_proj.weight": (8, 32)},
    )
    hidden = policy(
        tmp_path / "z",
        config={"type": "pi0", "max_action_dim": 7},
        shapes={"model.action_in_proj.weight": (8, 32)},
    )
    assert not [*found(other, "CK714"), *found(padded, "CK714")]
    assert "keeps random weights" in found(hidden, "CK714")[0].what


@pytest.mark.parametrize(
    ("code", "config"),
    [
        ("CK705", {"type": ...}),
        ("CK707", {"n_action_steps": 5}),
        ("CK707", {"n_action_steps": 0}),
        ("CK707", {"temporal_ensemble_coeff": 0.01}),
        ("CK710", {"pretrained_path": "/home/me/base"}),
        ("CK714", {"chunk_size": 9}),
    ],
)
def test_a_suggested_command_runs_and_the_finding_is_gone(
    tmp_path: Path, code: str, config: dict[str, Any]
) -> None:
    folder = policy(tmp_path / "x", config=config)
    (finding,) = found(folder)
    assert finding.code == code
    obey(finding)
    assert found(folder) == []


# --- cameras --------------------------------------------------------------------------------------


def cameras(tmp_path: Path, name: str, renames: dict[str, str], *listed: str) -> list[str]:
    steps = processors(CONFIG)
    steps[PRE][0]["config"]["rename_map"] = renames
    if listed:
        own = dict.fromkeys(listed, INPUTS[CAMERA])
        steps[PRE][3]["config"]["features"] = {**own, STATE: INPUTS[STATE], **OUTPUTS}
    return [one.severity for one in found(policy(tmp_path / name, steps=steps), "CK737")]


def test_cameras_that_the_preprocessor_calls_differently(tmp_path: Path) -> None:
    other, third = "observation.images.front", "observation.images.wrist"
    assert cameras(tmp_path, "renamed", {other: third}) == ["warning"]
    assert cameras(tmp_path, "away", {CAMERA: third}) == ["error"]
    assert cameras(tmp_path, "right", {other: CAMERA}) == []
    assert cameras(tmp_path, "swapped", {CAMERA: CAMERA}) == []
    assert cameras(tmp_path, "other", {}, other) == ["warning"]
    assert cameras(tmp_path, "more", {}, CAMERA, other) == []


def test_an_input_that_config_json_misspells_is_told_from_one_without_statistics(
    tmp_path: Path,
) -> None:
    inputs = {CAMERA: INPUTS[CAMERA], "observation.sate": INPUTS[STATE]}
    steps = processors(CONFIG)
    (wrong,) = found(
        policy(tmp_path / "x", config={"input_features": inputs}, steps=steps), "CK723"
    )
    assert wrong.what.endswith("the step has observation.state, which config.json lacks")
    assert wrong.next == "correct the name in config.json or in the processor"
    steps[PRE][3]["config"]["features"] = {CAMERA: INPUTS[CAMERA], **OUTPUTS}
    (lost,) = found(policy(tmp_path / "y", steps=steps), "CK723")
    assert lost.what == "observation.state is left out: it is not normalized"
    assert lost.next.startswith("copy the processor")


# --- statistics -----------------------------------------------------------------------------------


def test_statistics_of_no_dataset_are_a_note(tmp_path: Path) -> None:
    folder = policy(tmp_path / "x", numbers={"mean": 0.0, "std": 1.0})
    (finding,) = found(folder, "CK735")
    assert finding.severity is Severity.NOTE
    assert not found(policy(tmp_path / "y", numbers={"mean": 0.0, "std": 1.5}), "CK735")
    ranges = {"VISUAL": "IDENTITY", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"}
    near = policy(
        tmp_path / "z",
        config={"normalization_mapping": ranges},
        numbers={"min": -1.0, "max": 1.0, "mean": 0.0, "std": 1.0},
    )
    assert not found(near, "CK735")


BUFFER = "normalize_inputs.buffer_observation_state.mean"


def with_buffers(folder: Path, number: float) -> Path:
    held = {"model.weight": (Dtype.F32, (2,), np.array([0.5, number], "<f4").tobytes())}
    if not math.isnan(number):
        held["model.weight"] = (Dtype.F32, (2,), np.array([0.5, 0.1], "<f4").tobytes())
    for name in (BUFFER, BUFFER.replace("mean", "std")):
        held[name] = (Dtype.F32, (3,), np.full(3, number, "<f4").tobytes())
    (folder / "model.safetensors").write_bytes(weights(held))
    return folder


def test_infinite_buffers_were_never_set_and_no_training_diverged(tmp_path: Path) -> None:
    folder = with_buffers(policy(tmp_path / "x"), math.inf)
    assert {one.code for one in found(folder, values=True)} == {"CK310", "CK736"}
    near = with_buffers(policy(tmp_path / "y"), 0.5)
    assert {one.code for one in found(near, values=True)} == {"CK310"}


def test_buffers_are_migrated_unless_the_processors_have_the_statistics(tmp_path: Path) -> None:
    folder = with_buffers(policy(tmp_path / "x"), 0.5)
    (finding,) = found(folder, "CK310")
    assert finding.remedy.argv[-1] == "normalize_inputs.buffer_*.*"
    obey(finding, "--in-place", "--no-backup")
    assert found(folder) == []
    with_buffers(folder, 0.5)
    for path in folder.glob("policy_*"):
        path.unlink()
    (finding,) = found(folder, "CK310")
    assert "never strip these" in finding.next
    assert {one.next for one in found(folder, "CK721")} == {finding.next}


def test_names_of_buffers() -> None:
    for name in (
        BUFFER,
        "unnormalize_outputs.buffer_action.std",
        "normalize_targets.buffer_action.min",
        "input_normalizer.observation_state.mean",
        "model.normalize_inputs.buffer_action.max",
        "_orig_mod.normalize_inputs.buffer_action.q01",
        "buffer_observation_state.mean",
    ):
        assert is_buffer(name), name
    for name in (
        "model.backbone.bn1.running_mean",
        "model.normalize.weight",
        "normalize_inputs.weight",
        "model.mean",
    ):
        assert not is_buffer(name), name


def test_a_type_is_read_from_the_names_of_one_policy_only() -> None:
    assert type_by_names(["model_target._encoder.x", "model._encoder.x"]) == "tdmpc"
    assert type_by_names(["diffusion.unet.x", "model_target.x"]) == ""
    assert type_by_names(["model.layers.0.x"]) == ""


# --- paths, OpenPI --------------------------------------------------------------------------------


def test_the_path_of_a_tokenizer_is_replaced_by_its_name(tmp_path: Path) -> None:
    def tokens(name: str) -> dict[str, list[dict[str, Any]]]:
        return {PRE: [*processors(CONFIG)[PRE], step(TOKENS, tokenizer_name=name)]}

    config = {"type": "pi05"}
    folder = policy(tmp_path / "x", config=config, steps=tokens("/home/me/paligemma"))
    (finding,) = found(folder, "CK710")
    name = "google/paligemma-3b-pt-224"
    assert finding.remedy.argv[3:] == (
        *("set", "--file", PRE, "/steps/4/config/tokenizer_name"),
        name,
    )
    obey(finding)
    assert not found(folder, "CK710")
    assert not found(policy(tmp_path / "y", config=config, steps=tokens(name)), "CK710")
    acme = policy(tmp_path / "z", config={"type": "acme"}, steps=tokens("../tokenizer"))
    assert found(acme, "CK710")[0].next == "write the model's name on the Hub"


def test_an_openpi_export_is_recognized(tmp_path: Path) -> None:
    shapes = {"paligemma_with_expert.paligemma.x": (2, 2), "action_in_proj.weight": (2, 2)}
    folder = model(tmp_path / "x", shapes, {"config.json": {"action_dim": 32}})
    (finding,) = found(folder, "CK752")
    assert finding.severity is Severity.NOTE
    lerobot = {f"model.{name}": shape for name, shape in shapes.items()}
    assert not found(model(tmp_path / "y", lerobot), "CK752")
    assert not found(policy(tmp_path / "z", config={"type": "pi0"}, shapes=shapes), "CK752")


# --- train_config.json ----------------------------------------------------------------------------


def test_the_plugins_optimizer_needs_the_plugin(tmp_path: Path) -> None:
    folder = policy(tmp_path / "x")
    path = folder / "train_config.json"
    path.write_text(json.dumps({"optimizer": {"type": "adamw_f32_masters"}}), encoding="utf-8")
    nexts = {one.subject: one.next for one in found(folder, "CK746")}
    assert nexts["/optimizer/type"] == "install lerobot_policy_smolvla_reflow to resume"
    path.write_text(json.dumps({"optimizer": {"type": "acme"}}), encoding="utf-8")
    nexts = {one.subject: one.next for one in found(folder, "CK746")}
    assert nexts["/optimizer/type"] == "resume with the LeRobot that wrote it"


def test_a_personal_path_is_removed_in_the_copy(tmp_path: Path) -> None:
    folder = policy(tmp_path / "x")
    value = {"dataset": {"root": "/home/me/data", "repo_id": "/home/me/data"}}
    (folder / "train_config.json").write_text(json.dumps(value), encoding="utf-8")
    nexts = {one.subject: one for one in found(folder, "CK742")}
    assert nexts["/dataset/root"].remedy.argv[3:] == (
        *("set", "--file", "train_config.json", "/dataset/root"),
        "null",
    )
    assert nexts["/dataset/repo_id"].remedy.argv == ()
    obey(nexts["/dataset/root"])
    assert {one.subject for one in found(folder, "CK742")} == {"/dataset/repo_id"}
