"""What the commands that judge share: their formats, and writing what they found in one of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ckpt_tools import api
from ckpt_tools.cli.output import write, write_report

if TYPE_CHECKING:
    from ckpt_tools.gate.verdict import Verdict
    from ckpt_tools.rules.finding import Verification

FORMATS = ("text", "json", "markdown", "html", "junit", "sarif", "github")
_FOR_MACHINES = frozenset({"junit", "sarif", "github"})


def write_judgement(judgement: Verification | Verdict, output_format: str) -> None:
    """Write what was found.

    For people, for scripts, or for what runs the checks of a repository.
    """
    if output_format in _FOR_MACHINES:
        write(
            importlib.import_module(f"ckpt_tools.report.formats.{output_format}").render(
                judgement, rules=api.known_rules()
            )
        )
        return
    pages = importlib.import_module("ckpt_tools.report.pages.verdict")
    page = (
        pages.page
        if output_format != "html"
        else lambda judgement: pages.explained_page(judgement, api.known_rules())
    )
    write_report(judgement, lambda: page(judgement), output_format, json="json.findings")
