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
    assert done.stderr == "ckpt: no such rule: CK3; `ckpt rules` lists all rules\n"


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
