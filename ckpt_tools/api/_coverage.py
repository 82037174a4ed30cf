"""The verb coverage: what `verify` checks of a checkpoint, for `show`, which waits for no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.api._composed import check_components
from ckpt_tools.checkpoint.composition import composition
from ckpt_tools.families.registry import family_of
from ckpt_tools.progress import SILENT
from ckpt_tools.rules.coverage import coverage_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Verification
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.tree import tree
from ckpt_tools.storage import schemas
from ckpt_tools.storage.session import hub_session, is_folder

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.composition import Composition
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.rules.coverage import Coverage
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.scan.entry import Entry


@hub_session()
def coverage(checkpoint: Checkpoint) -> tuple[Coverage, ...]:
    """Return what `verify` checks of `checkpoint` by its headers and JSON files, and what not."""
    where = checkpoint.where
    rules = tuple(rule for rule in all_rules() if not rule.supply_chain)  # plugins are not loaded
    composed = composition(where)
    if composed is None:
        entries = tree(checkpoint.root) if is_folder(where) else None
        return _checked(checkpoint, rules=rules, entries=entries).coverage
    entries = tree(composed.root)
    return check_components(
        composed, entries, where, rules, _checked, lenient=False, reference="", progress=SILENT
    ).coverage


def _checked(
    checkpoint: Checkpoint,
    *,
    rules: tuple[Rule, ...],
    entries: tuple[Entry, ...] | None,
    composed: Composition | None = None,
    **_: object,
) -> Verification:
    """Return what the rules find in one checkpoint; with `composed` it has all components."""
    subject = Subject(
        checkpoint,
        family_of(checkpoint),
        entries=entries,
        schema=schemas.load,
        composition=composed,
    )
    found = check_rules(rules, subject)
    covered = coverage_of(subject, found.covered, rules, found.checked)
    return Verification(
        checkpoint.where,
        checkpoint,
        subject.family.name,
        found.findings,
        found.checked,
        found.skipped,
        coverage=covered,
    )
