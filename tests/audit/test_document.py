"""The output that docs/audit.md shows is what its commands and queries print.

Of an audit of a few checkpoints, made here; its folder is called /lab there. To show new output on
purpose: make golden, and read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.report.blocks import Table
from ckpt_tools.report.formats.text import table_lines

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "audit.md"
SHOWN = re.compile(r"```sql\n(.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)
COMMAND = re.compile(r"```text\n\$ (ckpt .*?)\n.*?```\n", re.DOTALL)
OLD, NEW = 1_700_000_000, 1_770_000_000


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an audit: a base, its copies, a broken student, an adapter, others."""
    folder = tmp_path_factory.mktemp("lab")
    fixtures = {
        "base": "normal",
        "archive/base": "normal",
        "student": "reflow",
        "archive/student": "reflow",
        "student-clean": "reflow-clean",
        "llama": "language-model",
    }
    for name, fixture in fixtures.items():
        shutil.copytree(ROOT / "fixtures" / fixture, folder / name)
    adapter = folder / "adapter"
    shutil.copytree(folder / "llama", adapter)
    (adapter / "config.json").unlink()
    (adapter / "model.safetensors").rename(adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "meta-llama/Llama-3.2-1B", "peft_type": "LORA"}'
    )
    (folder / "broken").mkdir()
    (folder / "broken" / "model.safetensors").write_bytes(b"\xff" * 100)
    for path in folder.rglob("*"):
        time = OLD if "archive" in path.parts else NEW
        os.utime(path, (time, time))
    api.audit([folder, folder / "gone"], out=folder / "audit.db", values=True, jobs=1)
    return folder


def normalized(text: str, folder: Path) -> str:
    """Return what differs between machines and moments as the document has it."""
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-03-01T09:00:00Z", text).replace(
        str(folder), "/lab"
    )


def queried(connection: sqlite3.Connection, query: str, folder: Path) -> str:
    """Return the rows of a query as a table."""
    cursor = connection.execute(query)
    header = tuple(column[0] for column in cursor.description)
    rows = tuple(tuple(normalized(str(cell), folder) for cell in row) for row in cursor)
    numbers = frozenset(
        at for at in range(len(header)) if rows and all(row[at].isdecimal() for row in rows)
    )
    return "\n".join(line[2:] for line in table_lines(Table(header, rows, numbers))) + "\n"


def test_the_document_shows_what_its_queries_and_commands_print(
    audit: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(audit)
    connection = sqlite3.connect("audit.db")

    def after_query(found: re.Match[str]) -> str:
        printed = queried(connection, found[1], audit)
        assert printed.count("\n") > 1, f"no rows: {found[1]}"
        return f"```sql\n{found[1]}```\n\n```text\n{printed}```\n"

    def after_command(found: re.Match[str]) -> str:
        main(found[1].split()[1:])
        return f"```text\n$ {found[1]}\n{normalized(capsys.readouterr().out, audit)}```\n"

    shown = DOCUMENT.read_text(encoding="utf-8")
    printed, queries = SHOWN.subn(after_query, shown)
    printed, commands = COMMAND.subn(after_command, printed)
    connection.close()
    assert (queries, commands) == (10, 1)
    if os.environ.get("CKPT_GOLDEN") == "write":
        DOCUMENT.write_text(printed, encoding="utf-8")
    assert printed == shown or os.environ.get("CKPT_GOLDEN") == "write"
