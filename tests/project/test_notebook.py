"""The notebook runs as it is, offline, and shows what it prints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "checkpoints.ipynb"


def test_the_notebook_shows_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To show new output on purpose: make golden, and read the difference."""
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]  # has no types
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(
        notebook, timeout=120, resources=where, record_timing=False, coalesce_streams=True
    ).execute()
    notebook.metadata.language_info = {"name": "python"}  # the kernel adds its version
    shown = nbformat.writes(notebook) + "\n"  # type: ignore[no-untyped-call]  # as above
    if os.environ.get("CKPT_GOLDEN") == "write":
        NOTEBOOK.write_text(shown, encoding="utf-8")
    else:
        assert shown == text
