"""What reading an audit of 100,000 checkpoints with a million findings costs.

    make bench        (or: python -m benchmarks.audit_reading [ROUNDS])

Whole processes, in turns, beside a plain query that counts the findings. Then the size of the web
page with all checkpoints.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import BUILD, ROOT, Contender, compete, installed
from ckpt_tools.audit.opening import open_to_write
from ckpt_tools.rules.registry import all_rules

if TYPE_CHECKING:
    import sqlite3

CHECKPOINTS, FINDINGS = 100_000, 10
"""Checkpoints, and findings of each."""

FAMILIES = ("smolvla", "act", "llama", "qwen3", "pi0", "bert", "vit", "generic")
QUESTIONS = ("container", "values", "completeness", "agreement", "processors", "supply-chain")
SEED = 1
COUNT = """
import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(
    "SELECT code, count(*), count(DISTINCT checkpoint) FROM findings GROUP BY code"
):
    print(*row)
"""


def made(path: Path) -> Path:
    """Return an audit as large as that, with the same content on every machine."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    chance = random.Random(SEED)  # noqa: S311 - the same on every run
    rules = [(rule.code, str(rule.severity)) for rule in all_rules()]
    with open_to_write(os.fspath(part)) as database:
        database.start("0.1.0", "r", ["/lab"], "{}")
        for number in range(1, CHECKPOINTS + 1):
            _insert(database.connection, number, chance.choices(rules, k=FINDINGS))
        database.finish(1)
    part.rename(path)
    return path


def _insert(connection: sqlite3.Connection, number: int, findings: list[tuple[str, str]]) -> None:
    """Insert a checkpoint: each hundredth vanished, two of three are copies."""
    counts = [sum(one == wanted for _, one in findings) for wanted in ("error", "warning", "note")]
    connection.execute(
        "INSERT INTO checkpoints VALUES (?, ?, '/lab', ?, ?, '', ?, ?, '', 'LeRobot policy', ?, ?,"
        " ?, ?, 500, 450000000, 906700000, '{}', NULL, NULL, '', ?, 0, 'r', 1, 1, 1)",
        (
            number,
            f"/lab/team-{number % 50}/run-{number:06}/checkpoints/last/pretrained_model",
            f"team-{number % 50}",
            f"run-{number:06}",
            number.to_bytes(32, "big"),
            "vanished" if number % 100 == 0 else "checked",
            FAMILIES[number % len(FAMILIES)],
            *counts,
            f"2026-{1 + number % 12:02}-01T12:00:00Z",
        ),
    )
    connection.executemany(
        "INSERT INTO findings (checkpoint, code, severity, path, subject, what, next) VALUES"
        " (?, ?, ?, 'model.safetensors', ?, 'has the shape [960, 960], expected [1024, 960]', '')",
        [
            (number, *one, f"model.layers.{at}.self_attn.q_proj.weight")
            for at, one in enumerate(findings)
        ],
    )
    connection.executemany(
        "INSERT INTO coverage VALUES (?, ?, ?, '')",
        [
            (number, question, "checked" if (number + at) % 3 else "skipped")
            for at, question in enumerate(QUESTIONS)
        ],
    )
    if number % 3:
        connection.execute(
            "INSERT INTO relations VALUES (?, ?, '', 'same-payload', 1.0, 906700000, '')",
            (number, number - number % 3 or 3),
        )


def main() -> None:
    """Print the table, and the size of the page."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ckpt, python = installed("ckpt", str(ROOT)), installed("python", "pip")
    audit = str(made(BUILD / "audit.db"))
    show = [ckpt, "audit", "show", audit]
    print(
        f"\n### {CHECKPOINTS:,} checkpoints, {CHECKPOINTS * FINDINGS:,} findings,"
        f" {os.path.getsize(audit) / 1e6:,.0f} MB, {os.cpu_count()} cores\n"
    )
    racing = [
        Contender(
            name="one query of the findings by rule, from Python",
            command=[python, "-c", COUNT, audit],
        ),
        Contender(name="`ckpt audit show`", command=show, exits=(1,)),
        Contender(
            name="`ckpt audit show --family act`", command=[*show, "--family", "act"], exits=(1,)
        ),
        Contender(
            name="`ckpt audit show --by checkpoint`",
            command=[*show, "--by", "checkpoint"],
            exits=(1,),
        ),
        Contender(
            name="`ckpt audit show --code CK301`", command=[*show, "--code", "CK301"], exits=(1,)
        ),
        Contender(
            name="`ckpt audit show --format html`", command=[*show, "--format", "html"], exits=(1,)
        ),
        Contender(
            name="`ckpt audit diff` with itself", command=[ckpt, "audit", "diff", audit, audit]
        ),
    ]
    compete(racing, rounds)
    page = subprocess.run([*show, "--format", "html"], capture_output=True, check=False).stdout
    print(f"\nThe page has {len(page) / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
