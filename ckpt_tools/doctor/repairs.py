"""Commands that repair what the doctor finds. Nothing here runs them."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools import shell
from ckpt_tools.checkpoint.documents import CONFIG, PROCESSORS
from ckpt_tools.rules.remedy import Remedy, as_path, with_type
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.model import Cause

_SANITIZE = ("ckpt", "sanitize")
_PROCESSOR_FILES = "policy_*processor*"
"""Both processors and their state files, as LeRobot names them."""


class Repairs(NamedTuple):
    """Makes commands about the two checkpoints: their names on the command line, and their files.

    `reflow` is None where REFLOW cannot be read. `sanitized` plans the command of `sanitize` and
    returns the dtypes of the result by name, None where it cannot be planned.
    """

    where_normal: str
    where_reflow: str
    normal: Checkpoint
    reflow: Checkpoint | None
    sanitized: Callable[[], dict[str, Dtype] | None] = lambda: None

    def sanitize(self) -> Remedy:
        """Write a clean REFLOW into a new folder."""
        names = as_path(self.where_reflow), "--reference", as_path(self.where_normal)
        return Remedy((*_SANITIZE, *names), safe=True)

    def set(self, key: str, value: object) -> Remedy:
        """Set a key of REFLOW's config.json; ABSENT removes it."""
        spelled = value if isinstance(value, str) else "" if value is ABSENT else json.dumps(value)
        words = ("unset", key) if value is ABSENT else ("set", key, spelled)
        command = ["ckpt", "config", as_path(self.where_reflow), *words]
        return Remedy(tuple(with_type(command, self.reflow)))

    def as_normal(self, key: str) -> Remedy:
        """Set a key of REFLOW's config.json to NORMAL's value."""
        return self.set(key, self.normal.value(CONFIG).get(key, ABSENT))

    def copy(self, *names: str) -> Remedy:
        """Copy these files of NORMAL over REFLOW's."""
        source, target = self._folders()
        return Remedy(("cp", *(f"{source}/{name}" for name in names), f"{target}/"))

    def _folders(self) -> tuple[str, str]:
        target = self.reflow.root if self.reflow else self.where_reflow
        return as_path(self.normal.root.rstrip("/")), as_path(target.rstrip("/"))

    def processors(self) -> Remedy:
        """Copy NORMAL's processors with their statistics; a pattern is shown for usual names."""
        names = [path for path in PROCESSORS if self.normal.document(path)]
        if len(names) < len(PROCESSORS):
            return Remedy(
                text=(
                    "copy both processors with their state files from the teacher: NORMAL "
                    "lacks them too"
                )
            )
        states = [state.path for state in self.normal.states]
        source, target = map(shell.quote, self._folders())
        command, short = (
            self.copy(*names, *states),
            f"cp {source}/{_PROCESSOR_FILES} {target}/",
        )
        usual = all(fnmatchcase(name, _PROCESSOR_FILES) for name in states) and "{}" not in short
        return command._replace(text=short) if usual else command

    def exchanged(self, options: Iterable[str]) -> Remedy:
        """Diagnose the two the other way round."""
        names = as_path(self.where_reflow), as_path(self.where_normal)
        return Remedy(("ckpt", "doctor", *names, *options), safe=True)

    def earlier_checkpoint(self) -> Remedy:
        """Advise what to do about NaN or infinity in the weights, which no command repairs."""
        verify = shell.join(("ckpt", "verify", as_path(self.where_reflow), "--values"))
        return Remedy(
            text=(
                f"use an earlier checkpoint of its run; `{verify}` lists every tensor with NaN "
                "or infinity"
            )
        )

    def compare_configs(self) -> Remedy:
        """Advise to compare the two config.json, of which one does not belong to its weights."""
        names = as_path(self.where_reflow), "diff", as_path(self.where_normal)
        return Remedy(
            text=(
                "config.json and the weights belong to different models; "
                f"`{shell.join(('ckpt', 'config', *names))}` shows the differences"
            )
        )


def commands(causes: Iterable[Cause]) -> tuple[Remedy, ...]:
    """Return every command that repairs a cause once, in the order in which to run them.

    The one that writes a new folder comes last, so that it includes the other changes.
    """
    found = dict.fromkeys(cause.repair for cause in causes if cause.repair.argv)
    return tuple(sorted(found, key=lambda remedy: remedy.argv[:2] == _SANITIZE))
