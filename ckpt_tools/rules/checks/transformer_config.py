"""config.json of a transformers model against its weights: vocabulary, width, layers, head, dtype.

What the two say of the language model is found in `rules.transformer_layout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import FLOATS, Dtype
from ckpt_tools.checkpoint.names import is_numbered, ranges
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount
from ckpt_tools.rules.remedy import Remedy, set_config
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.rules.transformer_layout import is_matrix, language_model
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.rules.transformer_layout import LanguageModel, Stated

_BOTH = (Need.HEADERS, Need.CONFIG)
_HEAD = "lm_head.weight"
_WITH_HEAD = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_TAKE_CONFIG = "take the config that belongs to the weights"
_OUTPUTS = ("head", "embed_out", "output", "predictions", "proj_out", "unembed")
_PREDICTS = ("eh_proj", "enorm", "hnorm", "shared_head", "mtp")
"""Names in a layer that predicts the token after next, which is stored behind the others."""

_NARROW = {"bfloat16": Dtype.BF16, "float16": Dtype.F16}
_BITS_CUT = {Dtype.BF16: 16}
"""Bits of F32's mantissa that the dtype does not have."""


def _as_sure(subject: Subject) -> Severity | None:
    """Return NOTE for a model that brings its own code, which may read its config otherwise."""
    return Severity.NOTE if "auto_map" in subject.checkpoint.value(CONFIG) else None


def _correct(stated: Stated, value: int) -> Remedy:
    return set_config(stated.pointer, value, "if these are the weights that you mean: {}")


@rule("CK940", "vocabulary-size", Severity.ERROR, needs=_BOTH, kinds=(Kind.TRANSFORMERS,))
def vocabulary_size(subject: Subject) -> Iterator[Violation | Covered]:
    """Token embedding of another size than the vocabulary in config.json.

    transformers builds the embedding, and the head, with `vocab_size` rows and rejects weights of
    another number (size mismatch). It happens where tokens were added to the tokenizer, or the rows
    padded, and only one of config and weights was saved again.

    Correct `vocab_size`, or take the config that belongs to the weights.

    Bad (model.embed_tokens.weight has 48 rows):

        {"model_type": "llama", "vocab_size": 55}

    Good:

        {"model_type": "llama", "vocab_size": 48}
    """
    found = language_model(subject)
    stated = found.vocabulary if found else None
    if not found or not stated:
        return
    rows = {tensor.shape[0] for tensor in found.embeddings}
    head = found.tensors.get(_HEAD)
    if len(rows) == 1:
        yield Covered(Question.AGREEMENT, "vocabulary")
    severity = _as_sure(subject)
    if len(rows) == 1 and rows.isdisjoint(found.vocabularies):
        wrong = list(found.embeddings)
        wrong += [head] if head and is_matrix(head) and head.shape[0] in rows else []
        what = (
            f"is {stated.value:,}, but {_names(wrong)} {'have' if len(wrong) > 1 else 'has'} "
            f"{min(rows):,} rows: transformers rejects the weights"
        )
        yield Violation(what, CONFIG, stated.pointer, _correct(stated, min(rows)), severity)
    elif rows == {stated.value} and head and is_matrix(head) and rows != {head.shape[0]}:
        what = (
            f"has {head.shape[0]:,} rows, but the vocabulary in config.json and the embedding "
            f"{stated.value:,}: transformers rejects the weights"
        )
        yield about([head], what, "take the head that belongs to the embedding", severity)


def _names(tensors: list[Tensor]) -> str:
    return " and ".join(tensor.name for tensor in tensors[:2])


@rule("CK941", "hidden-size", Severity.ERROR, needs=_BOTH, kinds=(Kind.TRANSFORMERS,))
def hidden_size(subject: Subject) -> Iterator[Violation | Covered]:
    """Token embedding of another width than the hidden size in config.json.

    transformers builds every layer from `hidden_size` and rejects weights of another width. The
    config belongs to another size of the same model.

    Take the config that belongs to the weights: a wrong width is seldom the only wrong number.

    Bad (model.embed_tokens.weight has 16 columns):

        {"model_type": "llama", "hidden_size": 32}

    Good:

        {"model_type": "llama", "hidden_size": 16}
    """
    found = language_model(subject)
    stated = found.width if found else None
    columns = {tensor.shape[1] for tensor in found.embeddings} if found else set()
    if not found or not stated or len(columns) != 1:
        return
    yield Covered(Question.AGREEMENT, "width")
    if columns != {stated.value}:
        what = (
            f"is {stated.value:,}, but {_names(found.embeddings)} has {columns.pop():,} columns: "
            "transformers rejects the weights"
        )
        yield Violation(what, CONFIG, stated.pointer, _TAKE_CONFIG, _as_sure(subject))


@rule("CK942", "number-of-layers", Severity.ERROR, needs=_BOTH, kinds=(Kind.TRANSFORMERS,))
def number_of_layers(subject: Subject) -> Iterator[Violation | Covered]:
    """Other layers are stored than config.json has.

    transformers builds as many layers as the config says. It leaves those without weights at random
    values and drops those that it did not build, with only a warning either way: the model loads
    and writes nonsense. A shard is missing, or the config belongs to another model. A layer that
    predicts the token after next is stored behind the others and does not count.

    Take the missing layers from where the model was trained, or the config that belongs to the
    weights.

    Bad (model.layers.0 and model.layers.1 are stored):

        {"model_type": "llama", "num_hidden_layers": 3}

    Good:

        {"model_type": "llama", "num_hidden_layers": 2}
    """
    found = language_model(subject)
    stated = found.layers if found else None
    stored = found.stored_layers() if found else None
    if not found or not stated or not stored or "block_configs" in found.config:
        return
    of_one = " of the language model" if found.base else ""  # a vision model has others
    yield Covered(Question.COMPLETENESS, f"layers{of_one}")
    yield Covered(Question.AGREEMENT, f"number of layers{of_one}")
    stem, names = stored
    missing = set(range(stated.value)) - names.keys() if stated.value <= 100_000 else set()  # noqa: PLR2004 - no model has more
    ahead = _ahead(found, names, stated.value)
    beyond = {at for at in names if at >= stated.value and at not in ahead}
    held = f"{stated.pointer[1:].rpartition('/')[2]} is {stated.value:,}, but "
    if missing:
        what = (
            f"{held}{stem}.{ranges(missing)} {_is(missing)} not stored: transformers leaves "
            f"{'it' if len(missing) == 1 else 'them'} at random values"
        )
        next_step = "take the layers from where the model was trained, or correct config.json"
        yield Violation(what, CONFIG, stated.pointer, next_step, _as_sure(subject))
    if beyond:
        what = (
            f"{held}{stem}.{ranges(beyond)} {_is(beyond)} stored too: transformers drops "
            f"{'it' if len(beyond) == 1 else 'them'}"
        )
        yield Violation(what, CONFIG, stated.pointer, _TAKE_CONFIG, _as_sure(subject))


def _is(numbers: set[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _ahead(found: LanguageModel, names: Mapping[int, list[str]], layers: int) -> set[int]:
    """Return the layers behind the last that predict further tokens (multi-token prediction)."""
    counts = (found.config.get(key) for key in found.config if "nextn" in key or "mtp" in key)
    more = sum(one for one in counts if type(one) is int and 0 < one < 100)  # noqa: PLR2004 - never more than a few
    marked = {
        at
        for at, inside in names.items()
        if any(part in name for name in inside for part in _PREDICTS)
    }
    return marked | set(range(layers, layers + more))


@rule("CK943", "head-missing", Severity.ERROR, needs=_BOTH, kinds=(Kind.TRANSFORMERS,))
def head_missing(subject: Subject) -> Iterator[Violation | Covered]:
    """Head or embedding is not stored, and config.json does not tie the two.

    With `tie_word_embeddings` false the head is a matrix of its own. transformers builds it, does
    not find it, and leaves it at random values with only a warning: the model writes nonsense. The
    weights were saved by a model that ties the two, or the head was lost. Where they are tied one
    of the two is enough, under either name.

    If the model was trained with tied embeddings, set `tie_word_embeddings` to true; otherwise take
    the head from where the model was trained.

    Bad (model.embed_tokens.weight is stored, lm_head.weight is not):

        {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": false}

    Good:

        {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": true}
    """
    document = subject.checkpoint.document(CONFIG)
    found = language_model(subject)
    if not document or not found or not _is_untied(document.value, found):
        return
    every = [(tensor.name, tensor) for tensor in subject.checkpoint.tensors if is_matrix(tensor)]
    aliases = {alias for file in subject.checkpoint.weights for alias, _ in file.aliases}
    for embedding in found.embeddings[:1]:
        yield Covered(Question.COMPLETENESS, "head")
        alike = [name for name, tensor in every if tensor.shape == embedding.shape]
        others = [one.name for one in subject.checkpoint.tensors if not is_numbered(one.name)]
        has_head = any(part in name for name in (*others, *aliases) for part in _OUTPUTS)
        if alike == [embedding.name] and not has_head and len(found.embeddings) == 1:
            what = (
                f"tie_word_embeddings is false and {_HEAD} is not stored: transformers leaves it "
                "at random values"
            )
            next_step = (
                "set tie_word_embeddings to true if the model was trained so, or take the head "
                "from where it was trained"
            )
            yield Violation(what, CONFIG, "/tie_word_embeddings", next_step, _as_sure(subject))


def _is_untied(config: Mapping[str, object], found: LanguageModel) -> bool:
    """Whether the config says in so many words that a model with a head does not tie it."""
    named = config.get("architectures")
    architectures = named if isinstance(named, list) else []
    return (
        config.get("tie_word_embeddings") is False
        and found.config.get("tie_word_embeddings") is not True
        and bool(architectures)
        and all(isinstance(one, str) and one.endswith(_WITH_HEAD) for one in architectures)
    )


@rule("CK944", "wider-than-config", Severity.NOTE, needs=_BOTH, kinds=(Kind.TRANSFORMERS,))
def wider_than_config(subject: Subject) -> Iterator[Violation]:
    """Weights in F32 of a model whose config.json says half of that.

    Every tensor is F32, and the config says bfloat16 or float16: the file is twice as large as it
    need be, and loaders that follow the config round it on every load. Training in mixed precision
    keeps F32 weights, and saving them as they are writes such a file.

    `ckpt cast` stores them as the config says; it refuses where that would lose bits.

    Bad (config.json has "torch_dtype": "bfloat16"):

        model.norm.weight    F32 [16]

    Good:

        model.norm.weight    BF16 [16]
    """
    config = subject.checkpoint.value(CONFIG)
    key = "dtype" if "dtype" in config else "torch_dtype"
    stated = config.get(key)
    narrow = _NARROW.get(stated.removeprefix("torch.")) if isinstance(stated, str) else None
    floats = [tensor for tensor in subject.checkpoint.tensors if tensor.dtype in FLOATS]
    if narrow is None or not floats or any(tensor.dtype is not Dtype.F32 for tensor in floats):
        return
    what = f"{amount(floats)} in F32, but {key} is {stated} in config.json: twice as large"
    yield about(floats, what, _cast(subject, floats, narrow))


def _cast(subject: Subject, floats: list[Tensor], narrow: Dtype) -> Remedy:
    """Return what casting does, as far as the values that were read show it."""
    command = ("ckpt", "cast", "WHERE", narrow.label)
    facts, cut = subject.facts, _BITS_CUT.get(narrow)
    if facts is None or cut is None or any(tensor.name not in facts for tensor in floats):
        return Remedy(command, "{}, which refuses where a value would be rounded", safe=True)
    rounded = [tensor for tensor in floats if 0 <= facts[tensor.name].zero_low_bits < cut]
    if not rounded:
        return Remedy(command, "{}, which loses nothing", safe=True)
    what = (
        f"{count(len(rounded), 'tensor')} would be rounded: decide whether to keep F32, and then "
        "correct config.json, or to cast with --allow-lossy"
    )
    return Remedy(text=what)
