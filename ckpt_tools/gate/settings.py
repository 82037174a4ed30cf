"""The settings of the gate: `ckpt.toml` in the current folder, or the file that is named.

They are never read from inside the checkpoint that is judged: whoever wrote the checkpoint would
otherwise write the verdict on it, and one that was downloaded could bring the suppressions that it
needs.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, NoReturn

from ckpt_tools.errors import SettingsInvalid
from ckpt_tools.gate.verdict import Settings, Suppression
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.plugins import rule_of
from ckpt_tools.rules.profiles import PROFILES
from ckpt_tools.storage.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "ckpt.toml"
LIMIT = 1 << 20

_KEYS = ("profile", "suppress", "severity", "allow")
_SUPPRESS = ("code", "path", "subject", "reason", "expires")


def read_settings(named: str | None, root: str) -> Settings:
    """Return the settings in the file `named`, or in `ckpt.toml` of the current folder, or none, for judging the checkpoint in the folder `root`.

    Raises SettingsInvalid with line or key, also for a file inside `root` that is named; one that
    merely lies there is not looked at.
    """
    path = named if named is not None else os.path.join(os.getcwd(), NAME)
    if named is None and not os.path.lexists(path):
        return Settings(today=_today())
    if _is_inside(path, root):
        if named is None:
            return Settings(today=_today())
        raise SettingsInvalid(
            "lies inside the checkpoint that it would judge",
            path=path,
            hint="keep the settings outside, where the checkpoint's author cannot write them",
        )
    try:
        value = importlib.import_module("tomllib").loads(
            read_whole(path, LIMIT, "a ckpt.toml").decode()
        )
    except ValueError as error:
        raise SettingsInvalid(
            f"is no TOML: {str(error)[:1].lower()}{str(error)[1:]}", path=path
        ) from None
    except RecursionError:
        raise SettingsInvalid("is nested too deep", path=path) from None
    return settings_of(value, path)


def settings_of(value: dict[str, Any], path: str) -> Settings:
    """Return the settings that a TOML document spells. Raises SettingsInvalid with the key."""
    _only(value, _KEYS, "", path)
    profile = _text(value.get("profile", ""), "profile", path, empty=True)
    if profile and profile not in PROFILES:
        _refuse(
            f"there is no profile {profile!r}; there are {', '.join(PROFILES)}", "profile", path
        )
    allow = _table(value.get("allow", {}), "allow", path)
    _only(allow, ("files",), "allow.", path)
    return Settings(
        profile=profile,
        suppress=tuple(_suppressions(value.get("suppress", []), path)),
        severity=dict(_severities(_table(value.get("severity", {}), "severity", path), path)),
        allow=tuple(
            _text(glob, f"allow.files[{number}]", path)
            for number, glob in enumerate(_list(allow.get("files", []), "allow.files", path))
        ),
        today=_today(),
        source=path,
    )


def _today() -> str:
    return str(importlib.import_module("datetime").date.today().isoformat())


def _is_inside(path: str, root: str) -> bool:
    homes = (os.path.join(os.path.realpath(root), ""), os.path.join(os.path.abspath(root), ""))
    return any(place.startswith(homes) for place in (os.path.realpath(path), os.path.abspath(path)))


def _suppressions(value: object, path: str) -> Iterator[Suppression]:
    for number, item in enumerate(_list(value, "suppress", path)):
        place = f"suppress[{number}]"
        one = _table(item, place, path)
        _only(one, _SUPPRESS, f"{place}.", path)
        for key in ("code", "reason"):
            if key not in one:
                _refuse("is missing", f"{place}.{key}", path)
        yield Suppression(
            code=_code(_text(one["code"], f"{place}.code", path), f"{place}.code", path),
            reason=_text(one["reason"], f"{place}.reason", path),
            path=_text(one.get("path", "*"), f"{place}.path", path),
            subject=_text(one.get("subject", "*"), f"{place}.subject", path),
            expires=_day(one["expires"], f"{place}.expires", path) if "expires" in one else "",
            place=place,
        )


def _severities(value: dict[str, Any], path: str) -> Iterator[tuple[str, Severity]]:
    for key, word in value.items():
        if word not in list(Severity):
            _refuse(f"{word!r} is none of {', '.join(Severity)}", f"severity.{key}", path)
        yield _code(key, f"severity.{key}", path), Severity(word)


def _code(word: str, key: str, path: str) -> str:
    """Return the code of the rule of that code or name.

    One of a distribution that is not installed here as it is.
    """
    rule = rule_of(word)
    if rule is None and word.upper().startswith("CK"):
        _refuse(f"there is no rule {word}", key, path, "`ckpt rules` lists them")
    return rule.code if rule else word


def _day(value: object, key: str, path: str) -> str:
    """Return a TOML date, or a string that spells one, as 2027-01-31."""
    dates: Any = importlib.import_module("datetime")
    try:
        return str(
            dates.date.fromisoformat(str(value) if type(value) is dates.date else value).isoformat()
        )
    except (TypeError, ValueError):
        _refuse(f"{value!r} is no day", key, path, "write it as 2027-01-31")


def _text(value: object, key: str, path: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value.strip() or empty):
        _refuse("is no text" if not isinstance(value, str) else "is empty", key, path)
    return value


def _table(value: object, key: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("is no table", key, path)
    return value


def _list(value: object, key: str, path: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse("is no list", key, path)
    return value


def _only(value: dict[str, Any], known: tuple[str, ...], before: str, path: str) -> None:
    unknown = next((key for key in value if key not in known), None)
    if unknown is not None:
        _refuse(f"is none of {', '.join(known)}", f"{before}{unknown}", path)


def _refuse(what: str, key: str, path: str, hint: str = "") -> NoReturn:
    raise SettingsInvalid(what, subject=key, path=path, hint=hint)
