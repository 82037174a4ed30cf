"""The output formats of the commands that report findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools import api
from ckpt_tools.cli.output import write, write_report
from ckpt_tools.report.formats import github, junit, sarif
from ckpt_tools.report.json.findings import document
from ckpt_tools.report.pages import verdict as verdict_page

if TYPE_CHECKING:
    from ckpt_tools.gate.verdict import Verdict
    from ckpt_tools.rules.finding import Verification

FORMATS = ("text", "json", "markdown", "html", "junit", "sarif", "github")
_FOR_MACHINES = {"junit": junit.render, "sarif": sarif.render, "github": github.render}


def write_judgement(judgement: Verification | Verdict, output_format: str) -> None:
    """Write a verification or a verdict to standard output in one of FORMATS."""
    if output_format in _FOR_MACHINES:
        write(_FOR_MACHINES[output_format](judgement, rules=api.known_rules()))
    elif output_format == "html":
        explained = verdict_page.explained_page(judgement, api.known_rules())
        write_report(judgement, lambda: explained, output_format, document)
    else:
        write_report(judgement, lambda: verdict_page.page(judgement), output_format, document)
