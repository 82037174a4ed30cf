"""`ckpt config set` and `unset`: what they print, and every byte and file they leave behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.api import config as _config
from ckpt_tools.errors import NoSpace, Unwritable
from ckpt_tools.storage import durable
from tests.support.cases import FIXTURES
from tests.support.config_files import TEXT, Outcome, content, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# --- set and unset --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pointer", "value", "old", "new", "said"),
    [
        ("/lr", "1e-5", "1E-4", "1e-05", "/lr: 0.0001 -> 1e-05 (read as JSON)\n"),
        ("lr", "-1", "1E-4", "-1", "/lr: 0.0001 -> -1 (read as JSON)\n"),
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
    line, _, undo = done.out.partition("undo: ")
    assert (done.code, line, done.err) == (0, said, "")
    if "{\r\n" not in new:
        assert content(folder).decode() == expected
    assert json.loads(content(folder)) == json.loads(expected)
    assert {name: found for name, found in state(folder).items() if name != "config.json"} == others
    if pointer.endswith("-"):
        assert not undo
    else:
        assert config(*shlex.split(undo)[2:]).code == 0
        assert json.loads(content(folder)) == json.loads(TEXT)


@pytest.mark.parametrize(
    ("pointer", "value", "error"),
    [
        ("flag", "False", '/flag is a boolean (true), and "False" is a string; write false, or'),
        ("flag", "yes", '/flag is a boolean (true), and "yes" is a string; write true, or pass'),
        ("flag", "0", "/flag is a boolean (true), and 0 is a number; write a boolean, or pass"),
        ("lr", '"1"', '/lr is a number (0.0001), and "1" is a string; write a number, or pass'),
        ("tags", "1", "/tags is a list ([1, 2, 3]), and 1 is a number; write a list, or pass"),
    ],
)
def test_a_value_of_another_type_is_refused_unless_asked_for(
    config: Callable[..., Outcome], tmp_path: Path, pointer: str, value: str, error: str
) -> None:
    before = TEXT.replace('"tags"', '"flag": true, "tags"').encode()
    (tmp_path / "config.json").write_bytes(before)
    done = config(tmp_path, "set", pointer, value)
    assert (done.code, done.out) == (2, "")
    assert error in done.err
    assert content(tmp_path) == before
    done = config(tmp_path, "set", pointer, value, "--change-type")
    assert done.code == 0
    assert content(tmp_path) != before
    assert config(*shlex.split(done.out.partition("undo: ")[2])[2:]).code == 0
    assert json.loads(content(tmp_path)) == json.loads(before)


@pytest.mark.parametrize(
    ("policy", "misspelled", "meant"),
    [("act", "n_action_stepz", "n_action_steps"), ("smolvla", "num_stepz", "num_steps")],
)
@pytest.mark.parametrize("inner", [False, True])
def test_a_misspelled_field_of_a_policy_is_refused(  # noqa: PLR0913 - one parameter a column
    config: Callable[..., Outcome],
    tmp_path: Path,
    *,
    policy: str,
    misspelled: str,
    meant: str,
    inner: bool,
) -> None:
    document = {"policy": {"type": policy}} if inner else {"type": policy}
    before = json.dumps(document).encode()
    (tmp_path / "config.json").write_bytes(before)
    prefix = "policy." if inner else ""
    done = config(tmp_path, "set", f"{prefix}{misspelled}", "10")
    assert (done.code, done.out) == (2, "")
    assert f"{misspelled} is no field of {policy}: LeRobot rejects a file with it" in done.err
    assert f"did you mean {meant}?" in done.err
    assert content(tmp_path) == before
    assert config(tmp_path, "set", f"{prefix}{meant}", "10").code == 0


def test_a_field_that_no_release_has_may_be_set_if_it_resembles_none(
    config: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"type": "smolvla"}')
    assert config(tmp_path, "set", "use_reflow", "true").code == 0


def test_null_replaces_any_value_and_is_replaced_by_any(
    config: Callable[..., Outcome], folder: Path
) -> None:
    for value in ("null", "1e-3", "null", "[1]"):
        assert config(folder, "set", "lr", value).code == 0


def test_where_may_stand_at_the_end(config: Callable[..., Outcome], folder: Path) -> None:
    assert config("get", "lr", folder) == config(folder, "get", "lr")
    assert config("get", folder) == config(folder, "get")
    assert config("validate", folder) == config(folder, "validate")
    assert config("diff", folder, folder).code == 0
    assert config("set", "lr", "-1", folder).out.startswith("/lr: 0.0001 -> -1 (read as JSON)")
    assert config("set", "--file", "train_config.json", "steps", "2", folder).code == 0
    assert (folder / "train_config.json").read_text() == '{"steps": 2}\n'
    assert config("unset", "lr", "tags", folder, "--dry-run").out.count("\n-") == 2
    assert config("unset", "lr", "tags", folder).code == 0
    assert json.loads(content(folder)).keys() == {"type", "name", "policy", "a.b"}
    assert "ckpt config get needs WHERE, a folder or a JSON file" in config("get").err
    assert config("set", "--help").out.startswith("Usage: ckpt config WHERE set")


def test_where_may_stand_between_the_command_and_its_arguments(
    config: Callable[..., Outcome], folder: Path
) -> None:
    assert config("get", folder, "lr") == config(folder, "get", "lr")
    assert config("get", folder / "train_config.json", "steps").out == "1\n"
    assert config("set", folder, "lr", "-1").out.startswith("/lr: 0.0001 -> -1 (read as JSON)")
    assert config("set", folder, "--file", "train_config.json", "steps", "2").code == 0
    assert config("unset", folder, "lr", "tags").code == 0
    assert json.loads(content(folder)).keys() == {"type", "name", "policy", "a.b"}


def test_two_arguments_that_may_be_where_are_refused_with_both_commands(
    config: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, folder / "teacher")
    shutil.copytree(folder, folder / "get")
    monkeypatch.chdir(folder)
    before = state(folder / "teacher"), state(folder / "get")
    done = config("set", "get", "name", "teacher")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "ckpt: both get and teacher may be WHERE; write it before the command:"
        " `ckpt config ./get set name teacher` or `ckpt config teacher set get name`\n"
    )
    assert (state(folder / "teacher"), state(folder / "get")) == before
    assert config("./get", "set", "name", "teacher").code == 0


def test_where_and_a_key_of_the_same_name_need_no_order(
    config: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, folder / "name")
    monkeypatch.chdir(folder)
    assert config("get", "name", "name") == config("name", "get", "name")
    done = config("set", "name", "3", "name")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "ckpt: name may be WHERE in two places; write it before the command:"
        " `ckpt config name set 3 name` or `ckpt config name set name 3`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("get", "none", "lr"), "lr: no such file or directory; write `ckpt config get POINTER W"),
        (("get", "lr"), "lr: no such file or directory; write `ckpt config get POINTER WHERE`"),
        (("set", "lr", "1"), "1: no such file or directory; write `ckpt config set POINTER VALUE"),
        (("unset", "lr", "none"), "none: no such file or directory; write `ckpt config unset POI"),
        (
            ("validate", "none"),
            "none: no such file or directory; expected a checkpoint folder or a",
        ),
        (
            ("none", "get", "lr"),
            "none: no such file or directory; expected a checkpoint folder or a",
        ),
        (("get", "lr", "me/policy"), "me/policy: is a Hub repository"),
        (("get", "me/policy", "lr"), "me/policy: is a Hub repository"),
        (("get", "hf://me/policy", "lr"), "hf://me/policy: is a Hub repository"),
        (("me/policy", "get", "lr"), "me/policy: is a Hub repository"),
    ],
)
def test_a_command_without_a_checkpoint_is_answered_with_how_to_write_it(
    config: Callable[..., Outcome],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    done = config(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"ckpt: {words}")


def test_a_folder_that_is_called_as_a_command_is_written_with_its_dot(
    config: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, folder / "get")
    monkeypatch.chdir(folder)
    assert config("./get", "get", "lr").out == "0.0001\n"
    assert config("get", "lr", "get").out == "0.0001\n"


def test_what_is_unset_can_be_set_again(config: Callable[..., Outcome], folder: Path) -> None:
    done = config(folder, "unset", "policy.device", "/a.b", "/tags/0", "nothing")
    undo = [line.partition("undo: ")[2] for line in done.out.splitlines() if "undo: " in line]
    assert len(undo) == 2
    for command in undo:
        config(*shlex.split(command)[2:])
    assert json.loads(content(folder)) == json.loads(TEXT) | {"tags": [2, 3]}


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
    assert done.out.partition("undo: ")[0] == (
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
    assert '-{"a": "\\x9b31m\\u2028"}' in config(tmp_path, "set", "a", "b", "--dry-run").out


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


@pytest.mark.parametrize("step", ["new_file", "write_all", "sync", "rename"])
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
