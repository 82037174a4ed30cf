"""Names and shapes of a LoRA adapter's tensors, and its config, as PEFT reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from ckpt_tools.rules.policy_config import is_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

LORA = "LORA"
DEFAULT_RANK = 8
"""PEFT's, where the config has none."""

PREFIX = "base_model.model."
"""What PEFT puts before the name of a module."""

_NAME = re.compile(
    r"(?:(?P<module>.*)\.)?(?P<stem>lora_(?:embedding_)?)(?P<half>[AB])"
    r"(?:\.(?P<adapter>(?!weight$|bias$)[^.]+))?(?:\.(?P<leaf>weight|bias))?",
    re.DOTALL,
)
_VECTOR = re.compile(
    r"(?:(?P<module>.*)\.)?lora_magnitude_vector"
    r"(?:\.(?P<adapter>(?!weight$)[^.]+))?(?:\.weight)?",
    re.DOTALL,
)
_SIMPLE = re.compile(r"\^?(?:[\w-]|\\?\.)+", re.ASCII)
"""Keys of rank_pattern without repetition or choice: an author's other expressions never run."""


class Lora(NamedTuple):
    """A tensor of a LoRA by its name.

    `module` is the module's name in the file, `adapter` an adapter's name left in. `half` is A or B
    for the two matrices and "" for a bias or a DoRA vector, which `is_vector` says. `is_readable`:
    a matrix of a linear layer ends in `.weight`, one of an embedding does not.
    """

    module: str
    stem: str = ""
    half: str = ""
    adapter: str = ""
    is_vector: bool = False
    is_readable: bool = True

    def rank(self, shape: tuple[int, ...]) -> int | None:
        """Return the rank that a shape shows; None for a tensor that shows none."""
        if not self.half or len(shape) < 2 or 0 in shape:  # noqa: PLR2004 - a matrix has two sizes
            return None
        return shape[0] if self.half == "A" else shape[1]


def config_of(subject: Subject) -> Mapping[str, object]:
    """Return adapter_config.json, an empty object where there is none."""
    return subject.checkpoint.value(ADAPTER_CONFIG)


def peft_type(subject: Subject) -> str:
    """Return the adapter's method; without a config LoRA, by far the most frequent."""
    found = config_of(subject).get("peft_type", LORA)
    return found if isinstance(found, str) else ""


def tensors_of(subject: Subject) -> tuple[Tensor, ...] | None:
    """Return the adapter's tensors; None where the weights read are not an adapter's."""
    files = subject.checkpoint.weights
    return files[0].tensors if [file.path for file in files] == [ADAPTER_WEIGHTS] else None


def is_adapter(subject: Subject) -> bool:
    """Whether the weights read are an adapter's; its config.json may be the base model's."""
    return tensors_of(subject) is not None


def is_lora(name: str) -> bool:
    """Whether a segment of a tensor's name begins with lora_."""
    return name.startswith("lora_") or ".lora_" in name


def loras(tensors: Iterable[Tensor]) -> list[tuple[Tensor, Lora]]:
    """Return the tensors of LoRA with what their names say."""
    found = []
    for tensor in tensors:
        lora = _parsed(tensor.name) if is_lora(tensor.name) else None
        if lora:
            found.append((tensor, lora))
    return found


def _parsed(name: str) -> Lora | None:
    match = _NAME.fullmatch(name)
    if match:
        half = "" if match["leaf"] == "bias" else match["half"]
        stem, adapter = match["stem"], match["adapter"] or ""
        is_readable = match["leaf"] is not None or stem != "lora_"
        return Lora(match["module"] or "", stem, half, adapter, is_readable=is_readable)
    match = _VECTOR.fullmatch(name)
    if match:
        return Lora(match["module"] or "", adapter=match["adapter"] or "", is_vector=True)
    return None


def rank_of(lora: Lora, config: Mapping[str, object], actual: int | None) -> int:
    """Return the rank that the config gives a module; `actual` where the config may mean it.

    The first key of rank_pattern that matches the end of the module's name counts, as in PEFT. An
    expression is not evaluated: its rank is accepted for every module.
    """
    rank = config.get("r", DEFAULT_RANK)
    default = rank if is_integer(rank) else DEFAULT_RANK
    pattern = config.get("rank_pattern")
    module = lora.module.removeprefix(PREFIX)
    for key, value in (pattern if isinstance(pattern, dict) else {}).items():
        if not is_integer(value):
            continue
        if _SIMPLE.fullmatch(key):
            if re.match(rf"(.*\.)?({key})$", module):
                return value
        elif value == actual:
            return value
    if actual and config.get("target_parameters") and actual % default == 0:
        return actual  # one adapter for each of several experts
    return default
