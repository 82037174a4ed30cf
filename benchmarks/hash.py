"""What digests cost.

A full-size policy, and a checkpoint of 2.4 GB in one file and in five, beside what one would use
instead.

    make bench        (or: python -m benchmarks.hash [ROUNDS])

Whole processes in a small environment, in turns; files in the page cache. What a process maps
counts as resident although the kernel may take it back at any moment, so the memory that is the
process's own (anonymous) is told too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.diff import full_size
from benchmarks.measure import BUILD, ROOT, Contender, compete, installed
from benchmarks.verify import policy

MAPPED = """
import sys
from blake3 import blake3
for path in sys.argv[1:]:
    print(blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest(), path)
"""
PAUSE_S = 0.002


def sharded(source: Path, folder: Path, ckpt: str) -> Path:
    """Return the checkpoint in the folder `source` in five shards."""
    if not folder.exists():
        subprocess.run(
            [ckpt, "reshard", source, "--max-size", "600MB", "--output", folder], check=True
        )
    return folder


def contenders(folder: Path, ckpt: str, python: str) -> list[Contender]:
    """Return who hashes the weights of the checkpoint in `folder`.

    The first is who the others are held against.
    """
    files = [str(path) for path in sorted(folder.glob("model*.safetensors"))]
    return [
        Contender(
            name="`blake3` for Python over the mapped file, all cores",
            command=[python, "-c", MAPPED, *files],
        ),
        Contender(name="`ckpt hash`", command=[ckpt, "hash", str(folder)]),
        Contender(name="`ckpt show`, which hashes nothing", command=[ckpt, "show", str(folder)]),
        Contender(name="`sha256sum`", command=["/usr/bin/sha256sum", *files]),
        Contender(name="`ckpt hash --sha256`", command=[ckpt, "hash", "--sha256", str(folder)]),
    ]


def own_memory(contender: Contender) -> float:
    """Return the largest anonymous memory, in MB, that was seen while the command ran once.

    Looked at every two milliseconds.
    """
    peak = 0
    with subprocess.Popen(contender.command, stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text())
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(PAUSE_S)
    return peak * 1024 / 1e6


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    ckpt, python = installed("ckpt", str(ROOT)), installed("python", "pip")
    one, two = policy(BUILD / "policy"), full_size(BUILD / "reflow", ("", "teacher.")).parent
    for folder in (one, two, sharded(two, BUILD / "reflow-sharded", ckpt)):
        files = sorted(folder.glob("model*.safetensors"))
        print(
            f"\n### {sum(path.stat().st_size for path in files):,} bytes of weights,"
            f" {len(files)} file{'s' * (len(files) > 1)}, {os.cpu_count()} cores\n"
        )
        racing = contenders(folder, ckpt, python)
        compete(racing, rounds)
        memory = (f"{contender.name} {own_memory(contender):.0f} MB" for contender in racing)
        print(f"\nof it the process's own: {', '.join(memory)}")


if __name__ == "__main__":
    main()
