"""Which JSON files of a checkpoint are understood, and which files they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.errors import PathEscapes
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.checkpoint.model import Document

DOCUMENTS = frozenset(
    {
        "adapter_config.json",
        "config.json",
        "generation_config.json",
        "policy_postprocessor.json",
        "policy_preprocessor.json",
        "preprocessor_config.json",
        "processor_config.json",
        "train_config.json",
    }
)
"""JSON files whose values are compared.

Others (vocabularies, for the most part) are compared as files.
"""

PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
"""LeRobot's processor pipelines; their steps may name a state file."""


def state_names(documents: Iterable[Document]) -> tuple[str, ...]:
    """Return the state files that processors name, each once.

    Raises PathEscapes for one outside the folder, `path` being the document.
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
