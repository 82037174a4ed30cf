"""Files of formats that the tool does not know: they are equal where their contents are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.api import _inspect
from ckpt_tools.report.formats.text import render
from ckpt_tools.report.json.diff import diff_document
from ckpt_tools.report.pages.diff import diff_page
from tests.support.hub.policies import ROOT
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (1 << 20) + 1
"""One byte more than what is read with the headers."""


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    a, b = (model(tmp_path / side, {"head.weight": (2, 2)}) for side in "ab")
    return a, b


def test_two_tokenizers_of_one_size_differ_by_their_last_byte(sides: tuple[Path, Path]) -> None:
    for folder, last in zip(sides, (b"a", b"b"), strict=True):
        (folder / "tokenizer.json").write_bytes(bytes(SIZE - 1) + last)
    assert [change.path for change in api.diff(*sides).diff.files] == ["tokenizer.json"]


def test_two_equal_tokenizers_are_the_same(sides: tuple[Path, Path]) -> None:
    for folder in sides:
        (folder / "tokenizer.json").write_bytes(bytes(SIZE))
    found = api.diff(*sides)
    assert found.same
    assert found.diff.unread == ()


def test_larger_files_of_one_size_are_called_not_compared(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_inspect, "LIMIT", SIZE - 1)
    for folder, byte in zip(sides, (b"a", b"b"), strict=True):
        (folder / "optimizer.bin").write_bytes(byte * SIZE)
    found = api.diff(*sides)
    assert found.diff.unread == ("optimizer.bin",)
    assert "same structure; tensor values were not compared; 1 file not compared" in render(
        diff_page(found)
    )
    assert diff_document(found)["files_not_compared"] == ["optimizer.bin"]
    assert [change.path for change in api.diff(*sides, values=True, cached=False).diff.files] == [
        "optimizer.bin"
    ]


def test_statistics_are_the_same_though_only_one_side_has_a_processor_for_them(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "fixtures" / "normal", tmp_path / "b")
    (tmp_path / "b" / "policy_preprocessor.json").unlink()
    statistics = tmp_path / "b" / "policy_preprocessor_step_5_normalizer_processor.safetensors"
    sides = (ROOT / "fixtures" / "normal", tmp_path / "b")

    for one, two in (sides, sides[::-1]):
        found = api.diff(one, two).diff
        assert [change.path for change in found.files] == ["policy_preprocessor.json"]
        assert found.unread == ()

    content = statistics.read_bytes()
    statistics.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for one, two in (sides, sides[::-1]):
        assert statistics.name in [change.path for change in api.diff(one, two).diff.files]
