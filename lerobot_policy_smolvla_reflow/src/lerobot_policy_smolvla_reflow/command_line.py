"""Translate one combination of `lerobot-train` arguments, and nothing else.

    --policy.type=smolvla --policy.use_reflow=True     the type becomes smolvla_reflow
    --policy.type=smolvla --policy.use_reflow=False    the flag is removed

LeRobot imports plugins before it reads its arguments, so a plugin can still change them. Every
other command line is left as it is.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE, FLAG = "--policy.type", "--policy.use_reflow"


def translate(arguments: list[str]) -> list[str]:
    """The translated arguments; an equal list for any other command line."""
    policy_type, flag = _find(arguments, TYPE), _find(arguments, FLAG)
    if policy_type is not None and flag is not None and policy_type.value == "smolvla":
        match flag.value.lower():
            case "true" | "1" | "yes":
                return [
                    *arguments[: policy_type.start],
                    f"{TYPE}=smolvla_reflow",
                    *arguments[policy_type.end :],
                ]
            case "false" | "0" | "no":
                # The standard config has no such field and would refuse the flag.
                return [*arguments[: flag.start], *arguments[flag.end :]]
    return list(arguments)


class _Option(NamedTuple):
    """An option and its value: they are `arguments[start:end]`."""

    start: int
    end: int
    value: str


def _find(arguments: list[str], name: str) -> _Option | None:
    """The last `--name=value` or `--name value`, as in argparse; None when absent."""
    found = None
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            found = _Option(index, index + 1, argument.removeprefix(f"{name}="))
        elif (
            argument == name
            and index + 1 < len(arguments)
            and not arguments[index + 1].startswith("--")
        ):
            found = _Option(index, index + 2, arguments[index + 1])
    return found
