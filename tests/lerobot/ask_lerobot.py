"""Ask stock LeRobot what the tests need to know, in one process, since importing it is slow.

    python ask_lerobot.py WORKSPACE

leaves in WORKSPACE: `vlm/` (tiny_vlm.py), `dataset/` (two episodes, without videos) and
`answers.json`:

    dataset     where the dataset is
    policies    by label: what SmolVLAPolicy builds, [shape, dtype, whether it trains] by tensor
    configs     [fields, error] of config.json files with these fields: "" where LeRobot reads it
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

POLICIES: dict[str, dict[str, Any]] = {
    "loaded": {"load_vlm_weights": True, "num_vlm_layers": 4},
    "not loaded": {"load_vlm_weights": False, "num_vlm_layers": 4},
    "half the expert": {"load_vlm_weights": True, "num_vlm_layers": 4, "num_expert_layers": 2},
    "narrow": {
        "load_vlm_weights": False,
        "num_vlm_layers": 2,
        "expert_width_multiplier": 0.5,
        "max_state_dim": 8,
        "max_action_dim": 12,
    },
}
VALUES: dict[str, tuple[Any, ...]] = {
    "load_vlm_weights": (True, False, None, "true", "false", "yes", 1, 0, [], {}),
    "use_reflow": (True, False, None),
    "teacher_model_path": (None, "/teacher"),
}
CONFIGS: list[dict[str, Any]] = [
    {},
    *({key: value} for key, values in VALUES.items() for value in values),
]
DTYPES = {"torch.float32": "F32", "torch.bfloat16": "BF16"}


def make_dataset(folder: Path) -> None:
    """Make two episodes of six frames."""
    numpy = importlib.import_module("numpy")
    joints = {
        "dtype": "float32",
        "shape": (6,),
        "names": [f"joint_{number}" for number in range(6)],
    }
    image = {"dtype": "image", "shape": (32, 32, 3), "names": ["height", "width", "channels"]}
    features = {"observation.images.top": image, "observation.state": joints, "action": joints}
    datasets = importlib.import_module("lerobot.datasets.lerobot_dataset")
    dataset = datasets.LeRobotDataset.create(
        "local/tiny", fps=10, features=features, root=folder, use_videos=False
    )
    random = numpy.random.default_rng(0)
    for _ in range(2):
        for _ in range(6):
            vectors = {
                name: random.normal(size=6).astype(numpy.float32)
                for name in ("observation.state", "action")
            }
            dataset.add_frame(
                {
                    "observation.images.top": random.integers(
                        0, 255, (32, 32, 3), dtype=numpy.uint8
                    ),
                    **vectors,
                    "task": "reach",
                }
            )
        dataset.save_episode()
    dataset.finalize()


def build(vlm: Path, options: dict[str, Any]) -> dict[str, tuple[list[int], str, bool]]:
    """Return what stock LeRobot builds."""
    types = importlib.import_module("lerobot.configs.types")
    configuration = importlib.import_module("lerobot.policies.smolvla.configuration_smolvla")
    modeling = importlib.import_module("lerobot.policies.smolvla.modeling_smolvla")
    state, visual = (
        types.PolicyFeature(types.FeatureType.STATE, (6,)),
        types.PolicyFeature(types.FeatureType.VISUAL, (3, 32, 32)),
    )
    features = {
        "input_features": {"observation.state": state, "observation.images.top": visual},
        "output_features": {"action": types.PolicyFeature(types.FeatureType.ACTION, (6,))},
    }
    policy = modeling.SmolVLAPolicy(
        configuration.SmolVLAConfig(
            vlm_model_name=str(vlm),
            resize_imgs_with_padding=(32, 32),
            device="cpu",
            **options,
            **features,
        )
    )
    trains = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
    return {
        name: (list(tensor.shape), DTYPES[str(tensor.dtype)], name in trains)
        for name, tensor in policy.state_dict().items()
    }


def read_config(folder: Path, fields: dict[str, Any]) -> str:
    """Return how LeRobot reads a config.json with `fields`: "", or the error."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(
        json.dumps({"type": "smolvla", "device": "cpu"} | fields), encoding="utf-8"
    )
    importlib.import_module("lerobot.policies.smolvla.configuration_smolvla")
    try:
        importlib.import_module("lerobot.configs.policies").PreTrainedConfig.from_pretrained(
            str(folder)
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"
    return ""


def main(workspace: Path) -> None:
    """Make and ask."""
    importlib.import_module("tiny_vlm").make(workspace / "vlm", weights=True)
    make_dataset(workspace / "dataset")
    answers = {
        "dataset": str(workspace / "dataset"),
        "policies": {
            label: build(workspace / "vlm", options) for label, options in POLICIES.items()
        },
        "configs": [(fields, read_config(workspace / "config", fields)) for fields in CONFIGS],
    }
    (workspace / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
