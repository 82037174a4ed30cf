"""`ckpt rules` and `ckpt explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ckpt_tools.report.formats import markdown, text
from ckpt_tools.report.pages.rules import explain_page, rule_markdown
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.storage import schemas
from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.rules.rule import Rule

ROOT = Path(__file__).parents[2]


def ckpt(*arguments: str) -> forked.Done:
    return forked.ckpt(*arguments, folder=ROOT)


def test_rules_are_listed_by_code() -> None:
    lines = ckpt("rules").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [rule.code for rule in all_rules()]
    line = next(line for line in lines if "CK301" in line)
    assert line.split(maxsplit=2)[1:] == ["error", "Teacher weights inside the checkpoint"]
    assert ckpt("rules", "--format", "markdown").stdout.count("\n| ") == len(all_rules())


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("CK7",), lambda rule: rule.code.startswith("CK7")),
        (("teacher-weights", "CK9"), lambda rule: rule.code.startswith(("CK301", "CK9"))),
        (("ck3", "CK901"), lambda rule: rule.code.startswith(("CK3", "CK901"))),
        (("--severity", "note"), lambda rule: rule.severity == "note"),
        (("--family", "adapter"), lambda rule: "PEFT adapter" in rule.kinds),
        (("CK7", "--family", "SmolVLA"), lambda rule: "smolvla" in rule.families),
    ],
)
def test_rules_are_selected_by_code_severity_and_family(
    arguments: tuple[str, ...], wanted: Callable[[Rule], bool]
) -> None:
    document = json.loads(ckpt("rules", *arguments, "--format", "json").stdout)
    found = {rule["code"] for rule in document["rules"]}
    expected = {rule.code for rule in all_rules() if wanted(rule)}
    assert (
        found == {code for code in expected if "CK7" not in arguments or code[:3] == "CK7"} != set()
    )


def test_the_json_follows_its_schema() -> None:
    schema = schemas.load("rules")
    jsonschema.Draft202012Validator.check_schema(schema)
    for arguments, count in ((["rules"], len(all_rules())), (["explain", "CK301"], 1)):
        document = json.loads(ckpt(*arguments, "--format", "json").stdout)
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(document)) == []
        assert len(document["rules"]) == count


@pytest.mark.parametrize("named", ["CK301", "ck301", "teacher-weights", "Teacher-Weights"])
def test_a_page_is_found_by_code_and_name(named: str) -> None:
    done = ckpt("explain", named)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "CK301 teacher-weights\n    Teacher weights inside the checkpoint\n"
    )
    assert (
        "repair: `ckpt sanitize WHERE` (safe: nothing that the model uses is lost)" in done.stdout
    )
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_every_page_can_be_printed(rule: Rule) -> None:
    for render in (text.render, markdown.render):
        assert rule.code in render(explain_page(rule))


def test_the_markdown_is_the_page_of_the_documents() -> None:
    rule = next(rule for rule in all_rules() if rule.code == "CK301")
    assert ckpt("explain", "CK301", "--format", "markdown").stdout == rule_markdown(rule)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("CK999", "no such rule: CK999; `ckpt rules CK9` lists those there are"),
        ("ck099", "no such rule: ck099; `ckpt rules` lists those there are"),
        ("CK3", "no such rule: CK3; `ckpt rules CK3` lists those there are"),
        ("ck30", "no such rule: ck30; `ckpt rules CK30` lists those there are"),
        ("CK", "no such rule: CK; `ckpt rules` lists those there are"),
        ("CK9999", "no such rule: CK9999; `ckpt rules CK9` lists those there are"),
        ("CK3011", "no such rule: CK3011 (did you mean CK301?)"),
        ("CK30A1", "no such rule: CK30A1 (did you mean CK3"),
        ("teacher-weight", "no such rule: teacher-weight (did you mean teacher-weights?)"),
        ("§", "no such rule: §; `ckpt rules` lists all rules"),
        ("\x1b[31m", "no such rule: \\x1b[31m"),
    ],
)
def test_an_unknown_one_is_refused_with_what_is_close(named: str, words: str) -> None:
    done = ckpt("explain", named)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
