"""Numbered blocks that differ: one lacks what all others have, or has it in another shape.

No family's table is needed: the blocks are each other's expectation. What a model may do on purpose
is left alone: first and last blocks, blocks with parts that others lack, and blocks that a list in
config.json sets apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import SEGMENT_LIMIT, is_index, unwrapped, wrappers_among
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, first, is_judged, only_file
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Tensor, TensorFile
    from ckpt_tools.rules.rule import Subject

_FEWEST, _MANY = 4, 6
"""Blocks of which one may be odd, and from which on that is no coincidence."""

_LEAST_TENSORS = 3
"""Tensors of a block; a row of single layers of different sorts has fewer in each."""

_PLAIN = frozenset({Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16, Dtype.I64, Dtype.BOOL})
"""The dtypes of a model that is not quantized."""

_TAKE = Remedy(
    ("ckpt", "plan", "WHERE", "RECIPE"),
    "take it from where the model was trained: {}, with `take` in the recipe",
)


class _Blocks(NamedTuple):
    """The tensors of numbered blocks under `stem`: by number, then by the name within a block.

    Names with further numbers, which belong to blocks within the block, are a list of their own:
    the `nested` one.
    """

    stem: str
    members: Mapping[int, Mapping[str, Tensor]]
    nested: bool = False

    @property
    def interior(self) -> list[int]:
        """The numbers, without the first and the last."""
        return sorted(self.members)[1:-1]

    @property
    def are_twins(self) -> bool:
        """Whether the blocks, but for one of the interior, have the same names and shapes.

        The stages of a convolutional network are no twins, and differ on purpose.
        """
        kinds = {
            number: frozenset((name, one.shape) for name, one in tensors.items())
            for number, tensors in self.members.items()
        }
        usual, times = Counter(kinds.values()).most_common(1)[0]
        odd = [number for number in self.interior if kinds[number] != usual]
        return len(odd) <= 1 and times >= _FEWEST - 1


def _blocks(subject: Subject) -> Iterator[_Blocks]:
    """Yield the lists of blocks that are long enough, with names without wrappers."""
    there = subject.checkpoint
    if is_judged(subject) or Kind.ADAPTER in subject.kinds:
        return  # every tensor is known; an adapter has rules of its own
    yield from _lists(there.weights)


@lru_cache(maxsize=1)  # three rules about one checkpoint after another
def _lists(weights: tuple[TensorFile, ...]) -> tuple[_Blocks, ...]:
    tensors = [tensor for file in weights for tensor in file.tensors]
    wrappers = wrappers_among([tensor.name for tensor in tensors], is_known=False)
    found: defaultdict[tuple[str, bool], defaultdict[int, dict[str, Tensor]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for tensor in tensors:
        parts = unwrapped(tensor.name, wrappers).split(".", SEGMENT_LIMIT)
        places = [place for place, part in enumerate(parts) if place and is_index(part)]
        for at in {places[0], places[-1]} if places else ():
            stem, rest = ".".join(parts[:at]), ".".join(parts[at + 1 :])
            found[stem, at != places[-1]][int(parts[at])][rest] = tensor
    every = (_Blocks(stem, members, nested) for (stem, nested), members in found.items())
    long = (blocks for blocks in every if len(blocks.members) >= _FEWEST)
    return tuple(blocks for blocks in long if not blocks.nested or blocks.are_twins)


def _is_set_apart(subject: Subject, blocks: _Blocks, number: int) -> bool:
    """Whether a list in config.json with a value for each block has another one for this."""
    config = subject.checkpoint.value(CONFIG)
    inner = [value.items() for value in config.values() if isinstance(value, dict)]
    for key, value in chain(config.items(), *inner):
        if key == "pruned_heads" and value:
            return True
        if isinstance(value, list) and number < len(value) and len(value) > max(blocks.members):
            texts = [str(one) for one in value]
            if len(set(texts)) == len(texts) and isinstance(value[number], str):
                continue  # names of all blocks, such as `stage_names`
            if texts.count(texts[number]) < len(texts) / 2:
                return True
    return False


def _is_of_another_sort(subject: Subject, mine: Iterable[str], lacking: Iterable[str]) -> bool:
    """Whether a block of a timm network lacks whole modules: its design may say so, block by block.

    mobilenetv4's blocks with and without a first convolution stand in one row.
    """
    held = {name.partition(".")[0] for name in mine}
    return Kind.TIMM in subject.kinds and not any(
        name.partition(".")[0] in held for name in lacking
    )


@rule("CK313", "block-lacks-tensors", Severity.ERROR, needs=Need.HEADERS)
def block_lacks_tensors(subject: Subject) -> Iterator[Violation | Covered]:
    """A numbered block lacks tensors that all others have.

    Of many blocks that are alike one has fewer tensors: they were lost on the way, by a filter, a
    merge of shards, or safetensors keeping one of two shared tensors. A loader leaves them at
    random values, with only a warning. First and last blocks do not count, nor one that has parts
    of its own, that a list in config.json, such as `layer_types`, sets apart, or of which more than
    half is missing. With fewer than six blocks it is a warning.

    Take the tensors from where the model was trained: `ckpt plan` with `take`.

    Bad (model.layers.0 to model.layers.31 have both, but not model.layers.7):

        model.layers.7.self_attn.k_proj.weight

    Good:

        model.layers.7.self_attn.k_proj.weight
        model.layers.7.self_attn.q_proj.weight
    """
    there = subject.checkpoint
    is_plain = all(tensor.dtype in _PLAIN for tensor in there.tensors)
    aliases = {alias for file in there.weights for alias, _ in file.aliases}
    for place, blocks in enumerate(_blocks(subject)):
        if place == 0:
            yield Covered(Question.COMPLETENESS, "blocks against each other")
        held = Counter(name for tensors in blocks.members.values() for name in tensors)
        common = [name for name, times in held.items() if times >= len(blocks.members) - 1]
        for number in blocks.interior:
            mine = blocks.members[number]
            lacking = [
                name
                for name in common
                if name not in mine
                and f"{blocks.stem}.{number}.{name}" not in aliases
                and (is_plain or name.rpartition(".")[2] in {"weight", "bias"})
            ]
            has_own = any(held[name] == 1 for name in mine)
            few = len(common) >= _LEAST_TENSORS and 2 * len(lacking) <= len(common)
            if not lacking or has_own or not few or _is_of_another_sort(subject, mine, lacking):
                continue
            if not _is_set_apart(subject, blocks, number):
                yield _lacks(subject, blocks, number, lacking)


def _lacks(subject: Subject, blocks: _Blocks, number: int, lacking: list[str]) -> Violation:
    name = f"{blocks.stem}.{number}"
    what = (
        f"{count(len(lacking), 'tensor')} missing in `{name}` that the other "
        f"{count(len(blocks.members) - 1, 'block')} of `{blocks.stem}` have: a loader leaves "
        f"{'them' if len(lacking) > 1 else 'it'} at random values"
    )
    subjects = (f"{name}.{one}" for one in lacking)
    severity = None if len(blocks.members) >= _MANY else Severity.WARNING
    return Violation(what, only_file(subject.checkpoint), first(subjects), _TAKE, severity)


@rule("CK314", "block-shapes", Severity.ERROR, needs=Need.HEADERS)
def block_shapes(subject: Subject) -> Iterator[Violation]:
    """A tensor has another shape in one of the numbered blocks.

    All other blocks have it in one shape. A model built from one number for all blocks rejects the
    odd tensor: it comes from another model, or from half of a split one. First and last blocks do
    not count, nor one that a list in config.json sets apart or of which more than half differs, nor
    quantized tensors. With fewer than six blocks it is a warning.

    Take the tensor from where the model was trained: `ckpt plan` with `take`.

    Bad (31 other blocks have [4096, 4096]):

        model.layers.7.self_attn.q_proj.weight    BF16 [2048, 4096]

    Good:

        model.layers.7.self_attn.q_proj.weight    BF16 [4096, 4096]
    """
    for blocks in _blocks(subject):
        odd: defaultdict[int, list[tuple[Tensor, tuple[int, ...]]]] = defaultdict(list)
        for number, tensor, usual in _odd_shapes(blocks):
            odd[number].append((tensor, usual))
        for number in odd.keys() & set(blocks.interior):
            few = 2 * len(odd[number]) <= len(blocks.members[number]) >= _LEAST_TENSORS
            if few and not _is_set_apart(subject, blocks, number):
                yield _misshapen(blocks, number, odd[number])


def _odd_shapes(blocks: _Blocks) -> Iterator[tuple[int, Tensor, tuple[int, ...]]]:
    """Yield (block, tensor, usual shape) for what has one shape in all blocks but one."""
    named: defaultdict[str, list[tuple[int, Tensor]]] = defaultdict(list)
    for number, tensors in blocks.members.items():
        for name, tensor in tensors.items():
            named[name].append((number, tensor))
    for held in named.values():
        shapes = Counter(tensor.shape for _, tensor in held)
        if len(held) < len(blocks.members) or sorted(shapes.values()) != [1, len(held) - 1]:
            continue
        (usual, _), (other, _) = shapes.most_common()
        number, tensor = next(pair for pair in held if pair[1].shape == other)
        is_plain = tensor.dtype in _PLAIN and len({one.dtype for _, one in held}) == 1
        if is_plain and 0 not in (*usual, *other):
            yield number, tensor, usual


def _misshapen(
    blocks: _Blocks, number: int, odd: list[tuple[Tensor, tuple[int, ...]]]
) -> Violation:
    tensor, usual = odd[0]
    what = (
        f"{count(len(odd), 'tensor')} of `{blocks.stem}.{number}` of another shape than in the "
        f"other {count(len(blocks.members) - 1, 'block')}, the first {list(tensor.shape)} instead "
        f"of {list(usual)}: a loader rejects it"
    )
    severity = None if len(blocks.members) >= _MANY else Severity.WARNING
    return about([tensor for tensor, _ in odd], what, _TAKE, severity)


@rule("CK315", "block-missing", Severity.WARNING, needs=Need.HEADERS)
def block_missing(subject: Subject) -> Iterator[Violation]:
    """A number is missing in a row of equal blocks.

    The blocks on both sides are there, with the same tensors each, and one in between is not. A
    loader that builds all of them leaves that block at random values; one that does not find the
    number may refuse. Where config.json says how many layers there are, that rule reports it.

    Take the block from where the model was trained, or number the blocks again.

    Bad:

        blocks.0.attn.weight, blocks.1.attn.weight, blocks.3.attn.weight, blocks.4.attn.weight

    Good:

        blocks.0.attn.weight, blocks.1.attn.weight, blocks.2.attn.weight, blocks.3.attn.weight
    """
    if Kind.TRANSFORMERS in subject.kinds:
        return
    for blocks in _blocks(subject):
        numbers = sorted(blocks.members)
        if blocks.nested:
            continue  # a dense layer among layers of experts has none of their names
        gap = set(range(numbers[0], numbers[-1])) - set(numbers)
        kinds = {frozenset(tensors) for tensors in blocks.members.values()}
        if len(gap) == 1 and len(kinds) == 1 and len(numbers) >= _MANY:
            missing = f"{blocks.stem}.{gap.pop()}"
            if len(kinds.pop()) >= _LEAST_TENSORS:
                what = f"is missing, between {count(len(numbers), 'block')} with the same tensors"
                yield Violation(what, only_file(subject.checkpoint), missing, _TAKE)
