"""What is public: listed by dir and help, typed, and described in docs/python.md."""

from __future__ import annotations

import builtins
import inspect
import pydoc
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

from ckpt_tools import api
from ckpt_tools.api import types
from ckpt_tools.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
VERBS = {
    name: found for name in api.__all__ if not isinstance(found := getattr(api, name), ModuleType)
}
# Names in annotations that are Python's own, or of a type that needs no name.
PLAIN = {"Callable", "Collection", "Iterable", "Json", "Mapping", "None", *dir(builtins)}


def documented() -> dict[str, set[str]]:
    """Return the fields in the document of every record."""
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return {
        name: {
            re.sub(r"\(.*\)", "", field)
            for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
            for field in re.findall(r"`(.*?)`", row)
        }
        for name, text in sections
    }


def test_dir_lists_the_verbs_and_nothing_else() -> None:
    assert dir(api) == sorted(api.__all__)


def test_help_shows_every_verb_with_its_docstring() -> None:
    text = pydoc.plain(pydoc.render_doc(api))
    assert "__getattr__" not in text
    for name, verb in VERBS.items():
        assert f"\n    {name}(" in text
        assert (inspect.getdoc(verb) or "").partition("\n")[0] in text


CONFIG = {
    f"config.{name}": getattr(api.config, name)
    for name in ("get", "set_value", "unset_values", "diff", "validate", "find")
}


@pytest.mark.parametrize("verb", VERBS | CONFIG)
def test_help_explains_every_parameter(verb: str) -> None:
    function = (VERBS | CONFIG)[verb]
    text = inspect.getdoc(function) or ""
    assert [
        name for name in inspect.signature(function).parameters if f"`{name}`" not in text
    ] == []
    assert " as for `" not in text  # the reader has this text only


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'compare'"):
        _ = api.compare  # type: ignore[attr-defined]  # the point


def test_the_name_of_a_command_leads_to_its_function() -> None:
    with pytest.raises(AttributeError, match=r"; `ckpt apply` is api\.write in Python"):
        _ = api.apply  # type: ignore[attr-defined]  # the point
    for command in COMMANDS:
        if command not in {*api.__all__, "help", "completion"}:
            with pytest.raises(AttributeError, match=r"is api\.\w+ in Python") as caught:
                getattr(api, command)
            function = re.findall(r"api\.(\w+) in", str(caught.value))[0]
            assert hasattr(api, function)


OF_OUTPUT = {
    *("format", "full", "stat", "name-only", "tree", "list", "dry-run", "plot"),
    *("quiet", "verbose", "color", "no-pager", "help"),
}
FUNCTIONS = {
    **{name: getattr(api, name) for name in set(COMMANDS) & {*api.__all__} - {"audit", "config"}},
    "apply": api.write,
    "doctor": api.diagnose,
    "hash": api.manifest,
    "rules": api.known_rules,
}


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"spec"}))
def test_an_option_is_a_keyword_of_its_name_or_in_the_table_of_others(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    rows = [row for row in DOCUMENT.splitlines() if row.startswith("| `") and f"`{name}`" in row]
    listed = {option for row in rows for option in re.findall(r"--([a-z-]+)", row)}
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    options = {
        max(parameter.opts, key=len).removeprefix("--")
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }
    same = {option for option in options if option.replace("-", "_") in parameters}
    assert options - same - OF_OUTPUT - listed == set()


def test_every_type_of_a_signature_is_public() -> None:
    used = {
        word
        for verb in VERBS.values()
        for part in (
            inspect.signature(verb).return_annotation,
            *(one.annotation for one in inspect.signature(verb).parameters.values()),
        )
        for word in re.findall(r"\w+", str(part))
    }
    assert used - PLAIN - set(types.__all__) == set()


def test_every_verb_is_in_the_document() -> None:
    assert [name for name in VERBS if f"`{name}(" not in DOCUMENT] == []


def test_every_field_of_a_documented_record_is_in_the_document() -> None:
    found = documented()
    assert set(found) >= {"Verification", "Finding", "Verdict", "Comparison", "Diff", "Plan"}
    for name, fields in found.items():
        record = getattr(types, name)
        public = {field for field in vars(record) if not field.startswith("_")}
        assert fields == public, name


def test_the_tour_in_the_document_is_the_type_checked_example() -> None:
    tour = (ROOT / "examples" / "tour.py").read_text(encoding="utf-8")
    assert f"```python\n{tour}```" in DOCUMENT
