"""What a checkpoint is, on one screen: the noun behind `ckpt show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.records.checkpoint import Checkpoint
    from ckpt_tools.records.remote import Transfer


class Group(NamedTuple):
    """Tensors of one component, or of one dtype: how many, of how many parameters and bytes of payload.

    `dtypes` are (name, tensors) pairs. `trains` is None where the config does not tell.
    """

    key: str
    title: str
    tensors: int
    parameters: int
    nbytes: int
    dtypes: tuple[tuple[str, int], ...]
    trains: bool | None = None


class Setting(NamedTuple):
    """A config value worth showing; `fine` is None where no verdict is known, and `remark` says what the loader does with it."""

    key: str
    value: object
    fine: bool | None = None
    remark: str = ""


class Processor(NamedTuple):
    """A processor pipeline: its file, its steps by name, how it normalises each kind of feature, and the state files it names (name, is it there)."""

    path: str
    steps: tuple[str, ...]
    modes: tuple[tuple[str, str], ...]
    states: tuple[tuple[str, bool], ...]


class Summary(NamedTuple):
    """A checkpoint with what its family says of it. `profile` is how its dtypes came about, "" if unknown; `remarks` are what keeps it from loading.

    `transferred` is what reading it took, where it is on the Hub.
    """

    checkpoint: Checkpoint
    family: str
    profile: str
    remarks: tuple[str, ...]
    components: tuple[Group, ...]
    dtypes: tuple[Group, ...]
    settings: tuple[Setting, ...]
    processors: tuple[Processor, ...]
    transferred: Transfer | None = None

    @property
    def tensors(self) -> int:
        """Number of tensors."""
        return sum(group.tensors for group in self.components)

    @property
    def parameters(self) -> int:
        """Number of parameters: elements of all tensors."""
        return sum(group.parameters for group in self.components)

    @property
    def trainable(self) -> int | None:
        """Number of parameters that the config lets train; None where that is unknown for some component."""
        if any(group.trains is None for group in self.components):
            return None
        return sum(group.parameters for group in self.components if group.trains)
