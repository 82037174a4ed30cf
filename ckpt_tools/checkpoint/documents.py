"""The names of a checkpoint's files, and the files that its JSON files name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.errors import PathEscapes
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.checkpoint.model import Document

WEIGHTS = "model.safetensors"
"""The only weight file that LeRobot loads, and the first that transformers looks for."""

WEIGHTS_INDEX = f"{WEIGHTS}.index.json"
"""The shard index of that name's shards."""

WORK = ".ckpt-work"
"""The folder in which a write in place is prepared, inside the folder that is written to.

While it exists, that folder may contain files of two checkpoints.
"""

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"
"""The weight file of a diffusers model, which reads an index of that name before it."""

CONFIG = "config.json"
TRAIN_CONFIG = "train_config.json"
PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
"""LeRobot's processor pipelines; their steps may name a state file."""

ADAPTER_CONFIG = "adapter_config.json"
"""PEFT's: the adapter's rank, its target modules, its base model."""

ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""The only weight file that PEFT loads, besides a pickle."""

MODEL_INDEX = "model_index.json"
"""A diffusers pipeline's components, each a subfolder."""

MODULES = "modules.json"
"""The modules of a sentence-transformers model: a list, so never among DOCUMENTS."""

DOCUMENTS = frozenset(
    {
        CONFIG,
        TRAIN_CONFIG,
        *PROCESSORS,
        ADAPTER_CONFIG,
        MODEL_INDEX,
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
    }
)
"""JSON files whose values are compared. Others, mostly vocabularies, are compared as files."""


def state_names(documents: Iterable[Document]) -> tuple[str, ...]:
    """Return the state files that processor pipelines name, each once.

    Raises PathEscapes for one outside the folder; its `path` is the document.
    """
    names: dict[str, None] = {}
    for document in documents:
        steps = document.value.get("steps") if document.path in PROCESSORS else None
        for step in steps if isinstance(steps, list) else ():
            name = step.get("state_file") if isinstance(step, dict) else None
            if isinstance(name, str) and leaves_folder(name):
                raise PathEscapes(
                    f"names the state file {name!r}, outside the folder", path=document.path
                )
            if isinstance(name, str):
                names[name] = None
    return tuple(names)
