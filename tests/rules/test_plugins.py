"""Rules and families of other distributions, which must never crash a verification.

Each test runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.registry import all_rules, objection
from ckpt_tools.rules.rule import Rule

ROOT = Path(__file__).parents[2]
RULES = """
    from ckpt_tools.rules.finding import Need, Severity
    from ckpt_tools.rules.rule import Rule, Violation

    def check(subject):
        yield Violation(f"is a {subject.family.name}", "config.json", "/type", "tell ACME")

    HEADERS = frozenset({Need.HEADERS})
    RULE = Rule("ACME101", "acme-policy", Severity.WARNING, HEADERS, check, "No policy is ACME's.")
    RULES = [RULE, RULE._replace(code="ACME102", name="acme-other", check=lambda subject: ())]
    OWN = RULE._replace(code="CK301")
    NAMESAKE = RULE._replace(code="ACME103", name="teacher-weights")
    CRASHES = RULE._replace(
        code="ACME104", name="acme-crash", check=lambda subject: subject.nothing
    )
    YIELDS = RULE._replace(
        code="ACME105",
        name="acme-yields",
        check=lambda subject: [("a", "b", "c", "d", "e", "f", "g")],
    )
    NUMBER = 7
"""
FAMILY = """
    from ckpt_tools.families.family import GENERIC

    FAMILY = GENERIC._replace(name="acme", recognises=lambda checkpoint: True)
    BROKEN = GENERIC._replace(name="broken", recognises=lambda checkpoint: 1 / 0)
    HALF = FAMILY._replace(component=lambda name: 1 / 0, expected=lambda checkpoint: 1 / 0)
"""


def distribution(folder: Path, rules: str = "", families: str = "") -> None:
    """What `pip install --target` would leave of acme-rules 1.2.

    A module, and a folder that says what it is.
    """
    info = folder / "acme_rules-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.2\n", encoding="utf-8"
    )
    entries = [
        (group, entry)
        for group, entry in (("ckpt_tools.rules", rules), ("ckpt_tools.families", families))
        if entry
    ]
    (info / "entry_points.txt").write_text(
        "".join(f"[{group}]\nacme = {entry}\n" for group, entry in entries), encoding="utf-8"
    )
    (folder / "acme_rules.py").write_text(dedent(RULES), encoding="utf-8")
    (folder / "acme_family.py").write_text(dedent(FAMILY), encoding="utf-8")


def python(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )


VERIFY = """
import json, sys
from ckpt_tools import api
found = api.verify(sys.argv[1])
findings = [finding for finding in found.findings if finding.code.startswith("ACME")]
print(json.dumps({"family": found.family, "asked": found.checked, "findings": findings}))
"""


def verified(folder: Path, where: str = "fixtures/normal") -> tuple[dict[str, Any], str]:
    done = python(folder, VERIFY, where)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_rules_of_another_distribution_are_checked(tmp_path: Path) -> None:
    distribution(tmp_path, "acme_rules:RULES")
    found, complaints = verified(tmp_path)
    assert found["findings"] == [
        ["ACME101", "warning", "is a smolvla", "config.json", "/type", [[], "tell ACME", False]]
    ]
    assert {"ACME101", "ACME102"} <= set(found["asked"])
    assert complaints == ""


def test_a_single_rule_needs_no_list(tmp_path: Path) -> None:
    distribution(tmp_path, "acme_rules:RULE")
    assert len(verified(tmp_path)[0]["findings"]) == 1


def test_they_are_listed_and_explained(tmp_path: Path) -> None:
    distribution(tmp_path, "acme_rules:RULES")
    program = (
        "from ckpt_tools import api; print([rule.code for rule in api.known_rules()][:2],"
        " api.explain('acme-policy').page)"
    )
    assert python(tmp_path, program).stdout == "['ACME101', 'ACME102'] No policy is ACME's.\n"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "nothing_of_the_kind:RULE",
            (
                "its acme (ckpt_tools.rules) cannot be loaded: ModuleNotFoundError: No module"
                " named 'nothing_of_the_kind'"
            ),
        ),
        ("acme_rules:ABSENT", "its acme (ckpt_tools.rules) cannot be loaded: AttributeError"),
        (
            "acme_rules:OWN",
            "the code CK301 starts with CK and a number, which is reserved for the tool",
        ),
        ("acme_rules:NAMESAKE", "ACME103 teacher-weights has the code or the name of another rule"),
        ("acme_rules:NUMBER", "is int, expected a Rule"),
    ],
)
def test_a_broken_rule_is_a_warning_that_names_the_distribution(
    tmp_path: Path, entry: str, words: str
) -> None:
    distribution(tmp_path, entry)
    found, complaints = verified(tmp_path)
    assert found["findings"] == []
    assert complaints.startswith(f"ckpt: acme-rules 1.2: {words}")
    assert complaints.endswith("; it is skipped\n")
    assert complaints.count("\n") == 1


@pytest.mark.parametrize(
    ("entry", "words"), [("CRASHES", "AttributeError"), ("YIELDS", "TypeError")]
)
def test_a_rule_that_fails_has_not_passed(tmp_path: Path, entry: str, words: str) -> None:
    distribution(tmp_path, f"acme_rules:{entry}")
    found, complaints = verified(tmp_path)
    ((code, severity, what, _, _, after),) = found["findings"]
    assert severity == "warning"
    assert after == [[], "report it to the maintainers of acme-rules 1.2, or uninstall it", False]
    assert what.startswith(f"the rule failed: {words}")
    assert complaints.startswith(f"ckpt: acme-rules 1.2: {code} ")


def test_a_plugin_family_recognizes_only_what_no_other_family_does(tmp_path: Path) -> None:
    distribution(tmp_path, families="acme_family:FAMILY")
    assert verified(tmp_path, "fixtures/language-model")[0]["family"] == "acme"
    assert verified(tmp_path, "fixtures/normal")[0]["family"] == "smolvla"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("acme_family:BROKEN", "`recognises` of the family broken failed: ZeroDivisionError"),
        ("acme_rules:NUMBER", "is int, expected a Family"),
        ("nothing:X", "cannot be loaded"),
    ],
)
def test_a_broken_family_is_a_warning(tmp_path: Path, entry: str, words: str) -> None:
    distribution(tmp_path, families=entry)
    found, complaints = verified(tmp_path, "fixtures/language-model")
    assert found["family"] == "llama"
    assert complaints.startswith("ckpt: acme-rules 1.2: ")
    assert words in complaints


def test_a_family_that_fails_later_is_reported_once_and_replaced_by_the_generic_one(
    tmp_path: Path,
) -> None:
    distribution(tmp_path, families="acme_family:HALF")
    found, complaints = verified(tmp_path, "fixtures/language-model")
    assert found["family"] == "acme"
    assert "`expected` of the family acme failed: ZeroDivisionError" in complaints
    assert len(complaints.splitlines()) == len(set(complaints.splitlines()))


def test_findings_of_plugin_rules_can_be_suppressed_by_code_and_by_name(tmp_path: Path) -> None:
    distribution(tmp_path, "acme_rules:RULE")
    program = VERIFY.replace("sys.argv[1])", "sys.argv[1], settings=sys.argv[2])")
    for word in ("ACME101", "acme101", "acme-policy"):
        settings = tmp_path / "live.toml"
        settings.write_text(f'[[suppress]]\ncode = "{word}"\nreason = "ours"\n', encoding="utf-8")
        done = python(tmp_path, program, "fixtures/normal", str(settings))
        assert json.loads(done.stdout)["findings"] == [], done.stderr


def test_plugins_are_not_loaded_before_a_verification(
    tmp_path: Path,
) -> None:
    distribution(tmp_path, "acme_rules:RULES")
    program = (
        "import sys; from ckpt_tools import api; from ckpt_tools.cli.main import main;"
        " main(['show', 'fixtures/normal']); print('acme_rules' in sys.modules)"
    )
    assert python(tmp_path, program).stdout.endswith("False\n")


def test_a_complete_new_rule_is_accepted() -> None:
    rule = Rule(
        "ACME1", "acme", Severity.NOTE, frozenset({Need.CONFIG}), lambda _: iter(()), "A sentence."
    )
    assert objection(rule, all_rules()) == ""
    broken = [
        rule._replace(code="acme1"),
        rule._replace(code="A1"),
        rule._replace(name="Acme Rule"),
        rule._replace(page=" "),
        rule._replace(code="CK1"),
    ]
    strange: list[dict[str, Any]] = [
        {"needs": frozenset({"headers"})},
        {"severity": "error"},
        {"check": None},
    ]
    broken += [rule._replace(**fields) for fields in strange]
    assert all(objection(one, all_rules()) for one in broken)
