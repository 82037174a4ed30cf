"""What the tool asks of a model family, and the family of everything else: GENERIC."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint

TEACHER_PREFIXES = tuple(
    f"{place}{name}."
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
    for place in ("", "model.", "policy.")
)
"""Where training code that registers its teacher as a submodule leaves it in the checkpoint."""

WEIGHTS = "weights"
"""The component of a tensor in a family that knows none."""

type ConfigValue = object
"""A JSON value, or ABSENT."""


class Expected(NamedTuple):
    """A tensor that the loader looks for.

    The dtype that it gives it under this config, the dtype in a normal checkpoint, and the shape.

    `shape` is None where nothing in the checkpoint tells one of its sizes.
    """

    dtype: Dtype
    normal: Dtype
    shape: tuple[int, ...] | None


class Expectation(NamedTuple):
    """What the loader looks for, by name, and what of the config decides the dtypes, in words ("load_vlm_weights true")."""

    tensors: Mapping[str, Expected]
    because: str


class Unknown(NamedTuple):
    """Nothing can be expected, and why."""

    reason: str


def nothing_expected(_checkpoint: Checkpoint) -> Expectation | Unknown:
    """Return that nothing is expected, as of a family that nobody knows."""
    return Unknown("nothing is known of its family")


class Component(NamedTuple):
    """A part of a model.

    The key that JSON output uses, the words that people use, and the words among other parts of the
    same model.
    """

    key: str
    title: str
    short: str


class CriticalKey(NamedTuple):
    """A key of config.json whose value decides whether the checkpoint works.

    What each value means to who loads it.

    `evaluate` returns (fine, what the loader does with this value). `neutral` are the values that mean
    the same.
    """

    key: str
    evaluate: Callable[[ConfigValue], tuple[bool, str]]
    neutral: tuple[ConfigValue, ...] = ()


class CleanConfig(NamedTuple):
    """What a checkpoint of a family is when it is clean, as far as a tool can make it so.

    `values` are what the config says, `reserved` the keys that it does not have. `neutral` are the
    reserved keys with the values that a fork writes instead. `newer` lists, for each older release,
    the keys it does not know with the value that may be left out. `known` are all keys that the
    loader knows. `types` are what the config of the policy, clean or not, says that it is. `shared`
    are the components that a student may have had in common with its teacher. `single_file` says
    that the loader reads one file only.
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
    """What is known of one kind of checkpoint.

    `component` names the part that a tensor belongs to. `trains` says whether that part is trained
    under a config. `profile` names how the dtypes came about, "" where they tell nothing;
    `contradiction` what the config says of it that cannot be, "" where it agrees. `remarks` are
    sentences on why the loader would not find the weights. `copied` says what the loader makes of a
    copy of the model under one of `copy_prefixes`. `settings` are JSON pointers into config.json
    worth showing. `missing` says what the loader does without a component, except those in
    `needless`, which it never loads. `cleaning` is None where nothing is known of a clean
    checkpoint. `expected` says which tensors the loader looks for, `decisive` which keys of
    config.json decide that, or how they are loaded. `sums` are titles of groups of components
    (by key) whose totals a summary shows.
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

    def parts(self, names: Iterable[str]) -> str:
        """Return the components that tensors of these names belong to, in the family's order, in words."""
        found = {self.component(name) for name in names}
        return ", ".join(component.short for component in self.components if component.key in found)

    def needs(self, name: str) -> bool:
        """Whether the loader looks for a tensor of this name, as far as its component tells."""
        return self.component(name) not in self.needless

    @property
    def neutral(self) -> dict[str, tuple[ConfigValue, ...]]:
        """Addresses of the config keys at which several values mean the same, in config.json and in train_config.json's policy."""
        keys = [watched for watched in self.watched if watched.neutral]
        places = ("config", "train_config.policy")
        return {f"{place}.{watched.key}": watched.neutral for watched in keys for place in places}


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
