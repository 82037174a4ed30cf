"""Damages checkpoints in every way that bytes allow and verifies them.

Nothing but findings and declared errors may come out.

    python -m benchmarks.fuzz [SECONDS] [--seed N]

Headers, indexes, configs and processor JSON of the fixtures are mutated: bytes flipped, cut,
doubled, swapped, numbers made huge, brackets nested, tokens of one file put into another. Prints
how many inputs there were, what became of them, the slowest and the memory; ends with the input
that broke it, if one did.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ckpt_tools import api
from ckpt_tools.errors import CkptError

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).parent.parent / "fixtures"
SOURCES = ("normal", "reflow", "sharded", "shared-vlm", "lerobot-0.3", "language-model")
SUFFIXES = (".json", ".safetensors")
HEADER = 40_000
TOKENS = (
    *(
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"18446744073709551616",
        b"null",
        b"true",
        b'""',
        b"\\ud800",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r\n",
    ),
    *(
        b"[" * 200,
        b"{" * 200,
        b'{"a":' * 130,
        b'"__metadata__":{"a":1},',
        b'"dtype":"F4"',
        b'"shape":[-1]',
        b'"data_offsets":[9,1]',
        b"../",
        b"/etc/passwd",
    ),
)


def flip(data: bytearray, chance: random.Random) -> None:
    """Change a bit."""
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    """Remove a piece."""
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 64)]


def double(data: bytearray, chance: random.Random) -> None:
    """Repeat a piece."""
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randrange(1, 256)]


def insert(data: bytearray, chance: random.Random) -> None:
    """Put in a token that parsers trip over."""
    start = chance.randrange(len(data))
    data[start:start] = chance.choice(TOKENS)


def replace_number(data: bytearray, chance: random.Random) -> None:
    """Put a token in the place of a run of digits."""
    at = chance.randrange(len(data))
    while at < len(data) and not 48 <= data[at] <= 57:  # noqa: PLR2004 - the digits
        at += 1
    end = at
    while end < len(data) and 48 <= data[end] <= 57:  # noqa: PLR2004 - as above
        end += 1
    data[at:end] = chance.choice(TOKENS)


def shorten(data: bytearray, chance: random.Random) -> None:
    """End early."""
    del data[chance.randrange(len(data)) :]


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip,
    cut,
    double,
    insert,
    replace_number,
    shorten,
)


def damage(folder: Path, chance: random.Random) -> str:
    """Damage one file of a copy; return which, and how."""
    path = chance.choice(sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES))
    data = bytearray(path.read_bytes())
    head, rest = data[:HEADER], data[HEADER:]
    ways = [chance.choice(WAYS) for _ in range(chance.randrange(1, 4))]
    for way in ways:
        if head:
            way(head, chance)
    path.write_bytes(bytes(head + rest))
    return f"{path.name}: {', '.join(way.__name__ for way in ways)}"


def judge(folder: Path, *, values: bool) -> str:
    """Return what became of a verification."""
    try:
        verification = api.verify(str(folder), values=values)
    except CkptError as error:
        str(error)
        return f"refused, {type(error).__name__}"
    return "read, with findings" if verification.findings else "read, nothing found"


def main() -> None:
    """Run until the time is up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seconds", type=int, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outcomes: Counter[str] = Counter()
    slowest, number, end = 0.0, given.seed * 10_000_000, time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "checkpoint"
        while time.monotonic() < end:
            number += 1
            chance = random.Random(number)  # noqa: S311 - damage, not secrets
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(FIXTURES / chance.choice(SOURCES), folder)
            how = damage(folder, chance)
            start = time.perf_counter()
            try:
                outcomes[judge(folder, values=number % 8 == 0)] += 1
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                sys.exit(f"input {number} ({how}) broke it: {type(error).__name__}: {error}")
            slowest = max(slowest, time.perf_counter() - start)
    total = sum(outcomes.values())
    print(
        f"{total:,} inputs, slowest {slowest:.2f} s, peak memory"
        f" {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    for outcome, count in outcomes.most_common():
        print(f"{count:>9,}  {outcome}")


if __name__ == "__main__":
    main()
