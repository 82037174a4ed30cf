"""`ckpt rules`."""

from __future__ import annotations

import click

from ckpt_tools.api import _rules
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write_report
from ckpt_tools.report.pages.rules import document, rules_page
from ckpt_tools.rules.finding import Severity


@click.command(short_help="List all rules.")
@click.argument("prefixes", metavar="[PREFIX]...", nargs=-1)
@click.option(
    "--severity",
    type=click.Choice([str(one) for one in Severity]),
    help="List only rules of this severity.",
)
@click.option(
    "--family",
    metavar="NAME",
    help="List only rules about this family or kind, such as smolvla, policy or adapter.",
)
@options.output_format("text", "json", "markdown")
def rules(
    *, prefixes: tuple[str, ...], severity: str | None, family: str | None, output_format: str
) -> int:
    """List all rules, installed plugins' included, or those whose codes begin with a PREFIX.

    `ckpt explain CODE` prints a rule's page. Exit status: 0, or 2 if no rule is left.

    \b
    ckpt rules CK7 --severity error
    ckpt rules --family adapter
    ckpt rules --format json
    """
    known = _rules.known_rules(prefixes, severity=severity, family=family)
    write_report(known, lambda: rules_page(known), output_format, document)
    return CLEAN
