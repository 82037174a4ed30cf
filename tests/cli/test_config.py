"""`ckpt config`: what it prints, and every byte and file that it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest

from ckpt_tools.api import _config
from ckpt_tools.cli.main import main
from ckpt_tools.errors import NoSpace, Unwritable
from ckpt_tools.storage import durable, schemas

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"

TEXT = (
    '{\r\n   "type": "smolvla",\r\n   "lr": 1E-4,\r\n   "name": "\\u00e9",\r\n   "tags": [1, 2,'
    ' 3],\r\n   "policy": {"device": "cuda"},\r\n   "a.b": {}\r\n}'
)


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def config(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Return a function that runs `ckpt config` in this process."""
    monkeypatch.setattr("ckpt_tools.cli.main.COMMANDS", ("config",))

    def run(*arguments: str | Path) -> Outcome:
        code = main(["config", *map(str, arguments)])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a config in a spelling of its own, and another file."""
    (tmp_path / "config.json").write_bytes(TEXT.encode())
    (tmp_path / "train_config.json").write_bytes(b'{"steps": 1}\n')
    return tmp_path


def content(folder: Path) -> bytes:
    return (folder / "config.json").read_bytes()


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return every file with what would tell that it was written."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        found[path.name] = (
            status.st_ino,
            status.st_mtime_ns,
            status.st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
    return found


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
            "--file ../config.json leads out of the folder",
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


# --- set and unset --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pointer", "value", "old", "new", "said"),
    [
        ("/lr", "1e-5", "1E-4", "1e-05", "/lr: 0.0001 -> 1e-05 (read as JSON)\n"),
        ("lr", "-1", "1E-4", "-1", "/lr: 0.0001 -> -1 (read as JSON)\n"),
        ("type", "true", '"smolvla"', "true", '/type: "smolvla" -> true (read as JSON)\n'),
        (
            "type",
            "True",
            '"smolvla"',
            '"True"',
            '/type: "smolvla" -> "True" (treated as a string: not valid JSON)\n',
        ),
        ("type", '"1"', '"smolvla"', '"1"', '/type: "smolvla" -> "1" (read as JSON)\n'),
        (
            "policy.device",
            "cpu",
            '"cuda"',
            '"cpu"',
            '/policy/device: "cuda" -> "cpu" (treated as a string: not valid JSON)\n',
        ),
        ("tags.-", "4", "3]", "3, 4]", "/tags/-: absent -> 4 (read as JSON)\n"),
        ("/tags/0", "null", "[1", "[null", "/tags/0: 1 -> null (read as JSON)\n"),
        (
            "tagz",
            "ü",
            '"a.b": {}',
            '"a.b": {},\r\n   "tagz": "\\u00fc"',
            '/tagz: absent -> "ü" (treated as a string: not valid JSON) (did you mean /tags?)\n',
        ),
        (
            "/a.b/c",
            '{"d": 1}',
            "{}",
            '{\r\n      "c": {"d": 1}\r\n   }',
            '/a.b/c: absent -> {"d": 1} (read as JSON)\n',
        ),
    ],
)
def test_set_changes_the_value_and_no_other_byte(  # noqa: PLR0913, PLR0917 - one parameter a column
    config: Callable[..., Outcome],
    folder: Path,
    pointer: str,
    value: str,
    old: str,
    new: str,
    said: str,
) -> None:
    others = {name: found for name, found in state(folder).items() if name != "config.json"}
    expected = TEXT.replace(old, new, 1)
    done = config(folder, "set", pointer, value)
    assert done == (0, said, "")
    if "{\r\n" not in new:
        assert content(folder).decode() == expected
    assert json.loads(content(folder)) == json.loads(expected)
    assert {name: found for name, found in state(folder).items() if name != "config.json"} == others


def test_what_is_set_already_is_not_written_again(
    config: Callable[..., Outcome], folder: Path
) -> None:
    before = state(folder)
    assert config(folder, "set", "lr", "0.0001") == (
        0,
        "/lr: already 0.0001 (read as JSON)\n",
        "",
    )
    assert config(folder, "unset", "use_reflow", "typ") == (
        0,
        (
            "/use_reflow: not set, nothing to remove\n/typ: not set, nothing to remove (did you"
            " mean /type?)\n"
        ),
        "",
    )
    assert state(folder) == before


def test_unset_removes_all_that_is_named_as_the_file_is_now(
    config: Callable[..., Outcome], folder: Path
) -> None:
    done = config(folder, "unset", "/tags/0", "tags.1", "policy", "policy.device", "/tags/0")
    assert done.code == 0
    assert done.out == (
        '/tags/0: 1 -> absent\n/tags/1: 2 -> absent\n/policy: {"device": "cuda"} ->'
        ' absent\n/policy/device: "cuda" -> absent\n'
    )
    assert content(folder).decode() == TEXT.replace("[1, 2, 3]", "[3]").replace(
        '   "policy": {"device": "cuda"},\r\n', ""
    )


def test_set_and_unset_of_a_new_key_leave_the_same_bytes(
    config: Callable[..., Outcome], folder: Path
) -> None:
    config(folder, "set", "/new", '{"a": [1, {}]}')
    assert content(folder) != TEXT.encode()
    config(folder, "unset", "/new")
    assert content(folder) == TEXT.encode()


def test_a_reflow_config_becomes_the_normal_one_byte_for_byte(
    config: Callable[..., Outcome], tmp_path: Path
) -> None:
    shutil.copy(FIXTURES / "reflow" / "config.json", tmp_path)
    config(tmp_path, "set", "load_vlm_weights", "true")
    config(tmp_path, "unset", "use_reflow", "teacher_model_path")
    assert content(tmp_path) == (FIXTURES / "normal" / "config.json").read_bytes()


def test_a_dry_run_prints_a_patch_and_writes_nothing(
    config: Callable[..., Outcome], folder: Path
) -> None:
    before = state(folder)
    done = config(folder, "set", "lr", "1", "--dry-run")
    path = folder / "config.json"
    context = TEXT.split("\n")
    assert done.out.replace("\\ No newline at end of file\n", "").split("\n")[:7] == [
        f"--- {path}",
        f"+++ {path}",
        "@@ -1,6 +1,6 @@",
        f" {context[0]}",
        f" {context[1]}",
        f"-{context[2]}",
        '+   "lr": 1,\r',
    ]
    assert done.err == "ckpt: /lr: 0.0001 -> 1 (read as JSON)\n"
    assert state(folder) == before


def test_a_dry_run_of_nothing_prints_no_patch(config: Callable[..., Outcome], folder: Path) -> None:
    assert config(folder, "unset", "none", "--dry-run") == (
        0,
        "",
        "ckpt: /none: not set, nothing to remove\n",
    )


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
def test_patch_makes_of_a_dry_run_what_the_command_makes(
    config: Callable[..., Outcome], folder: Path
) -> None:
    printed = config(folder, "unset", "a.b", "lr", "--dry-run").out
    subprocess.run(
        ["patch", "--binary", "--quiet", folder / "config.json"], input=printed.encode(), check=True
    )
    patched = content(folder)
    (folder / "config.json").write_bytes(TEXT.encode())
    config(folder, "unset", "a.b", "lr")
    assert content(folder) == patched


def test_a_patch_contains_no_control_characters(
    config: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"a": "\x9b31m\u2028"}', encoding="utf-8")
    assert '-{"a": "\\x9b31m\\u2028"}' in config(tmp_path, "set", "a", "1", "--dry-run").out


# --- what is on the disk --------------------------------------------------------------------------


def test_the_file_keeps_its_permissions_and_nothing_else_is_left(
    config: Callable[..., Outcome], folder: Path
) -> None:
    (folder / "config.json").chmod(0o640)
    config(folder, "set", "lr", "1")
    assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "train_config.json"]


def test_a_link_is_replaced_and_never_the_file_behind(
    config: Callable[..., Outcome], tmp_path: Path
) -> None:
    blob, snapshot = tmp_path / "blobs" / "abc", tmp_path / "snapshots" / "one"
    blob.parent.mkdir()
    snapshot.mkdir(parents=True)
    blob.write_bytes(b'{"a": 1}')
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    assert config(tmp_path, "set", "a", "2").code == 0
    assert blob.read_bytes() == b'{"a": 1}'
    assert content(snapshot) == b'{"a": 2}'
    assert not (snapshot / "config.json").is_symlink()


def test_a_path_without_a_folder_is_one_in_the_current_folder(
    config: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert config("config.json", "set", "lr", "1").code == 0
    assert config(".", "get", "lr").out == "1\n"


@pytest.mark.parametrize("step", ["create", "write_all", "sync", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def failing(*_arguments: object) -> None:
        raise NoSpace("cannot be written: no space left on device", path="elsewhere")

    monkeypatch.setattr(durable, step, failing)
    before = state(folder)
    with pytest.raises(
        NoSpace, match=r"config.json: cannot be written: no space left on device; free some space"
    ):
        _config.set_value(str(folder), "lr", 1)
    assert state(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_reported(folder: Path) -> None:
    folder.chmod(0o500)
    with pytest.raises(Unwritable, match="cannot be written"):
        _config.set_value(str(folder), "lr", 1)


def test_an_interrupt_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, "sync", interrupted)
    before = state(folder)
    with pytest.raises(KeyboardInterrupt):
        _config.set_value(str(folder), "lr", 1)
    assert state(folder) == before


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
            "/load_vlm_weights: expected true, found false: false builds the VLM in F32"
            " regardless of the stored dtype"
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
        assert config(tmp_path, "set", pointer, value).code == 0
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
        "import sys; from ckpt_tools.api import _config; import ckpt_tools.cli.config;"
        " _config.set_value(sys.argv[1], 'lr', 1);"
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
