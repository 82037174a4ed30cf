"""What scripts and people rely on.

Help texts, exit codes, where output goes, and that every command is documented.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from ckpt_tools import api, errors
from ckpt_tools.cli.main import COMMANDS, cli, main
from tests.support import forked

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HELP = Path(__file__).parent / "help"
NORMAL, REFLOW = "fixtures/normal", "fixtures/reflow"


def ckpt(*arguments: str, **environment: str) -> forked.Done:
    """Run `ckpt` in a process of its own, at the top of the checkout."""
    return forked.ckpt(*arguments, folder=ROOT, env=os.environ | environment)


def commands(command: click.Command, name: str = "ckpt") -> Iterator[tuple[str, click.Command]]:
    """Yield every command and those of groups, with their names."""
    yield name, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for inner in command.list_commands(ctx):
            yield from commands(command.get_command(ctx, inner) or command, f"{name} {inner}")


def test_no_example_is_wider_than_80_columns_or_broken() -> None:
    for name, command in commands(cli):
        for paragraph in (command.help or "").split("\n\n"):
            title, *lines = [line.rstrip() for line in paragraph.strip(" \n").split("\n")]
            for before, line in pairwise(("", *lines) if title == "\b" else ()):
                assert len(line.strip()) <= 76, (name, line)
                assert line.strip().startswith("ckpt ") or before.endswith("\\"), (name, line)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_frozen(command: str) -> None:
    """To change a help text on purpose: make golden, and read the difference."""
    done = ckpt(*command.split(), "--help", COLUMNS="80")
    frozen = HELP / f"{command or 'ckpt'}.txt"
    if os.environ.get("CKPT_GOLDEN") == "write":
        frozen.write_text(done.stdout, encoding="utf-8")
    assert done.returncode == 0
    assert done.stdout == frozen.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_the_changelog(command: str) -> None:
    for document in ("README.md", "CHANGELOG.md"):
        assert f"ckpt {command}" in (ROOT / document).read_text(encoding="utf-8"), document


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_has_help(command: str) -> None:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    assert found.help
    assert all(parameter.help for parameter in found.params if isinstance(parameter, click.Option))


def test_same_is_0_and_different_is_1() -> None:
    assert ckpt("diff", NORMAL, NORMAL).returncode == 0
    assert ckpt("diff", NORMAL, REFLOW).returncode == 1


def test_differences_that_are_ignored_are_no_differences() -> None:
    assert (
        ckpt("diff", NORMAL, "fixtures/reflow-clean", "--ignore", "train_config.**").returncode == 0
    )
    assert ckpt("diff", NORMAL, REFLOW, "--only", "shape,metadata").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "no such command: nonsense; see `ckpt --help`"),
        (["dif"], "no such command: dif (did you mean diff?); see `ckpt --help`"),
        (["help", "verfy"], "no such command: verfy (did you mean verify?)"),
        (["help", "diff", "more"], "ckpt diff has no commands, so no more"),
        (["rules", "CK0"], "no such rule: CK0; `ckpt rules` lists those there are"),
        (
            ["rules", "CK813", "--severity", "error"],
            "no rule is selected; omit --severity or --family; rules are about all checkpoints",
        ),
        (
            ["verify", NORMAL, "--suppress", "CK301", "CK702", "--reason", "x"],
            (
                "CK702 is the code of a rule, and no checkpoint has this name; separate codes by"
                " commas, without spaces: CK301,CK702"
            ),
        ),
        (
            ["verify", "CK301"],
            (
                "CK301 is the code of a rule, and no checkpoint has this name; name a checkpoint;"
                " `ckpt explain CK301` explains the rule"
            ),
        ),
        (
            ["verify", NORMAL, "--suppress", "", "--reason", "x"],
            "--suppress is empty; write --supp",
        ),
        (["gate", NORMAL, "--suppress", ",", "--reason", "x"], "--suppress is empty; write --supp"),
        (["verify", NORMAL, "--rules", " , "], "--rules is empty; write --rules CODES, or omit it"),
        (["gate", NORMAL, "--require", ""], "--require is empty; write --require QUESTIONS, or"),
        (
            ["verify", NORMAL, "--reason", "x"],
            "a reason, but no rule that is suppressed for it; name rules with --suppress CODES",
        ),
        (["config", "set", "num\udcff", "3", NORMAL], "/num\\udcff: is not UTF-8, as keys of JSON"),
        (["show", NORMAL, "--list", "--tree"], "--tree, --list and --values exclude each other"),
        (
            ["diff", NORMAL, REFLOW, "--stat", "--full"],
            "--stat, --name-only and --full exclude each other; leave all but one out",
        ),
        (
            ["apply", NORMAL],
            f"{NORMAL}: is a folder, not a file; make one with `ckpt plan WHERE RECIPE --output",
        ),
        (["plan", NORMAL, NORMAL], f"{NORMAL}: is a folder, not a file; expected a recipe file"),
        (
            ["verify", NORMAL, "--baseline", REFLOW],
            f"{REFLOW}: is a folder, not a file; expected a report of ckpt",
        ),
        (["diff", NORMAL], "Missing argument 'B'; see `ckpt diff --help`"),
        (
            ["diff", NORMAL, REFLOW, "--only", "taste"],
            "taste is not an aspect; choose from keys, dtype, shape",
        ),
        (
            ["diff", NORMAL, REFLOW, "--select", "nothing.**"],
            "nothing in either matches nothing.**; `ckpt show --tree` prints the names",
        ),
        (
            ["diff", NORMAL, REFLOW, "--format", "yaml"],
            "'yaml' is not one of 'text', 'json', 'markdown'",
        ),
        (
            ["show", NORMAL, "--tree", "--format", "json"],
            (
                "--tree does not go with --format json; leave --tree out: the JSON lists"
                " every tensor"
            ),
        ),
        (["repair", NORMAL], "no such command: repair (did you mean sanitize?); see `ckpt --help`"),
        (["undo"], "no such command: undo (did you mean restore?)"),
        (["diff", NORMAL, REFLOW, "--only", "values"], "use --values to compare them; see"),
        (["diff", NORMAL, REFLOW, "--tolerance", "abc"], "'abc' is not a valid number; see"),
        (["completion"], "Missing argument '{bash|zsh|fish}'; see `ckpt completion --help`"),
        (["audit"], "Missing command, one of run, show, diff, graph, export; see `ckpt audit"),
        (["config", NORMAL], "Missing command, one of diff, get, set, unset, validate; see"),
        (["config"], "Missing command, one of diff, get, set, unset, validate; see"),
        (["show", "fixtures/absent"], "fixtures/absent: no such file or directory; expected"),
        (
            ["show", "fixtures/normal/config.json"],
            "is a configuration file, not a checkpoint; pass its folder: fixtures/normal",
        ),
        (["show", "README.md"], "README.md: is not a .safetensors file"),
        (["show", "docs"], "docs: contains no .safetensors file"),
    ],
)
def test_wrong_use_is_one_line_on_standard_error_and_2(arguments: list[str], words: str) -> None:
    done = ckpt(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("ckpt: ")
    assert words in done.stderr


def test_without_arguments_the_help_is_shown() -> None:
    done = ckpt()
    assert done.returncode == 2
    assert "\nLook:\n" in done.stderr


@pytest.mark.parametrize("names", [[], ["diff"], ["config", "set"], ["audit", "run"]])
def test_help_as_a_command_is_the_help_of_the_option(names: list[str]) -> None:
    asked = ckpt("help", *names)
    assert asked.returncode == 0
    usage = asked.stdout.splitlines()[0]
    assert usage.startswith("Usage: ckpt ") or names == []
    for name in names:
        assert name in usage
    if "config" not in names:  # whose own argument comes first
        assert asked.stdout == ckpt(*names, "--help").stdout


@pytest.mark.parametrize("how", ["-q", "--quiet"])
def test_quiet_prints_nothing_and_the_status_tells(how: str) -> None:
    for arguments, status in ((("diff", NORMAL, REFLOW), 1), (("verify", NORMAL), 0)):
        before, after = ckpt(how, *arguments), ckpt(*arguments, how)
        assert (before.returncode, before.stdout, before.stderr) == (status, "", "")
        assert (after.returncode, after.stdout, after.stderr) == (status, "", "")
    assert "no such file" in ckpt("show", "absent", how).stderr


def test_color_is_what_the_option_says_whatever_the_environment() -> None:
    plain = ckpt("diff", NORMAL, NORMAL).stdout
    assert "\x1b[" not in plain
    assert "\x1b[32m" in ckpt("diff", NORMAL, NORMAL, "--color=always", NO_COLOR="1").stdout
    assert ckpt("diff", NORMAL, NORMAL, "--color", "never", FORCE_COLOR="1").stdout == plain


def test_the_short_option_prints_the_version() -> None:
    assert ckpt("-V").stdout == ckpt("--version").stdout != ""


def test_a_list_has_every_tensor_with_dtype_and_shape() -> None:
    lines = ckpt("show", "fixtures/language-model", "--list").stdout.splitlines()
    assert lines[0].split("  ") == ["F16", "[32, 8]", "lm_head.weight"]
    assert len(lines) == 21
    assert len({line.split()[-1] for line in lines}) == 21


def test_the_names_of_what_differs_are_those_of_the_diff() -> None:
    done = ckpt("diff", NORMAL, REFLOW, "--name-only")
    names = done.stdout.splitlines()
    document = json.loads(ckpt("diff", NORMAL, REFLOW, "--format", "json").stdout)
    assert done.returncode == 1
    assert len(names) == len(set(names)) == 707
    assert {one["name"] for one in document["tensors"]["only_b"]} <= set(names)
    assert "config.use_reflow" in names
    same = ckpt("diff", NORMAL, NORMAL, "--name-only")
    assert (same.returncode, same.stdout) == (0, "")


def test_an_aspect_that_does_not_exist_is_refused_by_the_library_too() -> None:
    with pytest.raises(errors.UnknownSelection, match="no such aspect: kays"):
        api.diff(NORMAL, REFLOW, aspects=("kays",))


def test_the_table_of_a_diff_counts_what_differs() -> None:
    done = ckpt("diff", NORMAL, REFLOW, "--stat")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [row[0] for row in rows] == ["number", "500", "199", "3", "5", "tensor"]
    assert rows[1][1:3] == ["+87.7", "kB"]
    same = ckpt("diff", NORMAL, NORMAL, "--stat")
    assert same.stdout == "  ✓ same structure; tensor values were not compared\n"


def complete(*words: str) -> list[str]:
    """Return what bash would be offered after these words."""
    done = ckpt(
        _CKPT_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
    )
    return done.stdout.splitlines()


def test_a_shell_is_offered_commands_options_files_and_codes() -> None:
    assert complete("ckpt", "ver") == ["plain,verify"]
    assert complete("ckpt", "show", "fix") == ["file,fix"]
    assert complete("ckpt", "diff", "a", "b", "--name") == ["plain,--name-only"]
    assert complete("ckpt", "explain", "CK30") == [f"plain,CK30{digit}" for digit in range(1, 10)]
    assert complete("ckpt", "gate", "x", "--settings", "ck") == ["file,ck"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_asks_ckpt(shell: str) -> None:
    script = ckpt("completion", shell).stdout
    assert f"_CKPT_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_output_survives_an_encoding_without_the_marks() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ckpt_tools", "diff", NORMAL, REFLOW],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 1
    assert "\\u2717 different: 500 tensors only in B" in done.stdout


def test_a_reader_that_leaves_early_is_no_trouble_to_anyone() -> None:
    script = f"{sys.executable} -m ckpt_tools diff {NORMAL} {REFLOW} --full --format json | head -1"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_json_goes_to_standard_output_alone() -> None:
    done = ckpt("show", NORMAL, "--format", "json")
    assert json.loads(done.stdout)["tensor_count"] == 500
    assert done.stderr == ""


def test_an_interrupt_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ckpt_tools.api.show", interrupted)
    assert main(["show", NORMAL]) == 130
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("ckpt: interrupted; no partial output was left behind")
    )
