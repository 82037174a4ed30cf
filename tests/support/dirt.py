"""Ways in which checkpoints get dirty.

Each takes what a normal checkpoint holds to what a dirty one does. Made with fixtures/make.py.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.families.smolvla.components import VLM, component
from ckpt_tools.families.smolvla.facts import REFLOW_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("fixtures_make", ROOT / "fixtures/make.py")
assert _spec is not None
assert _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
sys.modules["fixtures_make"] = make
_spec.loader.exec_module(make)

NORMAL = ROOT / "fixtures/normal"


class Held:
    """What a checkpoint is made from while it gets dirty.

    Tensors by name, metadata, changes to the policy's config, shards.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Any] = make.policy("normal")
        self.metadata: dict[str, str] | None = None
        self.config: dict[str, object] = {}
        self.shards = 1

    def write(self, folder: Path) -> Path:
        """Write it as LeRobot or the Hub's tools would."""
        folder.mkdir(parents=True)
        make.write_configs(folder, self.config)
        make.write_processors(folder)
        names = sorted(self.tensors)
        if self.shards == 1:
            make.write_safetensors(folder / "model.safetensors", self.tensors, self.metadata)
            return folder
        weight_map: dict[str, str] = {}
        for number in range(self.shards):
            file = f"model-{number + 1:05}-of-{self.shards:05}.safetensors"
            members = names[
                number * len(names) // self.shards : (number + 1) * len(names) // self.shards
            ]
            make.write_safetensors(
                folder / file,
                {name: self.tensors[name] for name in members},
                {"format": "pt", **(self.metadata or {})},
            )
            weight_map |= dict.fromkeys(members, file)
        index = {
            "metadata": {"total_size": sum(len(tensor.data) for tensor in self.tensors.values())},
            "weight_map": weight_map,
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
        return folder


def teacher(prefix: str) -> Callable[[Held], None]:
    """A whole teacher beside the student."""

    def dirty(held: Held) -> None:
        held.tensors = held.tensors | make.under(prefix, make.policy("teacher"))

    return dirty


def shared_vlm(prefix: str) -> Callable[[Held], None]:
    """A teacher that shares the student's VLM.

    The file holds it under the teacher's names only, and notes the student's.
    """

    def dirty(held: Held) -> None:
        vlm = {name for name in held.tensors if component(name) in VLM}
        student = {name: tensor for name, tensor in held.tensors.items() if name not in vlm}
        teacher_tensors = make.policy("teacher") | {name: held.tensors[name] for name in vlm}
        held.tensors = student | make.under(prefix, teacher_tensors)
        held.metadata = dict(sorted({name: prefix + name for name in vlm}.items()))

    return dirty


def fork_config(held: Held) -> None:
    """The fork's fields at the end of the config."""
    held.config = {
        **held.config,
        "load_vlm_weights": False,
        "use_reflow": True,
        "teacher_model_path": make.TEACHER_PATH,
    }


def neutral_fork_config(held: Held) -> None:
    """The fork's fields with values that mean nothing, and every field of the plugin."""
    held.config = {**held.config, **dict.fromkeys(REFLOW_FIELDS), "use_reflow": False}


def plugin_type(held: Held) -> None:
    """The type of the training policy."""
    held.config = {**held.config, "type": "smolvla_reflow"}


def wrapped(inside: str) -> Callable[[Held], None]:
    """A wrapper segment before every name, or inside."""

    def dirty(held: Held) -> None:
        held.tensors = {
            inside.replace("*", name, 1) if "*" in inside else f"{inside}{name}": tensor
            for name, tensor in held.tensors.items()
        }

    return dirty


def compiled_expert(held: Held) -> None:
    """torch.compile around the expert alone."""
    held.tensors = {
        name.replace(".lm_expert.", ".lm_expert._orig_mod."): tensor
        for name, tensor in held.tensors.items()
    }


def f32_vlm(held: Held) -> None:
    """The VLM outside its text model in F32, as load_vlm_weights=false builds it."""
    held.tensors = make.f32_vlm(held.tensors)


def f32(held: Held) -> None:
    """Everything in F32, as FSDP saves it."""
    held.tensors = {
        name: make.widened(tensor) if tensor.dtype is make.Dtype.BF16 else tensor
        for name, tensor in held.tensors.items()
    }


def resharded(held: Held) -> None:
    """Three shards and an index, with the metadata that the Hub's tools write."""
    held.shards = 3


WAYS: dict[str, Callable[[Held], None]] = {
    **{f"teacher under {prefix}": teacher(prefix) for prefix in TEACHER_PREFIXES},
    **{f"VLM only under {prefix}": shared_vlm(prefix) for prefix in TEACHER_PREFIXES},
    "a fork's config": fork_config,
    "every reflow field, neutral": neutral_fork_config,
    "the plugin's type": plugin_type,
    "module.": wrapped("module."),
    "_orig_mod.": wrapped("_orig_mod."),
    "a compiled expert": compiled_expert,
    "F32 VLM": f32_vlm,
    "F32 throughout": f32,
    "three shards": resharded,
}
NEEDS_REFERENCE = {"F32 VLM", "F32 throughout", "three shards"}
"""What nobody can know from the checkpoint alone: its dtypes, and the metadata it had."""
