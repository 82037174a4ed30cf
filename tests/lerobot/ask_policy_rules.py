"""Ask stock LeRobot what it does with checkpoints that are wrong in one way each, in one process.

    python ask_policy_rules.py WORKSPACE

leaves in WORKSPACE a folder for each of `VARIANTS`, and `answers.json`. By variant:

    stage     where LeRobot fails: config, policy, processors, evaluation, inference, "" for nowhere
    error     the error it raises there
    otherwise the state and tokens that the policy gets, and the action that it returns
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable

type Change = Callable[[Path], None]
type Blobs = dict[str, tuple[str, list[int], bytes]]

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATES = {
    PRE: "policy_preprocessor_step_5_normalizer_processor.safetensors",
    POST: "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
}
CAMERA, STATE = "observation.images.top", "observation.state"
DIMS = 6


def read_tensors(path: Path) -> Blobs:
    """Return dtype, shape and payload by name."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: (
            e["dtype"],
            e["shape"],
            data[start + e["data_offsets"][0] : start + e["data_offsets"][1]],
        )
        for name, e in header.items()
    }


def write_tensors(path: Path, tensors: Blobs) -> None:
    """Write a safetensors file."""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(
        len(text).to_bytes(8, "little") + text + b"".join(data for _, _, data in tensors.values())
    )


def document(name: str, update: Callable[[dict[str, Any]], object]) -> Change:
    """Change a JSON file."""

    def change(folder: Path) -> None:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        update(value)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")

    return change


def config(**values: Any) -> Change:
    """Set keys of config.json; ... removes one."""

    def update(value: dict[str, Any]) -> None:
        value.update(values)
        for key in [key for key in values if values[key] is ...]:
            del value[key]

    return document("config.json", update)


def features(side: str, **values: Any) -> Change:
    """Set features of config.json by the last word of their name; ... removes one."""

    def update(value: dict[str, Any]) -> None:
        for word, feature in values.items():
            name = next(name for name in value[side] if name.endswith(word))
            value[side].pop(name)
            if feature is not ...:
                value[side][name] = feature

    return document("config.json", update)


def step(name: str, registry_name: str, update: Callable[[dict[str, Any]], object]) -> Change:
    """Change a step of a processor."""
    return document(
        name,
        lambda value: update(
            next(item for item in value["steps"] if item["registry_name"] == registry_name)
        ),
    )


def normalizer(update: Callable[[dict[str, Any]], object]) -> Change:
    """Change the preprocessor's normalizer."""
    return step(PRE, "normalizer_processor", update)


def unnormalizer(update: Callable[[dict[str, Any]], object]) -> Change:
    """Change the postprocessor's unnormalizer."""
    return step(POST, "unnormalizer_processor", update)


def without(name: str, registry_name: str) -> Change:
    """Take a step out of a processor."""
    return document(
        name,
        lambda value: value.update(
            steps=[item for item in value["steps"] if item["registry_name"] != registry_name]
        ),
    )


def state(name: str, update: Callable[[Blobs], Blobs]) -> Change:
    """Change the statistics of a processor."""
    return lambda folder: write_tensors(
        folder / STATES[name], update(read_tensors(folder / STATES[name]))
    )


def numbers(*values: float) -> tuple[str, list[int], bytes]:
    """Return an F32 tensor."""
    return "F32", [len(values)], struct.pack(f"<{len(values)}f", *values)


def statistic(name: str, key: str, *values: float) -> Change:
    """Set a statistic of a processor."""
    return state(name, lambda tensors: tensors | {key: numbers(*values)})


def removed(*names: str) -> Change:
    """Remove files."""

    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def all_of(*changes: Change) -> Change:
    """One change after the other."""

    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def renamed(old: str, new: str) -> Callable[[Blobs], Blobs]:
    """Rename tensors by a part of their names."""
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


def late_newline(value: dict[str, Any]) -> None:
    """Put the step that ends the task with a newline last."""
    value["steps"].sort(key=lambda item: item["registry_name"] == "smolvla_new_line_processor")


SOME, NAN = (2.0,) * DIMS, float("nan")
VISUAL = {"type": "VISUAL", "shape": [3, 64, 64]}

VARIANTS: dict[str, Change] = {
    "untouched": lambda _: None,
    # --- config.json
    "use_reflow false": config(use_reflow=False),
    "teacher_model_path null": config(teacher_model_path=None),
    "solver": config(solver="euler"),
    "a field that nobody knows": config(flavour="mild"),
    "type of the plugin": config(type="smolvla_reflow"),
    "no type": config(type=...),
    "chunk_size a word": config(chunk_size="ten"),
    "chunk_size 10.0": config(chunk_size=10.0),
    "num_vlm_layers null": config(num_vlm_layers=None),
    "n_action_steps beyond the chunk": config(n_action_steps=11),
    "n_action_steps 0": config(n_action_steps=0),
    "use_cache false": config(use_cache=False),
    "num_steps 0": config(num_steps=0),
    "num_steps -1": config(num_steps=-1),
    "state wider than max_state_dim": config(max_state_dim=4),
    "no image feature": features("input_features", top=...),
    "no action feature": features("output_features", action=...),
    "feature with names": features("input_features", top=VISUAL | {"names": ["c", "h", "w"]}),
    "feature without type": features("input_features", top={"shape": [3, 64, 64]}),
    "mode unknown": config(
        normalization_mapping={"VISUAL": "IDENTITY", "STATE": "ZSCORE", "ACTION": "MEAN_STD"}
    ),
    "defaults left out": config(use_cache=..., num_expert_layers=..., compile_mode=...),
    "numbers as words": config(optimizer_lr="0.0001"),
    # --- processors
    "no preprocessor": removed(PRE),
    "no processors": removed(PRE, POST),
    "state file missing": removed(STATES[PRE]),
    "no state file named": normalizer(lambda item: item.pop("state_file")),
    "statistics of the state missing": state(
        PRE,
        lambda tensors: {name: tensor for name, tensor in tensors.items() if "state" not in name},
    ),
    "std of the state missing": state(
        PRE,
        lambda tensors: {
            name: tensor for name, tensor in tensors.items() if name != f"{STATE}.std"
        },
    ),
    "state left as it is": normalizer(
        lambda item: item["config"]["norm_map"].update(STATE="IDENTITY")
    ),
    "state not listed": normalizer(lambda item: item["config"]["features"].pop(STATE)),
    "keys as so100.buffer": state(PRE, renamed("observation.", "so100.buffer.observation_")),
    "keys as buffers": all_of(
        state(PRE, renamed("action", "buffer_action")),
        state(POST, renamed("action", "buffer_action")),
    ),
    "a key without a dot": state(PRE, renamed("action.mean", "action_mean")),
    "mean of the state NaN": statistic(PRE, f"{STATE}.mean", 1, NAN, 1, 1, 1, 1),
    "std of the action infinite": statistic(POST, "action.std", 1, 1, 1, 1, 1, float("inf")),
    "std of the state zero": statistic(PRE, f"{STATE}.std", 0, 1, 1, 1, 1, 1),
    "std of the action zero": all_of(
        *(statistic(name, "action.std", *(0,) * DIMS) for name in (PRE, POST))
    ),
    "std of the action negative": all_of(
        *(statistic(name, "action.std", *(-1,) * DIMS) for name in (PRE, POST))
    ),
    "statistics of another robot": all_of(
        *(
            statistic(name, f"action.{kind}", *SOME, 2)
            for name in (PRE, POST)
            for kind in ("mean", "std")
        )
    ),
    "no unnormalizer": without(POST, "unnormalizer_processor"),
    "action left as it is": unnormalizer(
        lambda item: item["config"]["norm_map"].update(ACTION="IDENTITY")
    ),
    "action of another dataset": statistic(POST, "action.mean", 9, 9, 9, 9, 9, 9),
    "a step nobody registered": step(
        PRE, "to_batch_processor", lambda item: item.update(registry_name="reflow_processor")
    ),
    "a step by class": step(
        PRE,
        "to_batch_processor",
        lambda item: item.update(
            {"class": item.pop("registry_name") and "collections.OrderedDict"}
        ),
    ),
    "a step by nothing": step(PRE, "to_batch_processor", lambda item: item.pop("registry_name")),
    "a setting that the step does not have": normalizer(
        lambda item: item["config"].update(flavour="mild")
    ),
    "a mode that the step does not have": normalizer(
        lambda item: item["config"]["norm_map"].update(STATE="ZSCORE")
    ),
    "no tokenizer": without(PRE, "tokenizer_processor"),
    "no newline": without(PRE, "smolvla_new_line_processor"),
    "newline after the tokenizer": document(PRE, late_newline),
    "no renaming": without(PRE, "rename_observations_processor"),
    "no device": without(PRE, "device_processor"),
    "no batch": without(PRE, "to_batch_processor"),
    # --- harmless
    "more statistics": state(
        PRE,
        lambda tensors: (
            tensors | {"timestamp.mean": numbers(1), "so100.buffer.other.max": numbers(NAN)}
        ),
    ),
    "a tensor beside the statistics": state(
        PRE, lambda tensors: tensors | {"model.weight": numbers(NAN)}
    ),
    "a NaN that is not read": statistic(PRE, f"{STATE}.q01", NAN),
    "another eps": normalizer(lambda item: item["config"].update(eps=1e-7)),
}


def make_original(workspace: Path) -> Path:
    """Make a tiny checkpoint with processors, as stock LeRobot saves it."""
    importlib.import_module("tiny_vlm").make(workspace / "vlm", weights=True)
    torch, types = (
        importlib.import_module("torch"),
        importlib.import_module("lerobot.configs.types"),
    )
    configuration = importlib.import_module("lerobot.policies.smolvla.configuration_smolvla")
    modeling = importlib.import_module("lerobot.policies.smolvla.modeling_smolvla")
    factory = importlib.import_module("lerobot.policies.factory")
    feature, kinds = types.PolicyFeature, types.FeatureType
    settings = configuration.SmolVLAConfig(
        vlm_model_name=str(workspace / "vlm"), load_vlm_weights=True, num_vlm_layers=2,
        chunk_size=10, n_action_steps=10, num_steps=2, max_action_dim=8, max_state_dim=8,
        resize_imgs_with_padding=(32, 32), device="cpu", push_to_hub=False,
        input_features={
            CAMERA: feature(kinds.VISUAL, (3, 64, 64)), STATE: feature(kinds.STATE, (DIMS,)),
        },
        output_features={"action": feature(kinds.ACTION, (DIMS,))},
    )  # fmt: skip
    torch.manual_seed(1)
    modeling.SmolVLAPolicy(settings).save_pretrained(workspace / "original")
    stats = {
        name: {"mean": torch.full((DIMS,), 2.0), "std": torch.full((DIMS,), 3.0)}
        for name in ("action", STATE)
    }
    for processor in factory.make_pre_post_processors(settings, dataset_stats=stats):
        processor.save_pretrained(workspace / "original")
    return workspace / "original"


def varied(original: Path, folder: Path, change: Change) -> Path:
    """Return a copy of the original with a change; the weights are the same file."""
    shutil.copytree(
        original,
        folder,
        ignore=lambda _path, names: [name for name in names if name == "model.safetensors"],
    )
    os.link(original / "model.safetensors", folder / "model.safetensors")
    change(folder)
    return folder


def behaviour(folder: Path) -> dict[str, Any]:
    """Return what stock LeRobot does with the checkpoint, as `lerobot-eval` uses it."""
    torch = importlib.import_module("torch")
    modeling = importlib.import_module("lerobot.policies.smolvla.modeling_smolvla")
    configs, factory = (
        importlib.import_module("lerobot.configs.policies"),
        importlib.import_module("lerobot.policies.factory"),
    )
    stage = "config"
    try:
        settings = configs.PreTrainedConfig.from_pretrained(str(folder))
        stage = "policy"
        policy = modeling.SmolVLAPolicy.from_pretrained(str(folder), config=settings)
        stage = "processors"
        before, after = factory.make_pre_post_processors(settings, pretrained_path=str(folder))
        stage = "evaluation"
        own = {
            "device_processor": {"device": "cpu"},
            "rename_observations_processor": {"rename_map": {}},
        }
        factory.make_pre_post_processors(
            settings, pretrained_path=str(folder), preprocessor_overrides=own
        )
        stage = "inference"
        batch = before(
            {
                CAMERA: torch.full((1, 3, 64, 64), 0.5),
                STATE: torch.arange(DIMS).float()[None],
                "task": "reach",
            }
        )
        torch.manual_seed(2)
        action = after(policy.select_action(batch))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"stage": stage, "error": f"{type(error).__name__}: {str(error)[:200]}"}
    tokens = batch["observation.language.tokens"]
    statistics = {
        "state": batch[STATE].flatten().tolist(),
        "tokens": tokens.flatten().tolist(),
        "action": action.flatten().tolist(),
    }
    return {"stage": "", "error": ""} | {
        key: [str(round(number, 4)) for number in values] for key, values in statistics.items()
    }


def registered() -> list[str]:
    """Return the names of steps that LeRobot knows when it loads a SmolVLA."""
    names: list[str] = importlib.import_module("lerobot.processor").ProcessorStepRegistry.list()
    return sorted(names)


def main(workspace: Path) -> None:
    """Make and ask."""
    importlib.import_module("torch").set_num_threads(1)
    original = make_original(workspace)
    names = registered()
    answers = {
        name: behaviour(varied(original, workspace / "variants" / name, change))
        for name, change in VARIANTS.items()
    }
    (workspace / "answers.json").write_text(
        json.dumps({"registered": names, "behaviour": answers}), encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
