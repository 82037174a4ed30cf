"""The tensors that stock LeRobot expects in a SmolVLA checkpoint, by its config.json.

Names, shapes and dtypes are in `data/lerobot/smolvla.json`; here is what the format cannot say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families import expected as by_file
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown, latest
from ckpt_tools.families.family_file import FamilyFile, load
from ckpt_tools.families.smolvla.components import NORMALIZATION, OTHER, component

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family import Expectation

HUB_VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"

_SHAPES_OF_HUB_VLM = {
    "vlm.model.text_model.embed_tokens.weight": (49_280, 960),
    "vlm.model.text_model.layers.0.mlp.up_proj.weight": (2560, 960),
    "vlm.model.vision_model.embeddings.patch_embedding.weight": (768, 3, 16, 16),
    "vlm.model.vision_model.embeddings.position_embedding.weight": (1024, 768),
    "vlm.model.connector.modality_projection.proj.weight": (960, 12_288),
}
"""By the end of a tensor's name."""


def may_be_hub_vlm(checkpoint: Checkpoint) -> bool:
    """Whether no stored tensor shows that the policy is built on another VLM than HUB_VLM."""
    return not any(
        tensor.shape != shape
        for tensor in checkpoint.tensors
        for end, shape in _SHAPES_OF_HUB_VLM.items()
        if tensor.name.endswith(end)
    )


def smolvla_file() -> FamilyFile:
    """Return SmolVLA's file."""
    return cast("FamilyFile", load("lerobot", "smolvla"))


@latest
def expected(checkpoint: Checkpoint) -> Expectation | Unknown:
    """Return the tensors that stock LeRobot expects in `checkpoint`, or why they are unknown."""
    config = checkpoint.document(CONFIG)
    if config is None:
        return Unknown("there is no config.json")
    if not any(_is_ours(tensor.name) for tensor in checkpoint.tensors):
        return Unknown("it has no tensor of a SmolVLA")
    tensors = {one.name: by_file.Typed(one.dtype, one.shape) for one in checkpoint.tensors}
    found = by_file.expected(smolvla_file(), config.value, tensors)
    if isinstance(found, Unknown):
        return found
    value = config.value.get("load_vlm_weights")
    loads = value is not None and value is not False and value != "false"
    return found._replace(because=f"load_vlm_weights {'true' if loads else 'false'}")


def _is_ours(name: str) -> bool:
    """Whether a tensor is the policy's or its teacher's copy of one."""
    plain = unwrapped(name)
    prefix = next((prefix for prefix in TEACHER_PREFIXES if plain.startswith(prefix)), "")
    return component(plain.removeprefix(prefix)) not in (OTHER, NORMALIZATION)
