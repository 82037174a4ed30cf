"""An audit of a Google bucket, from a stand-in: with CKPT_FLEET=1 (`make fleet`).

gcsfs and the stand-in bring gRPC and twenty more packages, too many for what all tests install.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    "CKPT_FLEET" not in os.environ, reason="needs gcsfs and a stand-in: make fleet"
)

FIXTURES = Path(__file__).parents[2] / "fixtures"
SERVER = """
import sys
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="lab")
server.start()
print(server._api._httpd.server_port, flush=True)
sys.stdin.read()
server.stop()
"""
ROWS = """
SELECT c.name, status, kind, family, errors, warnings, notes, c.bytes, code, path, subject, what
FROM checkpoints c LEFT JOIN findings ON checkpoint = c.id ORDER BY 1, 9, 10, 11
"""


@contextmanager
def gcs_server() -> Iterator[dict[str, str]]:
    """Yield the environment in which Google's storage is the stand-in."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        yield {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks what the stand-in does not answer
            "NO_PROXY": "127.0.0.1",
        }
        server.communicate()


def rows(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(ROWS).fetchall()


def test_a_google_bucket_is_audited_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    for name in ("language-model", "reflow"):
        shutil.copytree(FIXTURES / name, tree / name)
    (tree / "broken").mkdir()
    (tree / "broken" / "model.safetensors").write_bytes(b"no header")
    api.audit([tree], out=tmp_path / "local.db", jobs=1)
    with gcs_server() as environment:
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        import gcsfs  # noqa: PLC0415 - not there for other tests, and reads the environment

        gcsfs.GCSFileSystem().put(f"{tree}/", "lab/tree", recursive=True)
        tally = api.audit(["gs://lab/tree"], out=tmp_path / "bucket.db", jobs=1)
        assert (tally.found, tally.checked, tally.failed) == (3, 3, 0)
        assert rows(tmp_path / "bucket.db") == rows(tmp_path / "local.db")
        assert api.audit(["gs://lab/tree"], out=tmp_path / "bucket.db", jobs=1).unchanged == 3
