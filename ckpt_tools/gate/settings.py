"""Reads the settings: `ckpt.toml` or `[tool.ckpt]` in `pyproject.toml`, or a named file.

They are those of the current folder, or of the nearest folder above it in the same repository.
Settings inside the checkpoint are never read: otherwise its author would decide the verdict, and a
downloaded checkpoint could bring the suppressions that it needs.
"""

from __future__ import annotations

import datetime as dt
import os
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

from ckpt_tools.errors import SettingsInvalid, UnknownSelection
from ckpt_tools.gate.verdict import OPTION, Settings, Suppression
from ckpt_tools.rules.coverage import Question
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.plugins import no_such_rule, rule_of
from ckpt_tools.rules.profiles import PROFILES
from ckpt_tools.storage.files import read_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME, PYPROJECT = "ckpt.toml", "pyproject.toml"
LIMIT = 1 << 20

_KEYS = ("profile", "suppress", "severity", "allow", "require")
_KINDS: dict[type, str] = {str: "string", dict: "table", list: "list"}
_SUPPRESSION_KEYS = ("code", "path", "subject", "reason", "expires")


def read_settings(named: str | None, root: str) -> Settings:
    """Return the settings for checking the folder `root`, from the file `named` or the nearest one.

    Without a name, there may be none, and files inside `root` are ignored. Raises SettingsInvalid
    with the line or key, also for a named file inside `root`.
    """
    if named is not None and is_inside(named, root):
        raise SettingsInvalid(
            "is inside the checkpoint that it would be applied to",
            path=named,
            hint="move the settings outside, where the checkpoint's author cannot write them",
        )
    found = settings_table(named, root)
    return Settings(today=_today()) if found is None else settings_of(*found)


def settings_table(named: str | None, root: str = "") -> tuple[dict[str, Any], str] | None:
    """Return the table of settings and its file, None without one.

    As `read_settings`; nothing is inside "".
    """
    if named is not None:
        value = _read_toml(named)
        return (_tool_table(value) or {} if _is_pyproject(named) else value), named
    for path in (os.path.join(folder, name) for folder in _folders() for name in (NAME, PYPROJECT)):
        if os.path.lexists(path) and not (root and is_inside(path, root)):
            value = _read_toml(path)
            table = _tool_table(value) if _is_pyproject(path) else value
            if table is not None:
                return table, path
    return None


def _read_toml(path: str) -> dict[str, Any]:
    """Return the TOML document at `path`. Raises SettingsInvalid with the line."""
    try:
        return tomllib.loads(read_whole(path, LIMIT, "a ckpt.toml").decode())
    except ValueError as error:
        what = f"is not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}"
        raise SettingsInvalid(what, path=path) from None
    except RecursionError:
        raise SettingsInvalid("is nested too deeply", path=path) from None


def _folders() -> Iterator[str]:
    """Yield the current folder, and those above it up to the root of its repository."""
    here = os.getcwd()
    above = [here]
    while not os.path.exists(os.path.join(above[-1], ".git")):
        parent = os.path.dirname(above[-1])
        if parent == above[-1]:
            above = [here]  # in no repository: nothing above is the user's own
            break
        above.append(parent)
    yield from above


def _is_pyproject(path: str) -> bool:
    return os.path.basename(path) == PYPROJECT


def _tool_table(value: dict[str, Any]) -> dict[str, Any] | None:
    tool = value.get("tool")
    table = tool.get("ckpt") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


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


def suppressing(settings: Settings, codes: Iterable[str], reason: str) -> Settings:
    """Return settings that also suppress every finding of the rules `codes`, for `reason`.

    Raises UnknownSelection for an unknown rule, and for rules or a reason without the other.
    """
    added = []
    for code in codes:
        rule = rule_of(code)
        if rule is None:
            raise no_such_rule(code)
        added.append(Suppression(rule.code, reason, key=OPTION))
    if added and not reason.strip():
        raise UnknownSelection(
            f"{added[0].code} is suppressed without a reason", hint="add --reason TEXT"
        )
    if reason and not added:
        raise UnknownSelection(
            "a reason, but no rule that is suppressed for it",
            hint="name rules with --suppress CODES, or omit --reason",
        )
    return settings._replace(suppress=(*settings.suppress, *added))


def _today() -> str:
    return dt.date.today().isoformat()  # noqa: DTZ011 - the user's day


def is_inside(path: str, root: str) -> bool:
    """Whether a file is in the folder `root` or below, by its name or behind links."""
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
