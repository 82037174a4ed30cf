"""What a probe's process must not do, and how its end is reported."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.checkpoint.model import Document
from ckpt_tools.errors import BaseMissing, PathNotFound, ProbeFailed, UnknownSelection
from ckpt_tools.live import process
from ckpt_tools.live.bases import parse_bases
from ckpt_tools.live.stage import staged

if TYPE_CHECKING:
    from pathlib import Path

START = (
    "import sys, json; sys.path.append(sys.argv.pop());"
    " from ckpt_tools.probes import guard; guard.isolate(most_memory=1 << 30)\n"
)
ATTEMPT = """
try:
    {0}
    found = "done"
except Exception as error:
    found = f"{{type(error).__name__}}: {{error}}"
print(json.dumps({{"found": found}}))
"""


def run(program: str, monkeypatch: pytest.MonkeyPatch, *, seconds: int = 60) -> object:
    """Run a program in place of the probe's, in the same surroundings."""
    monkeypatch.setattr(process, "_START", START + program)
    with staged((), {}) as stage:
        return process.ask({}, stage, seconds=seconds)


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "does not use the network"),
        ("import socket; socket.getaddrinfo('example.org', 443)", "does not use the network"),
        ("import pickle, os; pickle.loads(b'cos\\nsystem\\n.')", "from a pickle"),
        ("held = bytearray(2 << 30)", "MemoryError"),
    ],
)
def test_a_probe_has_no_network_pickles_or_endless_memory(
    attempt: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = run(ATTEMPT.format(attempt), monkeypatch)
    assert isinstance(answer, dict)
    assert words in str(answer["found"])


def test_a_probe_has_no_tokens_and_no_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted.py").write_text("", encoding="utf-8")
    seen = """
import os, importlib.util
planted = importlib.util.find_spec("planted") is not None
found = [os.environ.get("HF_TOKEN"), os.environ["HF_HUB_OFFLINE"], planted]
print(json.dumps({"found": found}))
"""
    assert run(seen, monkeypatch) == {"found": [None, "1", False]}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import time; time.sleep(60)", "did not answer within 1 seconds"),
        ("raise SystemExit('no such thing')", "no such thing"),
        ("import os; os.kill(os.getpid(), 9)", "memory runs out"),
        ("print('not json')", "could not answer"),
    ],
)
def test_a_probe_that_answers_nothing_ends_in_a_sentence(
    program: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProbeFailed, match=words):
        run(program, monkeypatch, seconds=1 if "sleep" in program else 60)


def test_what_is_missing_is_named_with_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BaseMissing, match="base=example/vlm=DIR"):
        run("print(json.dumps({'missing': 'example/vlm'}))", monkeypatch)


def test_a_local_copy_is_found_as_if_it_had_been_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By huggingface_hub itself, offline, beside what is in the user's cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "own"))
    (tmp_path / "own" / "models--example--other").mkdir(parents=True)
    (tmp_path / "vlm").mkdir()
    (tmp_path / "vlm" / "config.json").write_text("{}", encoding="utf-8")
    program = """
import huggingface_hub, os
path = huggingface_hub.hf_hub_download("example/vlm", "config.json")
cache = sorted(os.listdir(os.environ["HF_HUB_CACHE"]))
print(json.dumps({"found": open(path).read(), "cache": cache, "used": guard.used == {path}}))
"""
    monkeypatch.setattr(process, "_START", START + program)
    with staged((), {"example/vlm": str(tmp_path / "vlm")}) as stage:
        assert process.ask({}, stage, seconds=60) == {
            "found": "{}",
            "cache": ["models--example--other", "models--example--vlm"],
            "used": True,
        }


def test_a_path_of_another_machine_is_replaced_in_the_files(tmp_path: Path) -> None:
    name = "/home/alice/vlm"
    value: dict[str, object] = {"vlm_model_name": name, "steps": [{"tokenizer_name": name}]}
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    document = Document("config.json", json.dumps(value), value)
    with staged((document,), {name: "/here"}, root=str(tmp_path)) as stage:
        with open(os.path.join(stage.folder, "config.json"), encoding="utf-8") as file:
            assert json.load(file) == {
                "vlm_model_name": "/here",
                "steps": [{"tokenizer_name": "/here"}],
            }
        assert os.path.islink(os.path.join(stage.folder, "model.safetensors"))


def test_a_local_copy_is_given_as_name_and_folder(tmp_path: Path) -> None:
    assert parse_bases([f"a/b={tmp_path}"]) == {"a/b": str(tmp_path)}
    for text, kind in (
        ("a/b", UnknownSelection),
        ("=x", UnknownSelection),
        (f"a/b={tmp_path}/none", PathNotFound),
    ):
        with pytest.raises(kind):
            parse_bases([text])
