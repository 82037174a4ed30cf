"""The tensors of LoRA adapters: names, pairs, DoRA vectors and ranks.

Measured on peft 0.18.1 and 0.21.2. Other methods of PEFT have tensors of their own and are not
checked here. Which modules have tensors is checked in `adapter_modules`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount
from ckpt_tools.rules.lora import (
    DEFAULT_RANK,
    LORA,
    PREFIX,
    config_of,
    loras,
    peft_type,
    rank_of,
    tensors_of,
)
from ckpt_tools.rules.policy_config import is_integer
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_ADAPTERS = (Kind.ADAPTER,)
_OTHER_NAMES = frozenset({"BOFT", "IA3", "LOHA", "LOKR", "OFT", "VERA"})
"""Methods none of whose tensors is called lora_A.weight."""


@rule("CK904", "adapter-names", Severity.ERROR, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_names(subject: Subject) -> Iterator[Violation]:
    """Adapter tensors under names that PEFT does not read.

    `PeftModel.from_pretrained` looks for `base_model.model.`, the module, and `.lora_A.weight`. It
    only warns about missing keys where the names differ, and leaves the adapter at random values:
    without the prefix, with an adapter's name left in (`.lora_A.default.weight`, which PEFT 0.21
    reads under that name only, and 0.18 under none), or with the names of another program.

    Rename the tensors; this loses nothing.

    Bad:

        base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight

    Good:

        base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
    """
    tensors = tensors_of(subject)
    if not tensors:
        return
    found = loras(tensors)
    readable = [tensor for tensor, lora in found if lora.half and lora.is_readable]
    if peft_type(subject) != LORA:
        yield from _of_another_method(subject, readable)
    elif not readable:
        yield from _foreign(subject, tensors)
    else:
        named: defaultdict[str, list[Tensor]] = defaultdict(list)
        for tensor, lora in found:
            if lora.adapter:
                named[lora.adapter].append(tensor)
        for adapter, members in named.items():
            what = f"{amount(members)} with the adapter's name {adapter!r} in their names"
            yield about(members, what, _without(adapter, members, tensors))
        yield from _outside([tensor for tensor, _ in found], tensors)


def _of_another_method(subject: Subject, readable: list[Tensor]) -> Iterator[Violation]:
    """Yield that the tensors are a LoRA's, but the config names a method with other names."""
    if readable and peft_type(subject) in _OTHER_NAMES:
        what = f"{amount(readable)} of LoRA, but peft_type is {peft_type(subject)!r}"
        yield about(readable, what, "take the adapter_config.json of the run that trained it")


def _foreign(subject: Subject, tensors: tuple[Tensor, ...]) -> Iterator[Violation]:
    """Yield that no tensor is a LoRA's, where the config asks for LoRA on some module."""
    config = config_of(subject)
    if any(config.get(key) for key in ("target_modules", "target_parameters")) or not config:
        what = f"{amount(tensors)}, none called lora_A.weight or lora_B.weight: PEFT reads none"
        remedy = (
            f"find out what wrote them, and rename them to {PREFIX}MODULE.lora_A.weight and "
            "lora_B.weight: `ckpt rename`"
        )
        yield about(tensors, what, remedy)


def _without(adapter: str, members: list[Tensor], tensors: tuple[Tensor, ...]) -> Remedy | str:
    """Return the command that removes an adapter's name, where one command is enough."""
    for leaf in (f".{adapter}.weight", f".{adapter}"):
        alike = [tensor for tensor in tensors if tensor.name.endswith(leaf)]
        if alike == members and adapter.replace("_", "").isalnum():
            left = leaf.removeprefix(f".{adapter}")
            return Remedy(("ckpt", "rename", "WHERE", f"**{leaf}", f"**{left}"), safe=True)
    return f"remove `.{adapter}` from the names: `ckpt rename`"


def _outside(members: list[Tensor], tensors: tuple[Tensor, ...]) -> Iterator[Violation]:
    """Yield names that do not begin with PEFT's prefix; those of a wrapped model are CK302's."""
    outside = [tensor for tensor in members if not unwrapped(tensor.name).startswith(PREFIX)]
    if not outside:
        return
    remedy: Remedy | str = f"begin the names with {PREFIX}: `ckpt rename`"
    if len(outside) == len(tensors) and not any("base_model" in one.name for one in outside):
        command = ("ckpt", "rename", "WHERE", "**", f"{PREFIX}**")
        remedy = Remedy(command, "if the names begin as the base model's own do: {}")
    what = f"{amount(outside)} without `{PREFIX}` before their names: PEFT does not find them"
    yield about(outside, what, remedy)


@rule("CK905", "adapter-pairs", Severity.ERROR, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_pairs(subject: Subject) -> Iterator[Violation | Covered]:
    """One half of a LoRA pair is missing.

    The change of a weight is the product of lora_B and lora_A. PEFT leaves a missing half at its
    initial value, with only a warning: without lora_B, which starts at zero, the module is
    untrained; without lora_A, or a DoRA vector, it is multiplied by random values.

    Save the adapter again, or take the missing half from the run's own checkpoint.

    Bad:

        base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight

    Good:

        base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
        base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight
    """
    tensors = tensors_of(subject)
    if not tensors or peft_type(subject) != LORA:
        return
    yield Covered(Question.COMPLETENESS, "pairs of the adapter")
    halves: defaultdict[tuple[str, str, str], dict[str, Tensor]] = defaultdict(dict)
    for tensor, lora in loras(tensors):
        if lora.half:
            halves[lora.module, lora.stem, lora.adapter][lora.half] = tensor
    aliases = {alias for file in subject.checkpoint.weights for alias, _ in file.aliases}
    for half, other in (("A", "B"), ("B", "A")):
        alone = [
            found[half]
            for (_, stem, _), found in halves.items()
            if half in found
            and other not in found
            and found[half].name.replace(f"{stem}{half}", f"{stem}{other}") not in aliases
        ]
        if alone:
            effect = "leaves these untrained" if half == "A" else "multiplies by random values"
            what = f"{amount(alone)} without lora_{other}: PEFT {effect}"
            yield about(alone, what, "save the adapter again from the run that trained it")


@rule("CK906", "adapter-dora", Severity.ERROR, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_dora(subject: Subject) -> Iterator[Violation]:
    """`use_dora` and the stored vectors of DoRA do not agree.

    DoRA stores a `lora_magnitude_vector` for each module. Where `use_dora` is false, PEFT drops the
    vectors without a warning and computes another model; where it is true and a vector is missing,
    PEFT takes the base weight's, with only a warning.

    Set `use_dora` as the adapter was trained, or take the vectors from the run.

    Bad (the file has a lora_magnitude_vector for each module):

        {"peft_type": "LORA", "r": 8, "use_dora": false}

    Good:

        {"peft_type": "LORA", "r": 8, "use_dora": true}
    """
    tensors = tensors_of(subject)
    if not tensors or peft_type(subject) != LORA or not config_of(subject):
        return
    found = loras(tensors)
    vectors = [tensor for tensor, lora in found if lora.is_vector]
    uses = config_of(subject).get("use_dora") is True
    if vectors and not uses:
        command = ("ckpt", "config", "WHERE", "set", "use_dora", "true", "--file", ADAPTER_CONFIG)
        remedy = Remedy(command, safe=True)
        yield about(
            vectors, f"{amount(vectors)} of DoRA, but use_dora is not true: PEFT drops them", remedy
        )
    if uses:
        held = {lora.module for _, lora in found if lora.is_vector}
        lacking = [tensor for tensor, lora in found if lora.half == "A" and lora.module not in held]
        if lacking:
            what = f"{amount(lacking)} without a lora_magnitude_vector, but use_dora is true"
            yield about(lacking, what, "set use_dora as the adapter was trained, or save it again")


@rule("CK907", "adapter-rank", Severity.ERROR, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_rank(subject: Subject) -> Iterator[Violation | Covered]:
    """The rank in adapter_config.json is not the tensors'.

    PEFT builds the adapter from `r` and `rank_pattern` and rejects tensors of another rank
    (RuntimeError: size mismatch). The config is another run's, or was edited; then its `lora_alpha`
    is likely wrong too, and the adapter would act too strongly or too weakly.

    Take the adapter_config.json of the run that trained it. If only `r` is wrong, set it.

    Bad (lora_A has 8 rows):

        {"peft_type": "LORA", "r": 16, "lora_alpha": 16}

    Good:

        {"peft_type": "LORA", "r": 8, "lora_alpha": 16}
    """
    config, tensors = config_of(subject), tensors_of(subject)
    if not config or not tensors or peft_type(subject) != LORA:
        return
    rank = config.get("r", DEFAULT_RANK)
    if not is_integer(rank) or rank < 1:
        what = f"is {shown(rank)}: PEFT needs a positive integer"
        yield Violation(what, ADAPTER_CONFIG, "/r", "set it to the number of rows of lora_A")
        return
    yield Covered(Question.AGREEMENT, "rank of the adapter")
    wrong: defaultdict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for tensor, lora in loras(tensors):
        actual = lora.rank(tensor.shape)
        wanted = rank_of(lora, config, actual)
        if actual is not None and actual != wanted:
            wrong[wanted, actual].append(tensor)
    for (wanted, actual), members in wrong.items():
        what = f"{amount(members)} of rank {actual}, but adapter_config.json gives them {wanted}"
        yield about(members, what, _rank_remedy(actual, config, members, tensors))


def _rank_remedy(
    actual: int, config: Mapping[str, object], members: list[Tensor], tensors: tuple[Tensor, ...]
) -> Remedy | str:
    """Return the command that sets r, where all tensors have one rank and no pattern is set."""
    halves = [tensor for tensor, lora in loras(tensors) if lora.half]
    if config.get("rank_pattern") or len(members) < len(halves):
        return "take the adapter_config.json of the run that trained the adapter"
    command = ("ckpt", "config", "WHERE", "set", "r", str(actual), "--file", ADAPTER_CONFIG)
    return Remedy(command, "if lora_alpha and the rest are this adapter's: {}")
