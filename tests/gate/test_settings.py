"""Where settings are found: the nearest file up to the repository's root, never in what is judged.

And what the command line adds to them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import forked

ROOT = Path(__file__).parents[2]
SUPPRESSION = '[[suppress]]\ncode = "CK301"\nreason = "shown on purpose"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder of a repository, with a checkpoint that has teacher weights beside it."""
    (tmp_path / ".git").mkdir()
    shutil.copytree(ROOT / "fixtures/reflow", tmp_path / "reflow")
    (tmp_path / "work/deep").mkdir(parents=True)
    return tmp_path


def verify(folder: Path, *options: str) -> str:
    done = forked.ckpt("verify", "../../reflow", *options, folder=folder)
    assert done.returncode == 1
    return done.stdout


def hidden(output: str) -> bool:
    return "✗ CK301" not in output


def test_settings_are_those_of_the_nearest_folder_and_are_named(project: Path) -> None:
    here = project / "work/deep"
    assert not hidden(verify(here))
    (project / "ckpt.toml").write_text(SUPPRESSION)
    output = verify(here)
    assert hidden(output)
    assert f"settings: {project}/ckpt.toml (1 finding suppressed)" in output
    (project / "work/ckpt.toml").write_text("")
    output = verify(here)
    assert not hidden(output)
    assert f"settings: {project}/work/ckpt.toml (0 findings suppressed)" in output


def test_settings_are_read_from_a_project_file_too(project: Path) -> None:
    here = project / "work/deep"
    (here / "pyproject.toml").write_text('[project]\nname = "other"\n')
    (project / "pyproject.toml").write_text(
        "[tool.ckpt]\n" + SUPPRESSION.replace("[[suppress]]", "[[tool.ckpt.suppress]]")
    )
    output = verify(here)
    assert hidden(output)
    assert f"settings: {project}/pyproject.toml (1 finding suppressed)" in output
    assert hidden(verify(here, "--settings", "../../pyproject.toml"))
    assert not hidden(verify(here, "--settings", "pyproject.toml"))
    (project / "ckpt.toml").write_text("")
    assert "ckpt.toml (0 findings suppressed)" in verify(here)


def test_settings_above_the_repository_are_not_read(project: Path) -> None:
    (project / "ckpt.toml").write_text(SUPPRESSION)
    (project / "work/.git").write_text("gitdir: elsewhere")
    assert not hidden(verify(project / "work/deep"))
    (project / ".git").rmdir()
    (project / "work/.git").unlink()
    assert not hidden(verify(project / "work/deep"))


def test_settings_in_the_judged_folder_are_never_read(project: Path) -> None:
    policy = project / "reflow"
    (policy / "ckpt.toml").write_text(SUPPRESSION)
    (policy / "pyproject.toml").write_text("[tool.ckpt]\nprofile = 'generic'\n")
    (policy / "inner").mkdir()
    for here, where in ((policy, "."), (policy / "inner", "..")):
        done = forked.ckpt("verify", where, folder=here)
        assert not hidden(done.stdout)
        assert "settings:" not in done.stdout


def test_a_rule_is_suppressed_on_the_command_line_with_a_reason(project: Path) -> None:
    here = project / "work/deep"
    output = verify(here, "--suppress", "teacher-weights", "--reason", "a test")
    assert hidden(output)
    assert "Suppressed: 1" in output
    assert "a test" in output
    done = forked.ckpt("gate", "../../reflow", "--suppress", "CK301", folder=here)
    assert done.returncode == 2
    assert done.stderr == "ckpt: CK301 is suppressed without a reason; add --reason TEXT\n"
    done = forked.ckpt("gate", "../../reflow", "--suppress", "CK3", "--reason", "x", folder=here)
    assert done.stderr == "ckpt: no such rule: CK3; `ckpt rules CK3` lists those there are\n"


@pytest.mark.parametrize(
    "options",
    [
        ("--suppress", "CK301,CK702", "--suppress", "CK703"),
        ("--suppress", "CK301", "--suppress", "CK702", "--suppress", "CK703"),
    ],
)
def test_rules_to_suppress_are_separated_by_commas_or_given_one_by_one(
    project: Path, options: tuple[str, ...]
) -> None:
    output = verify(project / "work/deep", *options, "--reason", "a test")
    assert "Suppressed: 3" in output


def test_an_unknown_rule_among_known_ones_is_refused_with_the_list_of_its_neighbors(
    project: Path,
) -> None:
    for option in ("--rules", "--suppress"):
        done = forked.ckpt(
            *("verify", "reflow", option, "CK301,CK9999", "--reason", "x"), folder=project
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "ckpt: no such rule: CK9999; `ckpt rules CK9` lists those there are\n"
        )


def test_what_no_selected_rule_checks_is_not_said_to_have_another_reason(project: Path) -> None:
    here = project / "work/deep"
    output = verify(here, "--rules", "teacher-weights", "--values")
    for question in ("values", "completeness", "agreement of config and weights", "processors"):
        assert f"{question} not checked: none of the selected rules checked it\n" in output
    done = forked.ckpt("verify", "reflow", "--rules", "CK4", folder=project)
    assert done.returncode == 3
    assert "values not checked: tensor values not read (--values)\n" in done.stdout
    assert "completeness not checked: none of the selected rules checked it\n" in done.stdout


def test_a_suppressed_finding_names_its_subject(project: Path) -> None:
    output = verify(project / "work/deep", "--suppress", "CK301,CK702", "--reason", "a test")
    section = output.partition("Suppressed: 2\n")[2]
    assert "    CK301 model.safetensors: teacher.model.action_in_proj.bias: 500 tensors" in section
    assert "    CK702 config.json: /use_reflow: is true" in section


def test_only_the_named_rules_are_checked(project: Path) -> None:
    output = verify(project / "work/deep", "--rules", "CK301,CK70")
    codes = {word for word in output.split() if word.startswith("CK")}
    assert "CK301" in codes
    assert all(code.startswith(("CK301", "CK70")) for code in codes)
    assert "completeness not checked" in output


def test_a_page_says_how_its_finding_is_suppressed() -> None:
    page = forked.ckpt("explain", "CK301", folder=ROOT).stdout
    snippet = "\n".join(line.strip() for line in page.splitlines()[-3:])
    assert snippet == '[[suppress]]\ncode = "CK301"\nreason = "why it is fine here"'
