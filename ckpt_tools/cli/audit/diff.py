"""`ckpt audit diff`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, write_report
from ckpt_tools.report.json.audit import diff_document
from ckpt_tools.report.pages.audit_diff import audit_diff_page


@click.command("diff", short_help="Compare two audits.")
@click.argument("old")
@click.argument("new")
@click.option("--full", is_flag=True, help="List everything instead of the first of each list.")
@options.output_format("text", "json", "markdown", "html")
def command(old: str, new: str, *, full: bool, output_format: str) -> int:
    """Compare the audits OLD and NEW: checkpoints that are new, gone or changed, and findings.

    Checkpoints are compared by their locations. Exit status: 0 same, 1 different, 2 could not run.

    \b
    ckpt audit diff monday.db friday.db
    """
    comparison = api.compare_audits(old, new)
    write_report(
        comparison,
        lambda: audit_diff_page(comparison, full=full or output_format == "html"),
        output_format,
        diff_document,
    )
    return CLEAN if comparison.same else FINDINGS
