"""Translates one combination of `lerobot-train` arguments, and nothing else.

    --policy.type=smolvla --policy.use_reflow=True    becomes    --policy.type=smolvla_reflow
    --policy.use_reflow=True
    --policy.type=smolvla --policy.use_reflow=False   becomes    --policy.type=smolvla

LeRobot imports plugins before it reads its arguments, so a plugin can still change them. Every
other command line is left as it is.
"""

from __future__ import annotations

TYPE, FLAG = "--policy.type", "--policy.use_reflow"
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


def translate(arguments: list[str]) -> list[str]:
    """The arguments with the combination above translated.

    An equal list for any other command line.
    """
    type_at, flag_at = _find(arguments, TYPE), _find(arguments, FLAG)
    if type_at is None or flag_at is None or type_at.value != "smolvla":
        return list(arguments)
    wanted = flag_at.value.lower()
    if wanted in _TRUE:
        return [*arguments[: type_at.start], f"{TYPE}=smolvla_reflow", *arguments[type_at.end :]]
    if wanted in _FALSE:
        # The standard config has no such field and would refuse the flag.
        return [*arguments[: flag_at.start], *arguments[flag_at.end :]]
    return list(arguments)


class _Option:
    """Where one option stands: arguments[start:end], and the value it was given."""

    __slots__ = ("end", "start", "value")

    def __init__(self, start: int, end: int, value: str) -> None:
        self.start, self.end, self.value = start, end, value


def _find(arguments: list[str], name: str) -> _Option | None:
    """The last occurrence of `--name=value` or `--name value`; None when absent.

    argparse lets the last one win.
    """
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
