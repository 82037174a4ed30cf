"""Rules as blocks, as JSON, and as the pages of `docs/rules/`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.report.blocks import Heading, Line, Table, Verbatim
from ckpt_tools.rules.finding import Need
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ckpt_tools.report.blocks import Block, Page
    from ckpt_tools.report.json.document import JsonDict
    from ckpt_tools.rules.rule import Rule

RULES_SCHEMA = "ckpt-tools/rules.schema.json"

_NEEDS = {
    Need.BASELINE: "reference checkpoint",
    Need.EXPECTATION: "known list of tensors",
    Need.LIBRARY: "safetensors library",
    Need.LIVE: "loaded policy",
    Need.SPEC: "lockfile",
    Need.VALUES: "tensor values",
}
"""What rules read, in words where the name of the need is none that users know."""

_SAFE = " (safe: nothing that the model uses is lost)"

_NEVER_ALONE = re.compile(r"\s|[-*|>] |```")
"""The start of a line that is not wrapped: code, a list, a table, a quote."""


def rules_page(rules: Sequence[Rule]) -> Page:
    """Return the page of `ckpt rules`."""
    rows = tuple((rule.code, str(rule.severity), printable(first_sentence(rule))) for rule in rules)
    return (Table(header=("code", "severity", "finds"), rows=rows),)


def explain_page(rule: Rule) -> Page:
    """Return the page of `ckpt explain`."""
    return (
        Heading(text=f"{rule.code} {printable(rule.name)}"),
        *_paragraphs(rule.page),
        *(Line(text=fact) for fact in _facts(rule)),
    )


def suppress_blocks(rule: Rule) -> Page:
    """Return how a finding of the rule is accepted in the settings."""
    snippet = ("[[suppress]]", f'code = "{rule.code}"', 'reason = "why it is fine here"')
    return (
        Line(text="accept it, with your reason, in ckpt.toml (or once: --suppress, --reason):"),
        Verbatim(lines=tuple(f"    {line}" for line in snippet)),
    )


def document(rules: Sequence[Rule]) -> JsonDict:
    """Return rules by `schemas/rules.schema.json`."""
    return {"$schema": RULES_SCHEMA, "rules": [_entry(rule) for rule in rules]}


def rule_markdown(rule: Rule) -> str:
    """Return the page of a rule as it stands in `docs/rules/`."""
    facts = "\n".join(f"- {fact}" for fact in _facts(rule))
    return f"# {rule.code} {rule.name}\n\n{rule.page.strip()}\n\n{facts}\n"


def index_markdown(rules: Sequence[Rule]) -> str:
    """Return the index of `docs/rules/`."""
    rows = "\n".join(
        f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.severity} | {needs(rule)}"
        f" | {first_sentence(rule).replace('|', '\\|')} |"
        for rule in rules
    )
    intro = (
        "`ckpt verify` and `ckpt gate` check these rules. `ckpt rules` lists them, and\n"
        "`ckpt explain CODE` prints a rule's page. Codes and names are permanent."
    )
    header = "| code | name | severity | needs | finds |\n|---|---|---|---|---|"
    return f"# Rules\n\n{intro}\n\n{header}\n{rows}\n"


def first_sentence(rule: Rule) -> str:
    """Return a rule's title, the first line of its page: the fault that it finds."""
    return rule.page.strip().partition("\n")[0].strip()


def needs(rule: Rule) -> str:
    """Return what a rule reads, as a list of words."""
    return ", ".join(sorted(_NEEDS.get(need, need) for need in rule.needs))


def _facts(rule: Rule) -> Iterator[str]:
    yield f"severity: {rule.severity}"
    yield f"needs: {needs(rule)}"
    if rule.families or rule.kinds:
        yield f"only for: {', '.join(sorted({*rule.families, *rule.kinds}))}"
    if rule.supply_chain:
        yield "checked by: `ckpt gate` only"
    if rule.fix:
        yield f"repair: `{rule.fix}`{_SAFE if rule.safe else ''}"


def _paragraphs(page: str) -> Iterator[Block]:
    """Yield each paragraph as one line, which a terminal wraps; code and lists verbatim."""
    for paragraph in re.split(r"\n\s*\n", page.strip("\n")):
        lines = paragraph.split("\n")
        if any(_NEVER_ALONE.match(line) for line in lines):
            yield Verbatim(lines=tuple(f"    {printable(line.rstrip())}" for line in lines))
        else:
            yield Line(text=" ".join(line.strip() for line in lines))


def _entry(rule: Rule) -> JsonDict:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": str(rule.severity),
        "needs": sorted(map(str, rule.needs)),
        "sentence": first_sentence(rule),
        "page": rule.page.strip(),
        "fix": rule.fix,
        "safe": rule.safe,
        "families": sorted(rule.families),
        "kinds": sorted(rule.kinds),
        "supply_chain": rule.supply_chain,
    }
