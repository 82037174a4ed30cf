"""`ckpt rules`."""

from __future__ import annotations

import click

from ckpt_tools.api import _rules
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write_report
from ckpt_tools.report.pages.rules import document, rules_page


@click.command(short_help="List all rules.")
@options.output_format("text", "json", "markdown")
def rules(*, output_format: str) -> int:
    """List all rules, installed plugins' included: code, name, severity, needs, what they find.

    `ckpt explain CODE` prints a rule's page. Exit status: 0.

    \b
    ckpt rules
    ckpt rules --format json
    """
    known = _rules.known_rules()
    write_report(known, lambda: rules_page(known), output_format, document)
    return CLEAN
