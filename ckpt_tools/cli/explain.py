"""`ckpt explain`."""

from __future__ import annotations

import click

from ckpt_tools.api import _rules
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, write, write_report
from ckpt_tools.report.pages.rules import (
    document,
    explain_page,
    rule_markdown,
    suppress_blocks,
)


def _codes(start: str) -> list[str]:
    """Return the codes and names of rules that begin so, for a shell to offer."""
    names = (name for rule in _rules.known_rules() for name in (rule.code, rule.name))
    return [name for name in names if name.lower().startswith(start.lower())]


@click.command(short_help="Explain a rule and how to fix what it finds.")
@click.argument("code", shell_complete=lambda _ctx, _param, start: _codes(start))
@options.output_format("text", "json", "markdown")
def explain(code: str, *, output_format: str) -> int:
    """Explain the rule CODE (a code or a name): what it finds, why it matters, how to fix it.

    Exit status: 0, or 2 if there is no such rule.

    \b
    ckpt explain CK301
    ckpt explain teacher-weights
    """
    rule = _rules.explain(code)
    if output_format == "markdown":
        # A page is Markdown already.
        write(rule_markdown(rule))
    else:
        write_report(
            (rule,), lambda: (*explain_page(rule), *suppress_blocks(rule)), output_format, document
        )
    return CLEAN
