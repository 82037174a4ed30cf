"""Save tiny policies with stock LeRobot, and the models that their configs name on the Hub.

    python make_policies.py WORKSHOP

leaves in WORKSHOP: `bases/clip` and `bases/vlm`; a folder for each of `POLICIES`, whose configs
name the bases `example/tiny-clip` and `example/tiny-vlm`; `act-lora`, whose base is
`example/tiny-act`; and in `plugins/` a distribution with two policies of type `hiding` and
`forgetful`, whose loaders are wrong as pi0's is: one catches every error, one returns random
weights.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / name) for name in ("real", "lerobot", "support")]
tiny = importlib.import_module("tiny_policies")

CLIP, VLM, ACT = "example/tiny-clip", "example/tiny-vlm", "example/tiny-act"
ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}

POLICIES: dict[str, dict[str, Any]] = {
    **tiny.SETTINGS,
    "gaussian_actor": {"latent_dim": 8, "image_encoder_hidden_dim": 8},
    "multi_task_dit": {
        "horizon": 8, "n_action_steps": 4, "hidden_dim": 16, "num_layers": 1, "num_heads": 2,
        "timestep_embed_dim": 8, "num_train_timesteps": 2, "image_crop_shape": None,
        "tokenizer_max_length": 16,
        "vision_encoder_name": CLIP, "text_encoder_name": CLIP,
    },
    "smolvla": {
        "vlm_model_name": VLM, "load_vlm_weights": False, "num_vlm_layers": 2, "chunk_size": 4,
        "n_action_steps": 4, "max_action_dim": 8, "max_state_dim": 8,
        "resize_imgs_with_padding": (64, 64), "num_steps": 2,
    },
    "xvla": {
        "florence_config": {
            "vision_config": {
                "embed_dim": [8, 16], "depths": [1, 1], "num_heads": [2, 2], "num_groups": [2, 2],
                "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
                "patch_prenorm": [False, True], "projection_dim": 16,
            },
            "text_config": {
                "vocab_size": 96, "d_model": 16, "encoder_layers": 1, "encoder_ffn_dim": 16,
                "encoder_attention_heads": 2, "decoder_layers": 1, "decoder_attention_heads": 2,
            },
        },
        "tokenizer_name": CLIP, "tokenizer_max_length": 16, "hidden_size": 16, "depth": 1,
        "num_heads": 2, "len_soft_prompts": 2, "num_domains": 2, "dim_time": 8, "chunk_size": 4,
        "n_action_steps": 4, "num_denoising_steps": 2, "action_mode": "auto", "max_action_dim": 8,
        "max_state_dim": 8,
    },
}  # fmt: skip

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.act.configuration_act import ACTConfig
@PreTrainedConfig.register_subclass("hiding")
@dataclass
class HidingConfig(ACTConfig):
    pass
@PreTrainedConfig.register_subclass("forgetful")
@dataclass
class ForgetfulConfig(ACTConfig):
    pass
"""
MODELING = """
from pathlib import Path
from safetensors.torch import load_file
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot_policy_wrong.configuration_wrong import ForgetfulConfig, HidingConfig
class HidingPolicy(ACTPolicy):
    config_class, name = HidingConfig, "hiding"
    @classmethod
    def from_pretrained(cls, folder, *, config=None, strict=True, **options):
        model = cls(config)
        try:
            model.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=strict)
        except Exception as error:
            print("could not load", error)
        return model
class ForgetfulPolicy(ACTPolicy):
    config_class, name = ForgetfulConfig, "forgetful"
    @classmethod
    def from_pretrained(cls, folder, *, config=None, strict=True, **options):
        return cls(config)
"""


def make_plugin(folder: Path) -> None:
    """Write the distribution of the two wrong policies, as `pip install` would."""
    package = folder / "lerobot_policy_wrong"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import configuration_wrong\n", encoding="utf-8")
    (package / "configuration_wrong.py").write_text(PLUGIN, encoding="utf-8")
    (package / "modeling_wrong.py").write_text(MODELING, encoding="utf-8")
    metadata = folder / "lerobot_policy_wrong-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: lerobot_policy_wrong\nVersion: 1.0\n", encoding="utf-8"
    )


def make_bases(folder: Path) -> None:
    """Save the configs and tokenizers of a CLIP and a VLM; their weights are not needed."""
    transformers = importlib.import_module("transformers")
    words = [*map(str, range(90)), "<|startoftext|>", "<|endoftext|>"]
    vision = ENCODER | {"image_size": tiny.PIXELS, "patch_size": 16}
    text = ENCODER | {"vocab_size": 96}
    transformers.CLIPConfig(text_config=text, vision_config=vision).save_pretrained(folder / "clip")
    transformers.CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)}, merges=[]
    ).save_pretrained(folder / "clip")
    importlib.import_module("tiny_vlm").make(folder / "vlm", weights=False)


def policy(kind: str, bases: Path) -> Any:
    """Return a policy with random weights, its bases built without theirs."""
    torch = importlib.import_module("torch")
    factory = importlib.import_module("lerobot.policies.factory")
    probe = importlib.import_module("ckpt_tools.probes.lerobot_policies")
    local = {CLIP: str(bases / "clip"), VLM: str(bases / "vlm")}
    settings = {key: local.get(value, value) if isinstance(value, str) else value
                for key, value in POLICIES[kind].items()}  # fmt: skip
    config = tiny.config(kind, **settings)
    torch.manual_seed(0)
    with probe.models_without_weights(tokenizers=True):
        return factory.get_policy_class(kind)(config)


def save(kind: str, folder: Path, bases: Path) -> None:
    """Save a policy with its processors; its files name the bases as on the Hub."""
    made = policy(kind, bases)
    made.save_pretrained(folder)
    tiny.save_processors(made.config, folder)
    for path in folder.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        for name, place in ((CLIP, "clip"), (VLM, "vlm")):
            text = text.replace(str(bases / place), name)
        path.write_text(text, encoding="utf-8")


def save_lora(folder: Path, base: Path) -> None:
    """Save a LoRA over the tiny ACT, as `lerobot-train --peft` does."""
    peft = importlib.import_module("peft")
    modeling = importlib.import_module("lerobot.policies.act.modeling_act")
    act = modeling.ACTPolicy.from_pretrained(base)
    act.config.pretrained_path = ACT  # as if it had been loaded from the Hub
    act.wrap_with_peft(
        peft.LoraConfig(r=2, target_modules=r"model\.(en|de)coder\.layers\.\d+\.linear[12]")
    ).save_pretrained(folder)
    act.config.save_pretrained(folder)
    for path in base.glob("policy_*"):
        shutil.copy(path, folder)


def make(workshop: Path) -> None:
    """Make everything."""
    bases = workshop / "bases"
    make_plugin(workshop / "plugins")
    importlib.invalidate_caches()  # the folder is new
    make_bases(bases)
    for kind in POLICIES:
        save(kind, workshop / kind, bases)
    save_lora(workshop / "act-lora", workshop / "act")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
