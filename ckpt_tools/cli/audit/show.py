"""`ckpt audit show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.audit.model import Status
from ckpt_tools.audit.summary import By, Selection
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, TROUBLE, write_report
from ckpt_tools.report.json.audit import document
from ckpt_tools.report.pages.audit import audit_page
from ckpt_tools.report.pages.audit_report import EXAMPLES, TABLES, audit_report
from ckpt_tools.rules.finding import Severity

if TYPE_CHECKING:
    from ckpt_tools.audit.summary import Overview

_LIMIT = 20
_SEVERITIES = tuple(severity.value for severity in Severity)


def _filter(name: str, what: str, choices: tuple[str, ...] = ()) -> options.Decorator:
    """Return the option for a filter, which may be repeated."""
    return click.option(
        f"--{name}",
        multiple=True,
        metavar=None if choices else name.upper(),
        type=click.Choice(choices) if choices else click.STRING,
        help=f"Only checkpoints {what}. Repeatable.",
    )


@click.command("show", short_help="Show what an audit found.")
@click.argument("file")
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    multiple=True,
    help="What a row of the table stands for (default: rule and family). Repeatable.",
)
@_filter("code", "with a finding of this rule, a code or a name")
@_filter("family", "of this family; * stands for any characters")
@_filter("owner", "of this owner; * stands for any characters")
@_filter("severity", "with a finding of this severity", _SEVERITIES)
@_filter(
    "status", "of this status (default: all but vanished)", tuple(status.value for status in Status)
)
@_filter("source", "found below this source; * stands for any characters")
@click.option(
    "--limit",
    metavar="N",
    type=options.WholeNumber(min=0),
    help=f"Rows of a table; 0 for all (default: {_LIMIT} as text and Markdown, otherwise all).",
)
@click.option(
    "--fail-on",
    type=click.Choice(_SEVERITIES),
    default="warning",
    show_default=True,
    help="The least severe finding that makes the exit status 1.",
)
@options.output_format("text", "json", "markdown", "html")
def command(  # noqa: PLR0913 - one parameter an option
    file: str,
    *,
    by: tuple[str, ...],
    code: tuple[str, ...],
    family: tuple[str, ...],
    owner: tuple[str, ...],
    severity: tuple[str, ...],
    status: tuple[str, ...],
    source: tuple[str, ...],
    limit: int | None,
    fail_on: str,
    output_format: str,
) -> int:
    """Show what the audit FILE found: an overview, then a table by rule and one by family.

    With --code, the rule is explained and its findings are listed. HTML has every table, every
    checkpoint and the graph of their descent. Exit status: 0 clean, 1 findings, 2 something could
    not be looked at, 3 no checkpoints.

    \b
    ckpt audit show audit.db
    ckpt audit show audit.db --by owner --family smolvla --severity error
    ckpt audit show audit.db --code CK301 --limit 0
    ckpt audit show audit.db --format html > audit.html
    """
    is_html, is_text = output_format == "html", output_format in ("text", "markdown")
    tables = (By.RULE,) if code else (By.RULE, By.FAMILY)
    summary = api.read_audit(
        file,
        by=TABLES if is_html else by or tables,
        selection=Selection(code, severity, family, owner, status, source),
        limit=limit if limit is not None else _LIMIT * is_text,
        examples=EXAMPLES * is_html,
    )
    if is_html:
        graph, rules = api.audit_graph(file), api.known_rules()
        write_report(summary, lambda: audit_report(summary, graph, rules), "html", document)
    else:
        write_report(
            summary, lambda: audit_page(summary, api.known_rules()), output_format, document
        )
    return _status(summary.overview, Severity(fail_on))


def _status(overview: Overview, fail_on: Severity) -> int:
    if not overview.selected:
        return NOTHING_CHECKED
    if overview.failed:
        return TROUBLE
    with_findings = (overview.with_errors, overview.with_warnings, overview.with_notes)
    return FINDINGS if any(with_findings[: list(Severity).index(fail_on) + 1]) else CLEAN
