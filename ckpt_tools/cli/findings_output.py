"""What the commands that report findings share: their output formats, and several checkpoints."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from ckpt_tools import api, shell
from ckpt_tools.cli.options import given_options
from ckpt_tools.cli.output import (
    CLEAN,
    FINDINGS,
    NOTHING_CHECKED,
    TROUBLE,
    complain,
    sentence_of,
    write,
    write_report,
)
from ckpt_tools.errors import CkptError, NotACheckpoint
from ckpt_tools.gate.decide import settings_notes, without_settings_notes
from ckpt_tools.gate.verdict import Verdict
from ckpt_tools.report.formats import github, junit, sarif
from ckpt_tools.report.formats.findings import found_in
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.json.findings import document
from ckpt_tools.report.pages import verdict as verdict_page
from ckpt_tools.rules.remedy import as_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ckpt_tools.rules.finding import Finding, Verification

FORMATS = ("text", "json", "markdown", "html", "junit", "sarif", "github")
_FOR_MACHINES = {"junit": junit.render, "sarif": sarif.render, "github": github.render}


def judge_all(
    wheres: Sequence[str], judge: Callable[[str], Verification | Verdict], output_format: str
) -> int:
    """Write what `judge` returns for each checkpoint in one of FORMATS; return the exit status.

    Of several, those that cannot be checked are named on standard error, and the others are
    reported.
    """
    if len(wheres) == 1:
        with _all_below():
            judgement = judge(wheres[0])
        write_judgement(judgement, output_format)
        return _status(judgement)
    judgements: list[Verification | Verdict] = []
    errors: list[str] = []
    for where in wheres:
        try:
            judgements.append(judge(where))
        except (CkptError, OSError) as error:
            errors.append(sentence_of(error))
    for message in dict.fromkeys(errors):
        complain(message)
    _write_several(judgements, len(errors), output_format)
    statuses = set(map(_status, judgements))
    if errors:
        return TROUBLE
    return statuses.pop() if len(statuses) == 1 else FINDINGS


@contextmanager
def _all_below() -> Iterator[None]:
    """Add to the error of a folder above several checkpoints the command that checks them all."""
    try:
        yield
    except NotACheckpoint as error:
        if error.below:
            ctx = click.get_current_context()
            given, few = given_options(ctx), len(error.below) <= _FEW
            each = (*ctx.command_path.split(), *map(as_path, error.below), *given)
            words = each if few else (*_AUDIT, as_path(error.path))
            if few or not given:  # an audit has other options
                error.next += f", or check all of them: {shell.join(words)}"
        raise


_FEW = 10
"""Checkpoints that a suggested command names one by one."""

_AUDIT = ("ckpt", "audit", "run", "--out", "audit.db")


def write_judgement(judgement: Verification | Verdict, output_format: str) -> None:
    """Write a verification or a verdict to standard output in one of FORMATS."""
    if output_format in _FOR_MACHINES:
        write(_FOR_MACHINES[output_format]([judgement], rules=api.known_rules()))
    elif output_format == "html":
        explained = verdict_page.explained_page(judgement, api.known_rules())
        write_report(judgement, lambda: explained, output_format, document)
    else:
        write_report(judgement, lambda: verdict_page.page(judgement), output_format, document)


def _write_several(
    judgements: Sequence[Verification | Verdict], unread: int, output_format: str
) -> None:
    if not judgements:
        return
    if output_format == "json":
        write("".join(dump(document(one), indent=None) for one in _with_notes_once(judgements)))
    elif output_format in _FOR_MACHINES:
        every = _with_notes_once(judgements)
        write(_FOR_MACHINES[output_format](every, rules=api.known_rules()))
    else:
        others, notes = _with_notes_apart(judgements)
        rules = api.known_rules() if output_format == "html" else None
        page = verdict_page.several(others, unread, notes, rules)
        write_report(others, lambda: page, output_format, lambda _: {})


def _with_notes_apart(
    judgements: Sequence[Verification | Verdict],
) -> tuple[list[Verification | Verdict], tuple[Finding, ...]]:
    """Return judgements without the notes on the settings that they share, and these, once."""
    notes = settings_notes([found_in(one) for one in judgements])
    return [_verified(one, without_settings_notes) for one in judgements], notes


def _with_notes_once(
    judgements: Sequence[Verification | Verdict],
) -> list[Verification | Verdict]:
    """Return judgements with each note on the settings in the last that has it, if all have it."""
    others, notes = _with_notes_apart(judgements)
    for note in notes:
        last = max(at for at, one in enumerate(judgements) if note in found_in(one).findings)
        others[last] = _verified(others[last], partial(_with_note, note))
    return others


def _with_note(note: Finding, verification: Verification) -> Verification:
    return verification._replace(findings=(*verification.findings, note))


def _verified(
    judgement: Verification | Verdict, change: Callable[[Verification], Verification]
) -> Verification | Verdict:
    """Return a judgement with another verification."""
    if isinstance(judgement, Verdict):
        return judgement._replace(verification=change(judgement.verification))
    return change(judgement)


def _status(judgement: Verification | Verdict) -> int:
    if not found_in(judgement).checked:
        return NOTHING_CHECKED
    return CLEAN if verdict_page.passed(judgement) else FINDINGS
