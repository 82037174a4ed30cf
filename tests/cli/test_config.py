"""`ckpt config get`, `validate` and `diff`: what they print, and which input is rejected."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ckpt_tools.storage import schemas
from tests.support.cases import FIXTURES, ROOT
from tests.support.config_files import TEXT, Outcome, content, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# --- get ------------------------------------------------------------------------------------------

PRINTED = {
    "/lr": "0.0001",
    "policy.device": '"cuda"',
    "name": '"\\u00e9"',
    "/tags/1": "2",
    "tags": "[\n  1,\n  2,\n  3\n]",
    "/a.b": "{}",
    "a.b": "{}",
}


@pytest.mark.parametrize(("pointer", "printed"), PRINTED.items())
def test_get_prints_the_value_as_json(
    config: Callable[..., Outcome], folder: Path, pointer: str, printed: str
) -> None:
    assert config(folder, "get", pointer) == (0, f"{printed}\n", "")


def test_get_without_a_pointer_prints_the_whole_file(
    config: Callable[..., Outcome], folder: Path
) -> None:
    done = config(folder, "get")
    assert json.loads(done.out) == json.loads(TEXT)


def test_another_file_of_the_folder_and_a_file_itself(
    config: Callable[..., Outcome], folder: Path
) -> None:
    assert config(folder, "get", "/steps", "--file", "train_config.json").out == "1\n"
    assert config(folder / "train_config.json", "get", "steps").out == "1\n"


def test_a_run_folder_leads_to_its_last_step(
    config: Callable[..., Outcome], tmp_path: Path
) -> None:
    step = tmp_path / "checkpoints" / "000010" / "pretrained_model"
    step.mkdir(parents=True)
    (step / "config.json").write_text('{"a": 1}')
    assert config(tmp_path, "get", "a").out == "1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "/lrr"], 'config.json: /lrr: no key "lrr" at the top; did you mean /lr?'),
        (
            ["get", "policy.devise"],
            'config.json: /policy/devise: no key "devise" at /policy; did you mean /policy/device?',
        ),
        (["get", "/tags/9"], "/tags is a list of 3"),
        (
            ["get", "/a", "--file", "none.json"],
            "no none.json in this folder; choose another file with --file",
        ),
        (
            ["get", "/a", "--file", "../config.json"],
            "'../config.json' leads out of the folder; omit --file, and give",
        ),
        (["set", "/policy/device/x", "1"], "/policy/device is a string and has no keys"),
        (["set", "/none/x", "1"], 'no key "none" at the top'),
        (["set", "/lr"], "Missing argument 'VALUE'"),
        (["set", "/lr", "1", "2"], "unexpected extra argument"),
        (["set", "/lr", "1", "--dry-rnu"], "No such option"),
        (["set", "/lr", "[" * 127 + "]" * 127], "nested deeper than 127"),
        (["unset"], "Missing argument 'POINTER...'"),
        (["unset", "/none/x"], 'no key "none" at the top'),
        (["unset", "/tags/3"], "/tags is a list of 3"),
        (["unset", "/"], ""),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(
    config: Callable[..., Outcome], folder: Path, arguments: list[str], words: str
) -> None:
    before = state(folder)
    done = config(folder, *arguments)
    if words:
        assert done.code == 2
        assert done.out == ""
        assert done.err.count("\n") == 1
        assert words in done.err
    assert state(folder) == before


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("bad.json", b'{"a": NaN}', "bad.json: NaN is not JSON"),
        ("bad.json", b'{"a": 1, "a": 2}', 'bad.json: key "a" stands more than once'),
        ("bad.json", b'{"a": "\xff"}', "bad.json: byte 7 is not UTF-8"),
        ("config.yaml", b"a: 1", "config.yaml: not a JSON file: its name does not end in .json"),
        ("none.json", None, "none.json: no such file or directory"),
    ],
)
def test_a_file_that_is_not_strict_json_is_refused_and_left_alone(
    config: Callable[..., Outcome], tmp_path: Path, name: str, text: bytes | None, words: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text)
    before = state(tmp_path)
    for arguments in (
        ["get", "a"],
        ["set", "a", "1"],
        ["unset", "a"],
        ["validate"],
        ["diff", str(path)],
    ):
        done = config(path, *arguments)
        assert done.code == 2
        assert words in done.err
    assert state(tmp_path) == before


def test_a_pipe_is_not_waited_for(config: Callable[..., Outcome], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert "config.json: is a named pipe, not a file" in config(tmp_path, "get").err


def test_a_folder_in_which_a_write_was_interrupted_is_refused(
    config: Callable[..., Outcome], folder: Path
) -> None:
    (folder / ".ckpt-work").mkdir()
    done = config(folder, "set", "lr", "1")
    assert done.code == 2
    assert "a write to this folder is running or was interrupted" in done.err
    assert content(folder) == TEXT.encode()


# --- diff and validate ----------------------------------------------------------------------------


def test_diff_tells_what_decides_and_exits_as_diff_does(config: Callable[..., Outcome]) -> None:
    done = config(FIXTURES / "normal", "diff", FIXTURES / "reflow")
    assert done.code == 1
    assert "✗ load_vlm_weights: true -> false" in done.out
    assert "✗ different: 3 config values" in done.out
    assert "tensors  " not in done.out
    assert config(FIXTURES / "normal", "diff", FIXTURES / "reflow-clean" / "config.json").code == 0
    train = config(FIXTURES / "normal", "diff", FIXTURES / "reflow", "--file", "train_config.json")
    assert "/policy/use_reflow: absent -> true" in train.out


def test_diff_as_json_follows_the_schema_of_diffs(config: Callable[..., Outcome]) -> None:
    printed: Any = json.loads(
        config(FIXTURES / "normal", "diff", FIXTURES / "reflow", "--format", "json").out
    )
    jsonschema.validate(printed, schemas.load("diff"))
    assert [change["pointer"] for change in printed["values"]] == [
        "/load_vlm_weights",
        "/teacher_model_path",
        "/use_reflow",
    ]


def test_a_normal_config_is_valid_and_a_reflow_config_is_not(
    config: Callable[..., Outcome],
) -> None:
    assert config(FIXTURES / "normal", "validate").code == 0
    done = config(FIXTURES / "reflow", "validate")
    assert done.code == 1
    assert [line.partition("config.json: ")[2] for line in done.out.splitlines()] == [
        (
            "/load_vlm_weights: expected true, found false (false builds the VLM in F32"
            " regardless of the stored dtype)"
        ),
        "/teacher_model_path: unknown field of this config",
        "/use_reflow: unknown field of this config",
    ]


def test_every_kind_of_problem_has_its_pointer(
    config: Callable[..., Outcome], tmp_path: Path
) -> None:
    shutil.copy(FIXTURES / "normal" / "config.json", tmp_path)
    wrong = {
        "num_steps": "0",
        "chunk_size": '"x"',
        "output_features": "{}",
        "/input_features/observation.state/a~1b": "1",
        "pad_language_to": "1",
    }
    for pointer, value in wrong.items():
        assert config(tmp_path, "set", pointer, value, "--change-type").code == 0
    lines = [
        line.partition("config.json: ")[2] for line in config(tmp_path, "validate").out.splitlines()
    ]
    assert lines == [
        '/chunk_size: expected integer, found "x"',
        "/input_features/observation.state/a~1b: unknown field of this config",
        "/num_steps: expected minimum 1, found 0",
        "/output_features/action: required field is missing",
        "/pad_language_to: expected longest or max_length, found 1",
    ]


def test_validate_as_json_follows_its_schema(config: Callable[..., Outcome]) -> None:
    schema = schemas.load("config-validate")
    for fixture, valid, code in (
        ("normal", True, 0),
        ("reflow", False, 1),
        ("language-model", None, 3),
    ):
        done = config(FIXTURES / fixture, "validate", "--format", "json")
        printed: Any = json.loads(done.out)
        jsonschema.validate(printed, schema)
        assert (printed["valid"], done.code) == (valid, code)


def test_nothing_checked_is_not_valid(config: Callable[..., Outcome]) -> None:
    done = config(FIXTURES / "language-model", "validate")
    assert (done.code, done.out) == (3, "")
    assert "no schema for this file, nothing was checked" in done.err


@pytest.mark.parametrize(
    "name", ["train_config.json", "policy_preprocessor.json", "policy_postprocessor.json"]
)
def test_the_other_files_of_a_policy_have_schemas_too(
    config: Callable[..., Outcome], tmp_path: Path, name: str
) -> None:
    assert config(FIXTURES / "normal", "validate", "--file", name).code == 0
    value = json.loads((FIXTURES / "normal" / name).read_text())
    (tmp_path / name).write_text(json.dumps(value | {"steps": "many"}))
    done = config(tmp_path / name, "validate")
    assert done.code == 1
    assert f"{name}: /steps: expected" in done.out.replace('"', "'")


def test_setting_a_value_loads_nothing_heavy(folder: Path) -> None:
    script = (
        "import sys; from ckpt_tools.api import config; import ckpt_tools.cli.config;"
        " config.set_value(sys.argv[1], 'lr', 1);"
        "print([name for name in ('numpy', 'jsonschema', 'yaml', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "[]\n"
