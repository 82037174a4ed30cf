"""What the tool asks of a model family, and the family of everything else: GENERIC."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ckpt_tools.records.checkpoint import Checkpoint

WEIGHTS = "weights"
"""The component of a tensor in a family that knows none."""

type ConfigValue = object
"""A JSON value, or ABSENT."""


class Component(NamedTuple):
    """A part of a model: the key that JSON output uses, the words that people use, and the words among other parts of the same model."""

    key: str
    title: str
    short: str


class WatchedKey(NamedTuple):
    """A key of config.json whose value decides whether the checkpoint works: what each value means to who loads it.

    `judge` returns (fine, what the loader does with this value). `neutral` are the values that mean the same.
    """

    key: str
    judge: Callable[[ConfigValue], tuple[bool, str]]
    neutral: tuple[ConfigValue, ...] = ()


class Family(NamedTuple):
    """What is known of one kind of checkpoint.

    `component` names the part that a tensor belongs to. `trains` says whether that part is trained under a config. `profile` names how the dtypes came
    about, "" where they tell nothing. `remarks` are sentences on why the loader would not find the weights. `settings` are JSON pointers into
    config.json worth showing. `missing` says what the loader does without a component, except those in `needless`, which it never loads.
    """

    name: str
    recognises: Callable[[Checkpoint], bool]
    components: tuple[Component, ...]
    component: Callable[[str], str]
    trains: Callable[[str, Mapping[str, object]], bool | None]
    profile: Callable[[Checkpoint], str]
    remarks: Callable[[Checkpoint], tuple[str, ...]] = lambda _: ()
    copy_prefixes: tuple[str, ...] = ()
    watched: tuple[WatchedKey, ...] = ()
    settings: tuple[str, ...] = ()
    missing: str = ""
    needless: frozenset[str] = frozenset()

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
)
