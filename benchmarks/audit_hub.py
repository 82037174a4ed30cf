"""`ckpt audit run` of an organization on the Hub: requests, quota, and what changed.

Requests as the server counts them, against huggingface_hub's own calls for the same questions.

    python -m benchmarks.audit_hub [REPOSITORIES]

The Hub is the tests' stand-in on localhost, which speaks its protocol to the real client and has no
network's delays: what counts is what goes over the wire. The account with a low quota has windows
of 10 seconds instead of 300.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from tests.support.hub.server import HubServer

# An installed package may be called `tests` as well; the stand-in is this checkout's.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

FIXTURES = ("normal", "language-model", "sharded")
OTHER_WAY = """
import sys
from huggingface_hub import HfApi, snapshot_download
hub = HfApi()
for model in hub.list_models(author=sys.argv[1]):
    snapshot_download(model.id, allow_patterns=["*.json"])
    hub.get_safetensors_metadata(model.id)
"""


class Run(NamedTuple):
    """What one run took, as the server saw it: `most` is for one file."""

    seconds: float
    lists: int
    listings: int
    files: int
    most: int
    refused: int
    said: str


def files(name: str) -> dict[str, bytes]:
    """The files of a fixture."""
    folder = ROOT / "fixtures" / name
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(hub: HubServer, home: Path, *command: str) -> Run:
    """Run a command of Python against the stand-in, and count."""
    hub.requests.clear()
    hub.quota.refused.clear()
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        env=hub.environment(home) | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    assert done.returncode in {0, 1}, done.stderr
    paths = Counter(record.path.partition("?")[0] for record in hub.requests)
    api = [record.path for record in hub.requests if record.path.startswith("/api/models")]
    of_files = {
        path: number for path, number in paths.items() if not path.startswith("/api/models")
    }
    by_file: Counter[str] = Counter()
    for path, number in of_files.items():
        parts = path.removeprefix("/cdn").removeprefix("/api/resolve-cache/models").split("/")
        by_file["/".join((*parts[1:3], parts[-1]))] += number
    lists = sum("/api/models?" in path for path in api)
    said = (done.stderr + done.stdout).strip().replace("\n", " | ")
    refused = len(hub.quota.refused)
    listings = len(api) - lists
    return Run(seconds, lists, listings, sum(of_files.values()), max(by_file.values(), default=0),
               refused, said)  # fmt: skip


def rows(out: str) -> list[tuple[object, ...]]:
    """What an audit says of each checkpoint."""
    with sqlite3.connect(out) as file:
        query = (
            "SELECT name, status, reason, errors, warnings, notes FROM checkpoints ORDER BY name"
        )
        return file.execute(query).fetchall()


def main() -> None:
    """Print what each way takes."""
    from tests.support.hub.server import HubServer

    number = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with HubServer() as hub, tempfile.TemporaryDirectory() as folder:
        for at in range(number):
            hub.add_repo(f"bench/m{at:05}", files(FIXTURES[at % len(FIXTURES)]))
        out = str(Path(folder, "audit.db"))
        audit = ("-m", "ckpt_tools", "audit", "run", "hf://bench", "--out", out)
        print(f"{number} repositories, a third each of {', '.join(FIXTURES)}\n")
        print("| run | seconds | pages | listings | for files | most for a file | refused |")
        print("|---|---|---|---|---|---|---|")
        runs = [("first", run(hub, Path(folder, "a"), *audit))]
        runs.append(("second, nothing changed", run(hub, Path(folder, "a"), *audit)))
        hub.push("bench/m00001", {"config.json": files("normal")["config.json"]})
        runs.append(("third, one commit", run(hub, Path(folder, "a"), *audit)))
        right = rows(out)
        Path(out).unlink()
        hub.quota.limits, hub.quota.window = {"api": number // 4, "resolvers": number}, 10
        runs.append(("first, with a low quota", run(hub, Path(folder, "a"), *audit)))
        assert rows(out) == right
        hub.quota.limits = {}
        other = run(hub, Path(folder, "b"), "-c", OTHER_WAY, "bench")
        runs.append(("configs and headers with huggingface_hub", other))
        for title, one in runs:
            print(
                f"| {title} | {one.seconds:.1f} | {one.lists} | {one.listings} | {one.files} |"
                f" {one.most} | {one.refused} |"
            )
        for title, one in runs[:-1]:
            print(f"\n{title}: {one.said}")


if __name__ == "__main__":
    main()
