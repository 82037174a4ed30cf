"""How rules of the supply chain are tested: as the others are, through the gate."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ckpt_tools.api._gate import gate
from ckpt_tools.gate.verdict import Settings
from tests.support.cases import changed

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding
    from tests.support.cases import Case

CARD = "---\nlicense: apache-2.0\nlibrary_name: lerobot\npipeline_tag: robotics\n---\n# A policy\n"
NOTHING = Settings(today="2026-01-01")


def carded(folder: Path) -> None:
    (folder / "README.md").write_text(CARD)


def findings(folder: Path, settings: Settings = NOTHING, **options: Any) -> tuple[Finding, ...]:
    return gate(str(folder), settings=settings, **options).verification.findings


def hold_gated(case: Case, home: Path) -> None:
    """The law of every rule, for a normal checkpoint that has a card."""
    found = {finding.code for finding in findings(_made(home / "bad", case.bad), **case.options)}
    assert case.code in found, sorted(found)
    assert found - {case.code} <= case.companions, sorted(found)
    for number, near in enumerate(case.near):
        assert case.code not in {
            finding.code
            for finding in findings(_made(home / f"near-{number}", near), **case.options)
        }, number


def _made(folder: Path, change: Any) -> Path:
    def whole(place: Path) -> None:
        carded(place)
        change(place)

    return changed(folder, whole)


def with_metadata(text: str) -> bytes:
    """A safetensors file whose metadata holds a text."""
    header = json.dumps({"__metadata__": {"note": text}}).encode()
    return len(header).to_bytes(8, "little") + header
