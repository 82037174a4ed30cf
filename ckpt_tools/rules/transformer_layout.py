"""Where a transformers config and the tensors of its language model speak of the same thing.

Only what is unambiguous: one token embedding, one row of layers under a name that language models
use. Encoder-decoders, adapters and policies have neither, and are left alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import unwrapped, wrappers_among
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.grouping import is_judged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings|token_embedding)\.weight"
)
_latest: dict[str, tuple[Subject, LanguageModel | None]] = {}
_LAYER = re.compile(
    r"((?:(?:\w+\.)*?(?:model|transformer|gpt_neox|backbone|language_model|text_model)\.)?"
    r"(?:layers|h|blocks)|(?:\w+\.)?encoder\.layer|(?:\w+\.)*?model\.decoder\.layers)"
    r"\.(\d{1,9})\."
)
_TEXT = frozenset({"language_model", "text_model"})
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_blocks")
_OTHER_ROWS = frozenset({"cpmant", "csm", "kyutai_speech_to_text", "mllama", "moshi", "ovis2"})
"""Models whose embeddings have more rows than the vocabulary has tokens."""

_FLOATS = frozenset({Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16})


class Stated(NamedTuple):
    """A number in config.json, and the JSON pointer to it."""

    pointer: str
    value: int


class LanguageModel(NamedTuple):
    """The config of a language model, `base` its pointer, and its tensors by plain name."""

    config: Mapping[str, object]
    base: str
    tensors: Mapping[str, Tensor]

    def stated(self, *keys: str) -> Stated | None:
        """Return the number under one of the keys, None where none has one or two disagree."""
        found = [(key, self.config[key]) for key in keys if key in self.config]
        numbers = {value for _, value in found if type(value) is int and value > 0}
        if len(numbers) != 1 or any(type(value) is not int for _, value in found):
            return None
        return Stated(f"{self.base}/{found[0][0]}", numbers.pop())

    @property
    def vocabulary(self) -> Stated | None:
        """How many tokens the config says there are, None where rows may have another number."""
        kind = str(self.config.get("model_type")).removesuffix("_text_model")
        return None if kind in _OTHER_ROWS else self.stated("vocab_size")

    @property
    def vocabularies(self) -> set[int]:
        """Every number of the config that has to do with a vocabulary, such as a padded size."""
        numbers = (value for key, value in self.config.items() if "vocab" in key)
        return {number for number in numbers if type(number) is int}

    @property
    def width(self) -> Stated | None:
        """The hidden size, None where the embedding may have another."""
        own = (key for key in self.config if "emb" in key and key.endswith(("_size", "_dim")))
        return None if any(own) else self.stated(*_HIDDEN)

    @property
    def layers(self) -> Stated | None:
        """How many layers the config says there are."""
        return self.stated(*_LAYERS)

    @property
    def embeddings(self) -> list[Tensor]:
        """The token embeddings; several only where a model has copies or parts of other models."""
        return [
            tensor
            for name, tensor in self.tensors.items()
            if name.endswith(".weight") and _EMBEDDING.search(name) and is_matrix(tensor)
        ]

    def stored_layers(self) -> tuple[str, dict[int, list[str]]] | None:
        """Return what the layers are numbered under, and their names by number; None if unclear."""
        found: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for name in self.tensors:
            if match := _LAYER.match(name):
                found[match[1]][int(match[2])].append(name[match.end() :])
        return next(iter(found.items())) if len(found) == 1 else None


def is_matrix(tensor: Tensor) -> bool:
    """Whether a tensor is a matrix of floats, so neither quantized nor left empty."""
    return tensor.dtype in _FLOATS and len(tensor.shape) == 2 and tensor.parameters > 0  # noqa: PLR2004 - rows and columns


def language_model(subject: Subject) -> LanguageModel | None:
    """Return the language model of a transformers checkpoint, None where that is unclear.

    None too where the family's expectation judges every tensor. The latest is kept: several rules
    ask for it in turn.
    """
    latest = _latest.get("")
    if latest is None or latest[0] is not subject:
        latest = _latest[""] = (subject, _language_model(subject))
    return latest[1]


def _language_model(subject: Subject) -> LanguageModel | None:
    document = subject.checkpoint.document(CONFIG)
    kinds = subject.kinds
    if (
        document is None
        or is_judged(subject)
        or kinds & {Kind.POLICY, Kind.ADAPTER}
        or Kind.TRANSFORMERS not in kinds
    ):
        return None
    config, tensors = document.value, _plain(subject)
    if (
        config.get("is_encoder_decoder")
        or "vlm_config" in config
        or any("lora_" in name for name in tensors)
    ):
        return None
    parts = [key for key, one in config.items() if key.endswith("_config") and _has_width(one)]
    text = config.get("text_config")
    if isinstance(text, dict) and not text.get("is_encoder_decoder"):
        inside = {name: one for name, one in tensors.items() if _TEXT & set(name.split("."))}
        return LanguageModel(text, "/text_config", inside)
    is_one = not parts or ("vocab_size" in config and not any("decoder" in key for key in parts))
    return LanguageModel(config, "", tensors) if is_one else None


def _has_width(config: object) -> bool:
    return isinstance(config, dict) and any(key in config for key in _HIDDEN)


def _plain(subject: Subject) -> dict[str, Tensor]:
    tensors: Iterable[Tensor] = subject.checkpoint.tensors
    wrappers = wrappers_among([tensor.name for tensor in tensors], is_known=False)
    return {unwrapped(tensor.name, wrappers): tensor for tensor in tensors}
