"""Reads the settings of the gate: `ckpt.toml` in the current folder, or a named file.

Settings inside the checkpoint are never read: otherwise its author would decide the verdict, and a
downloaded checkpoint could bring the suppressions that it needs.
"""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

from ckpt_tools.errors import SettingsInvalid, UnknownSelection
from ckpt_tools.gate.verdict import Settings, Suppression
from ckpt_tools.rules.coverage import Question
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.plugins import rule_of
from ckpt_tools.rules.profiles import PROFILES
from ckpt_tools.storage.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "ckpt.toml"
LIMIT = 1 << 20

_KEYS = ("profile", "suppress", "severity", "allow", "require")
_KINDS: dict[type, str] = {str: "string", dict: "table", list: "list"}
_SUPPRESSION_KEYS = ("code", "path", "subject", "reason", "expires")


def read_settings(named: str | None, root: str) -> Settings:
    """Return the settings for checking the folder `root`, from the file `named` or `ckpt.toml`.

    Without a name, a missing file and one inside `root` are ignored. Raises SettingsInvalid with
    the line or key, also for a named file inside `root`.
    """
    path = named if named is not None else os.path.join(os.getcwd(), NAME)
    is_inside = _is_inside(path, root)
    if named is None and (is_inside or not os.path.lexists(path)):
        return Settings(today=_today())
    if is_inside:
        raise SettingsInvalid(
            "is inside the checkpoint that it would be applied to",
            path=path,
            hint="move the settings outside, where the checkpoint's author cannot write them",
        )
    try:
        value = tomllib.loads(read_whole(path, LIMIT, "a ckpt.toml").decode())
    except ValueError as error:
        what = f"is not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}"
        raise SettingsInvalid(what, path=path) from None
    except RecursionError:
        raise SettingsInvalid("is nested too deeply", path=path) from None
    return settings_of(value, path)


def settings_of(value: dict[str, Any], path: str) -> Settings:
    """Return the settings in a TOML document. Raises SettingsInvalid with the key."""
    return _Reader(path).settings(value)


def requiring(settings: Settings, questions: Iterable[str]) -> Settings:
    """Return settings that also require these questions. Raises UnknownSelection for another."""
    names = tuple(questions)
    for name in names:
        if name not in list(Question):
            raise UnknownSelection(
                f"there is no question {name!r}", hint=f"require {_either(Question)}"
            )
    return settings._replace(require=(*settings.require, *map(Question, names)))


def _today() -> str:
    return dt.date.today().isoformat()  # noqa: DTZ011 - the user's day


def _is_inside(path: str, root: str) -> bool:
    roots = tuple(
        os.path.join(resolve(root), "") for resolve in (os.path.realpath, os.path.abspath)
    )
    return os.path.realpath(path).startswith(roots) or os.path.abspath(path).startswith(roots)


class _Reader:
    """Checks the types of values and names the key of what is wrong."""

    def __init__(self, path: str) -> None:
        self._path = path

    def settings(self, value: dict[str, Any]) -> Settings:
        self._check_keys(value, _KEYS, "")
        profile = self._typed(value.get("profile", ""), str, "profile")
        if profile and profile not in PROFILES:
            self._fail(f'unknown profile "{profile}"; expected {_either(PROFILES)}', "profile")
        severity = self._typed(value.get("severity", {}), dict, "severity")
        allow = self._typed(value.get("allow", {}), dict, "allow")
        self._check_keys(allow, ("files",), "allow")
        return Settings(
            profile=profile,
            suppress=tuple(
                self._suppression(item, f"suppress[{number}]")
                for number, item in enumerate(
                    self._typed(value.get("suppress", []), list, "suppress")
                )
            ),
            severity={
                self._code(code, f"severity.{code}"): self._severity(word, f"severity.{code}")
                for code, word in severity.items()
            },
            allow=tuple(
                self._text(glob, f"allow.files[{number}]")
                for number, glob in enumerate(
                    self._typed(allow.get("files", []), list, "allow.files")
                )
            ),
            today=_today(),
            source=self._path,
            require=tuple(
                self._question(word, f"require[{number}]")
                for number, word in enumerate(
                    self._typed(value.get("require", []), list, "require")
                )
            ),
        )

    def _question(self, word: object, key: str) -> Question:
        if word not in list(Question):
            self._fail(f'unknown question "{word}"; expected {_either(Question)}', key)
        return Question(str(word))

    def _suppression(self, value: object, key: str) -> Suppression:
        table = self._typed(value, dict, key)
        self._check_keys(table, _SUPPRESSION_KEYS, key)
        for required in ("code", "reason"):
            if required not in table:
                self._fail("is missing", f"{key}.{required}")
        texts = {
            name: self._text(item, f"{key}.{name}")
            for name, item in table.items()
            if name != "expires"
        }
        texts["code"] = self._code(texts["code"], f"{key}.code")
        if "expires" in table:
            texts["expires"] = self._day(table["expires"], f"{key}.expires")
        return Suppression(**texts, key=key)

    def _severity(self, word: object, key: str) -> Severity:
        if word not in list(Severity):
            self._fail(f'unknown severity "{word}"; expected {_either(Severity)}', key)
        return Severity(str(word))

    def _code(self, word: str, key: str) -> str:
        """Return the code of a rule. One of a distribution that is not installed is kept as is."""
        rule = rule_of(word)
        if rule is None and word.upper().startswith("CK"):
            self._fail(f'unknown rule "{word}"', key, "list all rules: ckpt rules")
        return rule.code if rule else word

    def _day(self, value: object, key: str) -> str:
        """Return a TOML date, or a string with one, as 2027-01-31."""
        try:
            text = str(value) if type(value) is dt.date else value
            return dt.date.fromisoformat(text).isoformat()  # type: ignore[arg-type]  # the TypeError is caught
        except (TypeError, ValueError):
            self._fail(f'"{value}" is not a date', key, "write it as 2027-01-31")

    def _text(self, value: object, key: str) -> str:
        text = self._typed(value, str, key)
        if not text.strip():
            self._fail("is empty", key)
        return text

    def _typed[T](self, value: object, kind: type[T], key: str) -> T:
        if not isinstance(value, kind):
            self._fail(f"expected a {_KINDS[kind]}", key)
        return value

    def _check_keys(self, value: dict[str, Any], known: tuple[str, ...], table: str) -> None:
        for key in value:
            if key not in known:
                self._fail(f'unknown key "{key}"; expected {_either(known)}', table)

    def _fail(self, what: str, key: str, hint: str = "") -> NoReturn:
        raise SettingsInvalid(what, subject=key, path=self._path, hint=hint)


def _either(words: Iterable[str]) -> str:
    """Join words as `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
