"""`ckpt explain`."""

from __future__ import annotations

import click

from ckpt_tools.api import _verify
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write, write_report
from ckpt_tools.report.pages.rules import document, explain_page, rule_markdown


@click.command(short_help="Say what a rule holds, why, and what to do.")
@click.argument("code")
@options.output_format("text", "json", "markdown")
def explain(code: str, *, output_format: str) -> int:
    """Print the page of the rule CODE, which is a code or a name.

    Exit status: 0, or 2 where there is no such rule.

    \b
    ckpt explain CK301
    ckpt explain teacher-weights
    """
    rule = _verify.explain(code)
    if output_format == "markdown":
        # A page is Markdown already.
        write(rule_markdown(rule))
    else:
        write_report((rule,), lambda: explain_page(rule), output_format, document)
    return CLEAN
