"""Errors name keywords to who calls from Python, and options to who runs a command."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api, errors
from ckpt_tools.api import types
from ckpt_tools.cli.main import main
from ckpt_tools.errors.keywords import KEYWORDS, as_keywords
from tests.support.cases import FIXTURES, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NORMAL = FIXTURES / "normal"
PACKAGES = (
    *("api", "audit", "checkpoint", "diff", "edit", "errors", "families", "live", "manifest"),
    *("scan", "storage", "strict_json", "upload", "values"),
)
"""What raises errors. Findings and reports suggest commands."""


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (lambda home: api.plan(home, [types.Cast(types.Dtype.F16)]), "pass lossy=True to round"),
        (lambda home: api.write(api.sanitize(home), NORMAL), "choose another output=, or remove"),
        (
            lambda home: api.config.set_value(home, "num_steps", "x"),
            "write a number, or pass change_type=True",
        ),
        (lambda home: api.config.get(home, "x", file="y.json"), "choose another file with file="),
        (
            lambda home: api.spec(home, live=True, base="x"),
            "base='x' is not NAME=DIR",
        ),
        (
            api.restore,
            "only changes with in_place=True and without backup=False can be undone",
        ),
    ],
)
def test_an_error_raised_in_python_names_keywords(
    raised: Callable[[Path], object], words: str, tmp_path: Path
) -> None:
    home = shutil.copytree(NORMAL, tmp_path / "home")
    with pytest.raises(errors.CkptError) as caught:
        raised(home)
    assert words in str(caught.value)
    assert not re.search("--[a-z]", re.sub("`.*?`", "", f"{caught.value.what} {caught.value.next}"))


def test_the_same_error_of_a_command_names_options(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = shutil.copytree(NORMAL, tmp_path / "home")
    assert main(["cast", str(home), "F16", "--output", str(tmp_path / "out")]) == 2
    assert "pass --allow-lossy to round" in capfd.readouterr().err
    with pytest.raises(errors.CastLossy, match="pass lossy=True"):  # again, after a command
        api.plan(home, [types.Cast(types.Dtype.F16)])


@pytest.mark.parametrize(
    "text",
    [
        "undo that one first: ckpt restore here --backup 2",
        "`ckpt cast HERE F16 --allow-lossy` rounds",
        "no such file: ./--output",
        "--policy.output is unknown",
        "--outputs is unknown",
    ],
)
def test_commands_and_what_only_resembles_an_option_stay(text: str) -> None:
    assert as_keywords(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("choose --backup 3", "choose backup=3"),
        ("write --target lerobot==0.5", "write target=lerobot==0.5"),
        ("pass --output FILE, or --values here", "pass output=FILE, or values=True here"),
    ],
)
def test_a_value_stands_next_to_its_keyword(text: str, words: str) -> None:
    assert as_keywords(text) == words


def test_no_option_in_an_error_has_an_article() -> None:
    """An option reads well as `another --output`, and so does its keyword, not as `an --output`."""
    articles = [
        f"{path}:{line}: {text}"
        for package in PACKAGES
        for path in sorted((ROOT / "ckpt_tools" / package).rglob("*.py"))
        for line, text in texts(path)
        if re.search(r"\ban? --[a-z]", text)
    ]
    assert not articles


def test_an_option_in_an_error_has_a_keyword() -> None:
    """One that has none would be named to a caller who cannot pass it."""
    unknown = {
        f"{path}:{line}: --{option}"
        for package in PACKAGES
        for path in sorted((ROOT / "ckpt_tools" / package).rglob("*.py"))
        for line, text in texts(path)
        for option in re.findall(r"(?<![\w/.-])--([a-z][a-z0-9-]*)", as_keywords(text))
        if option not in OF_COMMANDS
    }
    assert unknown == set()


OF_COMMANDS = {"plot", "sha256", "revision", "include"}
"""What only commands have; the last two those of `hf download`."""

NO_ERROR = re.compile(r"`[^`]*`|\b(?:ckpt|hf|aws|gcloud|git|ray|pip|huggingface-cli) .*")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with blanks in them, without commands and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for inner in ast.iter_child_nodes(node):
            if isinstance(node, ast.Expr | ast.JoinedStr):
                continue
            text = ""
            if isinstance(inner, ast.JoinedStr):
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "x"
                    for part in inner.values
                )
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                text = inner.value
            if " " in text.strip():
                yield getattr(inner, "lineno", 0), NO_ERROR.sub("", text)


def test_a_keyword_of_an_error_is_one_of_a_function() -> None:
    functions = [getattr(api, name) for name in api.__all__ if name not in ("config", "types")]
    functions += [api.config.set_value, types.Cast, types.ProbeOptions]
    parameters = {name for one in functions for name in inspect.signature(one).parameters}
    assert {keyword.partition("=")[0] for keyword in KEYWORDS.values()} <= parameters
