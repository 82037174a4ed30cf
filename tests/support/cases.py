"""How rules are tested.

A case makes a bad checkpoint out of the normal one and says which codes it must give; near misses
must give none.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools import api

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
NORMAL = FIXTURES / "normal"
GOOD = ("normal", "reflow-clean")
"""Fixtures in which no rule finds anything."""

_spec = importlib.util.spec_from_file_location("fixtures_make_for_rules", FIXTURES / "make.py")
assert _spec is not None
assert _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
sys.modules["fixtures_make_for_rules"] = make
_spec.loader.exec_module(make)

type Change = Callable[[Path], None]
"""Changes a copy of the normal fixture."""


class Case(NamedTuple):
    """A checkpoint with a finding of one rule, and harmless ones.

    `bad` makes a checkpoint in which the rule `code` finds something, and besides it at most the
    rules in `companions`; `near` are harmless changes.
    """

    code: str
    bad: Change
    near: tuple[Change, ...]
    companions: frozenset[str] = frozenset()
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


def changed(folder: Path, change: Change) -> Path:
    """A copy of the normal fixture with a change."""
    shutil.copytree(NORMAL, folder)
    change(folder)
    return folder


def codes(folder: Path, **options: Any) -> set[str]:
    """The codes of what is found."""
    return {finding.code for finding in api.verify(str(folder), **options).findings}


def hold(case: Case, home: Path) -> None:
    """The law of every rule."""
    found = codes(changed(home / "bad", case.bad), **case.options)
    assert case.code in found
    assert found <= {case.code} | case.companions
    for number, near in enumerate(case.near):
        assert case.code not in codes(changed(home / f"near-{number}", near), **case.options), (
            number
        )


# --- changes --------------------------------------------------------------------------------------


def config(**values: Any) -> Change:
    """Set keys of config.json; ... removes one."""
    return edited("config.json", **values)


def edited(name: str, **values: Any) -> Change:
    """Set top-level keys of a JSON file; ... removes one."""

    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        for key, value in values.items():
            if value is ...:
                document.pop(key, None)
            else:
                document[key] = value
        (folder / name).write_text(json.dumps(document, indent=4))

    return change


def tensors(
    update: Callable[[dict[str, Any]], dict[str, Any]], metadata: dict[str, str] | None = None
) -> Change:
    """Write other tensors.

    `update` takes what the normal checkpoint holds (make.Blob by name) and returns what the bad one
    does.
    """

    def change(folder: Path) -> None:
        make.write_safetensors(
            folder / "model.safetensors", update(make.policy("normal")), metadata
        )

    return change


def removed(*names: str) -> Change:
    """Remove files."""

    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def added(name: str, content: bytes | str, mode: int = 0o644) -> Change:
    """Add a file, and the folders above it."""

    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    return change


def both(*changes: Change) -> Change:
    """One after the other."""

    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def untouched(_folder: Path) -> None:
    """Nothing."""
