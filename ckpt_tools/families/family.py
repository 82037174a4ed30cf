"""The description of a model family, and GENERIC, the family of everything else."""

from __future__ import annotations

from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family_file import FamilyFile

TEACHER_PREFIXES = tuple(
    f"{module}{name}."
    for name in (
        "teacher",
        "_teacher",
        "teacher_model",
        "_teacher_model",
        "teacher_policy",
        "_teacher_policy",
        "_teacher_policy_cached",
        "ema_teacher",
    )
    for module in ("", "model.", "policy.")
)
"""Name prefixes of a teacher that training code registered as a submodule of the student."""

WEIGHTS = "weights"
"""The only component of GENERIC."""

type ConfigValue = object
"""A JSON value, or ABSENT."""


class Expected(NamedTuple):
    """A tensor that the loader expects.

    `dtype` is the one at run time under this config, `normal` the one in a clean checkpoint;
    `shape` is None where one of its sizes is unknown. `lawful` are the dtypes that writers give it,
    none where a rule of the family judges them.
    """

    dtype: Dtype
    normal: Dtype
    shape: tuple[int, ...] | None
    lawful: frozenset[Dtype] = frozenset()


NOTHING: Mapping[str, Expected] = MappingProxyType({})
"""No tensors."""


class Expectation(NamedTuple):
    """The tensors that the loader expects, by name.

    `because` is the setting that decides the dtypes, in words ("load_vlm_weights true"). Of each
    group in `ties` one name is enough. `optional` are tensors that some writers store.
    """

    tensors: Mapping[str, Expected]
    because: str
    ties: tuple[tuple[str, ...], ...] = ()
    optional: Mapping[str, Expected] = NOTHING

    def missing(self, stored: Iterable[str]) -> list[str]:
        """Return the names that are not among those stored.

        Of a tied group the first, if none of it is: the one that most writers keep.
        """
        held = set(stored)
        held |= {
            name for group in self.ties for name in (group[1:] if held.isdisjoint(group) else group)
        }
        return [name for name in self.tensors if name not in held]


class Unknown(NamedTuple):
    """The reason why the expected tensors are unknown."""

    reason: str


def latest(
    compute: Callable[[Checkpoint], Expectation | Unknown],
) -> Callable[[Checkpoint], Expectation | Unknown]:
    """Compute the expectation of a checkpoint once for all rules, and remember the last two.

    By identity: the hash of a checkpoint is one over all its tensors.
    """
    held: list[tuple[Checkpoint, Expectation | Unknown]] = []

    @wraps(compute)
    def remembered(checkpoint: Checkpoint) -> Expectation | Unknown:
        for known, found in held:
            if known is checkpoint:
                return found
        found = compute(checkpoint)
        held[:] = [(checkpoint, found), *held[:1]]
        return found

    return remembered


def nothing_expected(_checkpoint: Checkpoint) -> Expectation | Unknown:
    """Return that nothing is known, as for GENERIC."""
    return Unknown("its family is unknown")


class Component(NamedTuple):
    """A part of a model: its key in JSON output, its title, and a title within the model."""

    key: str
    title: str
    short: str


class Loader(NamedTuple):
    """What the stock loader is called, and what it does with tensors that do not fit.

    `is_strict`: it rejects a checkpoint with tensors that it does not expect.
    """

    name: str = "the loader"
    missing: str = ""
    unexpected: str = "it drops them"
    misshapen: str = "it rejects the checkpoint"
    is_strict: bool = False


class CriticalKey(NamedTuple):
    """A key of config.json whose value decides whether the checkpoint works.

    `evaluate` returns whether a value is fine, and what the loader does with it ("rejects …").
    `neutral` are values that have the same meaning.
    """

    key: str
    evaluate: Callable[[ConfigValue], tuple[bool, str]]
    neutral: tuple[ConfigValue, ...] = ()


class CleanConfig(NamedTuple):
    """A clean checkpoint of a family, as far as a tool can produce it.

    `values` are required in the config, `reserved` keys must not be in it. `neutral` are reserved
    keys with the values that a fork writes instead. `newer` lists, by older release, the keys that
    it does not support, with the value that may be omitted. `known` are all keys that the loader
    supports. `types` are the values of `type`, clean or not. `shared` are the components that a
    student may share with its teacher. `single_file`: the loader reads one file only.
    """

    values: tuple[tuple[str, object], ...]
    reserved: tuple[str, ...]
    neutral: tuple[tuple[str, object], ...]
    newer: Mapping[str, tuple[tuple[str, object], ...]]
    known: frozenset[str]
    types: frozenset[str]
    shared: frozenset[str]
    single_file: bool


class Family(NamedTuple):
    """One kind of checkpoint.

    `component` returns the component of a tensor name, `trains` whether that component is trained
    under a config (None: it depends), `profile` how the dtypes came about ("": unknown),
    `contradiction` the setting that contradicts the profile ("": none), `remarks` why the loader
    would not find the weights, `expected` the tensors that the loader expects. `copied` describes a
    copy of the model under one of `copy_prefixes`, `missing` what the loader does without a
    component; it never loads those in `needless`. `loader` is what it does otherwise, and `ignores`
    whether it passes over an unexpected tensor without a word. `file` is the family's file, None
    for a family in code. `watched` are the critical keys, `settings` JSON
    pointers into config.json to show, `decisive` the keys that decide which tensors there are or
    how they are loaded. `cleaning` is None where clean checkpoints are unknown.
    """

    name: str
    recognises: Callable[[Checkpoint], bool]
    components: tuple[Component, ...]
    component: Callable[[str], str]
    trains: Callable[[str, Mapping[str, object]], bool | None]
    profile: Callable[[Checkpoint], str]
    remarks: Callable[[Checkpoint], tuple[str, ...]] = lambda _: ()
    contradiction: Callable[[Checkpoint], str] = lambda _: ""
    copy_prefixes: tuple[str, ...] = ()
    copied: str = ""
    watched: tuple[CriticalKey, ...] = ()
    settings: tuple[str, ...] = ()
    missing: str = ""
    needless: frozenset[str] = frozenset()
    cleaning: CleanConfig | None = None
    expected: Callable[[Checkpoint], Expectation | Unknown] = nothing_expected
    decisive: frozenset[str] = frozenset()
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()
    loader: Loader = Loader()
    ignores: Callable[[str], bool] = lambda _: False
    file: FamilyFile | None = None

    def parts(self, names: Iterable[str]) -> str:
        """Return the components of these tensor names, in the family's order, in words."""
        found = {self.component(name) for name in names}
        return ", ".join(component.short for component in self.components if component.key in found)

    def needs(self, name: str) -> bool:
        """Whether the loader expects a tensor of this name, judging by its component."""
        return self.component(name) not in self.needless

    @property
    def neutral(self) -> dict[str, tuple[ConfigValue, ...]]:
        """Values with the same meaning, by key of config.json and of train_config.json's policy."""
        return {
            f"{config}.{critical.key}": critical.neutral
            for critical in self.watched
            if critical.neutral
            for config in ("config", "train_config.policy")
        }


GENERIC = Family(
    name="generic",
    recognises=lambda _: True,
    components=(Component(key=WEIGHTS, title="weights", short="weights"),),
    component=lambda _: WEIGHTS,
    trains=lambda _component, _config: None,
    profile=lambda _: "",
    settings=("/architectures", "/model_type", "/torch_dtype", "/dtype"),
    decisive=frozenset(
        {
            "architectures",
            "model_type",
            "torch_dtype",
            "dtype",
            "quantization_config",
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
        }
    ),
)
