"""A processor's steps are registered ones, and their state lies in the folder.

LeRobot imports the module that a step's `class` names and calls what it finds, with what its
`config` says: such a JSON file is a program. A step that stock LeRobot does not register is code
that whoever loads the checkpoint must fetch from somewhere. CK731 says what LeRobot makes of the
two processors that it reads; this rule looks at every JSON file that is named like a processor or
built like one, since a config may name it.

Write the step's `registry_name`, or leave the step out. State files are .safetensors files in the
folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import REGISTERED
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan.json_files import lax
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each step that is code, and for each path that is none of the folder's."""
    for entry in subject.entries or ():
        if entry.text and entry.path.lower().endswith(".json") and _may_be_processor(entry):
            value = lax(entry.text)
            steps = value.get("steps") if isinstance(value, dict) else None
            for number, step in enumerate(steps if isinstance(steps, list) else ()):
                if isinstance(step, dict):
                    yield from (
                        found._replace(path=entry.path)
                        for found in _faults(step, f"/steps/{number}")
                    )


def _may_be_processor(entry: Entry) -> bool:
    text = entry.text or ""
    return (
        "processor" in entry.path.lower()
        or "\\u" in text
        or ("steps" in text and ("registry_name" in text or "class" in text))
    )


def _faults(step: dict[str, object], pointer: str) -> Iterator[Violation]:
    name, state = step.get("registry_name"), step.get("state_file")
    if "class" in step:
        yield Violation(
            f"names the class {step['class']!r}, which LeRobot imports and calls: that is code",
            "",
            f"{pointer}/class",
            _NEXT,
        )
    if name is not None and not (isinstance(name, str) and name in REGISTERED):
        yield Violation(
            f"needs the step {name!r}, which stock LeRobot does not register: that is code from elsewhere",
            "",
            f"{pointer}/registry_name",
            _NEXT,
        )
    if isinstance(state, str) and leaves_folder(state):
        yield Violation(
            f"names the state file {state!r}, outside the folder",
            "",
            f"{pointer}/state_file",
            "do not use this checkpoint",
        )
    elif state is not None and not (isinstance(state, str) and state.endswith(".safetensors")):
        yield Violation(
            f"names the state file {state!r}, which is no safetensors file",
            "",
            f"{pointer}/state_file",
            "save the state as safetensors",
        )


_NEXT = "write the registry_name of a step that LeRobot has, or leave the step out"


RULE = Rule(
    code="CK809",
    name="processor-code",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
