"""Commands that repair what the doctor finds, ready to be pasted into a shell.

Nothing here runs them.
"""

from __future__ import annotations

import json
import shlex
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import PROCESSORS
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.model import Cause

_SANITIZE = "ckpt sanitize "
_PROCESSOR_FILES = "policy_*processor*"
"""Both processors and their state files, as LeRobot names them."""


class Repairs(NamedTuple):
    """The two checkpoints, as the user named them and as they were read.

    `there` is None where REFLOW cannot be read.
    """

    normal: str
    reflow: str
    here: Checkpoint
    there: Checkpoint | None

    def sanitize(self) -> str:
        """Return what writes a clean REFLOW into a new folder."""
        return f"{_SANITIZE}{shlex.quote(self.reflow)} --reference {shlex.quote(self.normal)}"

    def set(self, key: str, value: object) -> str:
        """Return what gives a key of REFLOW's config.json this value; ABSENT takes it out."""
        config = f"ckpt config {shlex.quote(self.reflow)}"
        if value is ABSENT:
            return f"{config} unset {shlex.quote(key)}"
        return f"{config} set {shlex.quote(key)} {shlex.quote(value if isinstance(value, str) else json.dumps(value))}"

    def as_normal(self, key: str) -> str:
        """Return what gives a key of REFLOW's config.json the value that NORMAL's has."""
        config = self.here.document("config.json")
        return self.set(key, config.value.get(key, ABSENT) if config else ABSENT)

    def copy(self, *names: str) -> str:
        """Return what copies these files of NORMAL over REFLOW's.

        A name is put into the shell as it is, and may be a pattern.
        """
        there = self.there.root if self.there else self.reflow
        return f"cp {' '.join(f'{shlex.quote(self.here.root.rstrip("/"))}/{name}' for name in names)} {shlex.quote(there.rstrip('/'))}/"

    def processors(self) -> str:
        """Return what gives REFLOW the processors of NORMAL, with their statistics."""
        names = [path for path in PROCESSORS if self.here.document(path)]
        if len(names) < len(PROCESSORS):
            return "copy both processors with their state files from the teacher: NORMAL does not have them either"
        states = [state.path for state in self.here.states]
        if all(fnmatchcase(name, _PROCESSOR_FILES) for name in states):
            return self.copy(_PROCESSOR_FILES)
        return self.copy(*map(shlex.quote, (*names, *states)))

    def values(self) -> str:
        """Return what to do about NaN or infinity in the weights, which nothing repairs."""
        return f"take an earlier checkpoint of its run; `ckpt verify {shlex.quote(self.reflow)} --values` names every tensor that holds NaN or infinity"


def commands(causes: Iterable[Cause]) -> tuple[str, ...]:
    """Return every repair once, in the order in which to run them.

    What writes a new folder comes last, so that it takes the other changes along.
    """
    found = dict.fromkeys(cause.repair for cause in causes if cause.repair)
    return tuple(sorted(found, key=lambda command: command.startswith(_SANITIZE)))


def is_command(repair: str) -> bool:
    """Whether a repair is something to run, and not a sentence."""
    return repair.startswith(("ckpt ", "cp "))
