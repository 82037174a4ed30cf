"""Golden outputs of `ckpt show`, `ckpt diff` and `ckpt sanitize --dry-run`, in `golden/`.

After a change that is meant to change them:

    CKPT_GOLDEN=write .venv/bin/pytest tests/report/test_golden.py      (then read the difference in
    git before you commit it)

JSON is kept with long lists cut after three items and their length noted; the command's own JSON is
checked against the schemas in full, for every pair of fixtures. Text and Markdown are kept whole.
What the command prints in a pipe is what these files hold, so a difference here is one that users
see.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ckpt_tools import api
from ckpt_tools.report.formats import markdown, terminal, text
from ckpt_tools.report.json.diff import diff_document, show_document
from ckpt_tools.report.json.document import coverage_entry, dump
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.plan import plan_page
from ckpt_tools.report.pages.show import show_page
from ckpt_tools.storage import schemas
from tests.support.terminal_lines import too_wide

if TYPE_CHECKING:
    from ckpt_tools.diff.model import Comparison, Summary
    from ckpt_tools.report.blocks import Page
    from ckpt_tools.report.json.document import JsonDict

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
ROOT = HERE.parents[1]
WRITE = os.environ.get("CKPT_GOLDEN") == "write"

NAMES = (
    "normal",
    "reflow",
    "reflow-clean",
    "shared-vlm",
    "f32-vlm",
    "sharded",
    "lerobot-0.3",
    "language-model",
)
PAIRS = (
    *(("normal", name) for name in NAMES),
    ("reflow", "reflow-clean"),
    ("lerobot-0.3", "normal"),
    ("shared-vlm", "normal"),
    ("reflow", "shared-vlm"),
)
VALUED = (("normal", "reflow-clean"), ("normal", "f32-vlm"))
DIRTY = ("reflow", "shared-vlm", "sharded", "lerobot-0.3")
RENDERERS = {"txt": text.render, "md": markdown.render}
KEPT = 3
"""Items of a long list that a golden JSON keeps."""


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where `fixtures/normal` is a path, as in the README."""
    monkeypatch.chdir(ROOT)


@cache
def shown(name: str) -> Summary:
    return api.show(f"fixtures/{name}")


def shown_page(name: str) -> Page:
    summary = shown(name)
    return show_page(summary, coverage=api.coverage(summary.checkpoint))


def shown_document(name: str) -> JsonDict:
    summary = shown(name)
    return show_document(summary) | coverage_entry(api.coverage(summary.checkpoint))


@cache
def compared(a: str, b: str) -> Comparison:
    return api.diff(f"fixtures/{a}", f"fixtures/{b}")


def values_compared(a: str, b: str) -> Comparison:
    return api.diff(f"fixtures/{a}", f"fixtures/{b}", values=True, cached=False)


def check(name: str, output: str) -> None:
    """Compare `output` with the golden file, or write it."""
    path = GOLDEN / name
    if WRITE:
        path.write_text(output, encoding="utf-8")
    assert path.is_file(), f"{path} is not there; CKPT_GOLDEN=write makes it"
    assert output == path.read_text(encoding="utf-8")


def abridged(value: Any) -> Any:
    """Return a JSON value with long lists cut."""
    if isinstance(value, dict):
        return {key: abridged(item) for key, item in value.items()}
    if isinstance(value, list):
        cut = [abridged(item) for item in value[:KEPT]]
        return [*cut, f"and {len(value) - KEPT} more"] if len(value) > KEPT else cut
    return value


def pages() -> dict[str, Page]:
    """Return every page that has a golden file, by its name."""
    found = {f"show-{name}": shown_page(name) for name in NAMES}
    found |= {
        f"tree-{name}": show_page(shown(name), tree=True)
        for name in ("normal", "reflow", "language-model")
    }
    found |= {f"diff-{a}-{b}": diff_page(compared(a, b)) for a, b in PAIRS}
    found |= {
        f"sanitize-{name}": plan_page(api.sanitize(f"fixtures/{name}", reference="fixtures/normal"))
        for name in DIRTY
    }
    found |= {f"values-{a}-{b}": diff_page(values_compared(a, b)) for a, b in VALUED}
    found |= {
        "values-full": diff_page(values_compared(*VALUED[0]), full=True),
        "show-values": show_page(api.show("fixtures/normal", values=True, cached=False)),
    }
    found |= {
        f"full-{a}-{b}": diff_page(compared(a, b), full=True)
        for a, b in (("normal", "reflow"), ("normal", "lerobot-0.3"))
    }
    return found


PAGES = [f"show-{name}" for name in NAMES] + ["tree-normal", "tree-reflow", "tree-language-model"]
PAGES += [f"values-{a}-{b}" for a, b in VALUED] + ["values-full", "show-values"]
PAGES += [f"sanitize-{name}" for name in DIRTY]
PAGES += [f"diff-{a}-{b}" for a, b in PAIRS] + ["full-normal-reflow", "full-normal-lerobot-0.3"]


# --- byte for byte --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RENDERERS)
@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_golden_one(name: str, kind: str) -> None:
    check(f"{name}.{kind}", RENDERERS[kind](pages_once()[name]))


@cache
def pages_once() -> dict[str, Page]:
    return pages()


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_the_json_of_a_diff_is_the_golden_one(a: str, b: str) -> None:
    check(f"diff-{a}-{b}.json", dump(abridged(diff_document(compared(a, b)))))


@pytest.mark.parametrize("name", NAMES)
def test_the_json_of_show_is_the_golden_one(name: str) -> None:
    check(f"show-{name}.json", dump(abridged(shown_document(name))))


def test_there_are_no_golden_files_that_nothing_is_compared_with() -> None:
    expected = {f"{name}.{kind}" for name in PAGES for kind in RENDERERS}
    expected |= {f"diff-{a}-{b}.json" for a, b in PAIRS} | {f"show-{name}.json" for name in NAMES}
    assert {path.name for path in GOLDEN.iterdir()} == expected


@pytest.mark.parametrize("name", PAGES)
def test_no_golden_text_has_an_escape_sequence_or_a_blank_at_the_end_of_a_line(name: str) -> None:
    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert "\x1b" not in golden
    assert [line for line in golden.split("\n") if line != line.rstrip()] == []
    assert golden.endswith("\n")
    assert not golden.endswith("\n\n")


@pytest.mark.parametrize("name", PAGES)
def test_80_columns_are_enough_and_break_no_name(name: str) -> None:
    """Only a name, a path or a command on a line of its own may be wider."""
    page = pages_once()[name]
    output = terminal.render(page, 80, color=False)
    assert too_wide(output, 80) == []
    assert Counter(output.split()) == Counter(text.render(page).split())
    assert [line for line in output.split("\n") if line != line.rstrip()] == []


# --- the command in a pipe ------------------------------------------------------------------------


def ckpt(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ckpt_tools", *arguments]
    return subprocess.run(
        command, capture_output=True, timeout=60, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("arguments", "golden", "status"),
    [
        (["diff", "fixtures/normal", "fixtures/reflow"], "diff-normal-reflow.txt", 1),
        (["diff", "fixtures/normal", "fixtures/normal"], "diff-normal-normal.txt", 0),
        (
            ["diff", "fixtures/normal", "fixtures/reflow", "--format", "markdown"],
            "diff-normal-reflow.md",
            1,
        ),
        (["diff", "fixtures/normal", "fixtures/reflow", "--full"], "full-normal-reflow.txt", 1),
        (["show", "fixtures/normal", "--tree"], "tree-normal.txt", 0),
        (["show", "fixtures/normal"], "show-normal.txt", 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_command_in_a_pipe_prints_the_golden_text_without_escape_sequences(
    arguments: list[str], golden: str, status: int
) -> None:
    done = ckpt(*arguments, TERM="xterm-256color", FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert (done.returncode, done.stderr) == (status, b"")
    assert done.stdout == (GOLDEN / golden).read_bytes()
    assert b"\x1b" not in done.stdout


def test_the_command_prints_the_json_of_the_library() -> None:
    done = ckpt("diff", "fixtures/normal", "fixtures/reflow", "--format", "json")
    assert done.stdout.decode() == dump(diff_document(compared("normal", "reflow")))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_stays_json_where_the_output_is_not_utf_8(encoding: str, tmp_path: Path) -> None:
    config = {"é": "権 \U0001f916", "a": "\\xe9"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    done = ckpt(
        "diff", "fixtures/normal", str(tmp_path), "--format", "json", PYTHONIOENCODING=encoding
    )
    values = {
        change["pointer"]: change["b"].get("value")
        for change in json.loads(done.stdout.decode(encoding))["values"]
    }
    assert values["/é"] == config["é"]
    assert values["/a"] == config["a"]


# --- schemas --------------------------------------------------------------------------------------


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = schemas.load(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations_with_replacement(NAMES, 2)))
def test_the_json_of_every_pair_of_fixtures_follows_its_schema(a: str, b: str) -> None:
    document = json.loads(dump(diff_document(compared(a, b))))
    assert [error.message for error in validator("diff").iter_errors(document)] == []
    assert document["same"] == (a == b)


@pytest.mark.parametrize("name", NAMES)
def test_the_json_of_show_follows_its_schema(name: str) -> None:
    document = json.loads(dump(shown_document(name)))
    assert [error.message for error in validator("show").iter_errors(document)] == []
    assert (
        document["tensor_count"]
        == len(document["tensors"])
        == sum(group["tensors"] for group in document["components"])
    )


@pytest.mark.parametrize("schema", ["diff", "show"])
@pytest.mark.parametrize("broken", [{}, {"extra": 1}, [], None])
def test_the_schemas_refuse_what_the_command_never_prints(schema: str, broken: object) -> None:
    assert not validator(schema).is_valid(broken)


def test_the_schemas_name_every_key_and_allow_no_other() -> None:
    document = json.loads(dump(diff_document(compared("normal", "reflow"))))
    for key in document.keys() - {"change"}:  # a later addition, and optional
        assert not validator("diff").is_valid(
            {name: value for name, value in document.items() if name != key}
        )
    assert not validator("diff").is_valid(document | {"unheard_of": 1})
