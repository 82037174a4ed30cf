"""`--verbose`: what was read, written and asked for, on standard error; the output is the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import forked
from tests.support.hub.policies import NORMAL, REPO
from tests.support.hub.server import HubServer

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"ckpt: \[ *\d+\.\d{3} s\] (.*)")


def said(errors: str) -> list[str]:
    found = [LINE.fullmatch(line) for line in errors.splitlines()]
    assert all(found), errors
    return [match[1] for match in found if match]


def test_every_file_is_named_once_and_the_output_stays() -> None:
    where = "fixtures/normal"
    plain = forked.ckpt("verify", where, folder=ROOT, env=dict(os.environ))
    done = forked.ckpt("-v", "verify", where, "--verbose", folder=ROOT, env=dict(os.environ))
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)
    *files, total = said(done.stderr)
    assert f"read {where}/model.safetensors" in files
    assert f"read {where}/config.json" in files
    assert len(set(files)) == len(files)
    assert "site-packages" not in done.stderr
    assert total == f"{len(files)} files read, 0 written, 0 requests"


def test_what_is_written_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("cast", "fixtures/normal", "f32", "-o", str(out), "-v")
    done = forked.ckpt(*arguments, folder=ROOT, env=dict(os.environ))
    assert done.returncode == 0
    assert any(
        line.startswith("write ") and line.endswith("/model.safetensors")
        for line in said(done.stderr)
    )


def test_requests_are_named_without_what_signs_them(tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add_repo(REPO, NORMAL)
        command = [sys.executable, "-m", "ckpt_tools", "show", f"hf://{REPO}@main", "-v"]
        environment = hub.environment(tmp_path) | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    lines = said(done.stderr)
    requests = [line for line in lines if re.match(r"(GET|HEAD|POST) http://", line)]
    assert requests
    assert lines[-1].endswith(f" {len(requests)} requests")
    assert "?" not in "".join(requests)
    assert all(re.search(r" \d{3}$", line) for line in requests)


def test_an_error_comes_after_what_led_to_it() -> None:
    done = forked.ckpt("-v", "show", "absent", folder=ROOT, env=dict(os.environ))
    *lines, error = done.stderr.splitlines()
    assert said("\n".join(lines))[-1] == "0 files read, 0 written, 0 requests"
    assert error.startswith("ckpt: absent: no such file or directory")
