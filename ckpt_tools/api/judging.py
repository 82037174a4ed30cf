"""The verbs that judge: verify, gate, explain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.errors import FormatError
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.registry import family_of
from ckpt_tools.records.finding import Skipped, Verification
from ckpt_tools.rules.codes import all_rules
from ckpt_tools.rules.engine import ask
from ckpt_tools.rules.rule import Subject
from ckpt_tools.rules.unreadable import finding_of
from ckpt_tools.store.listing import listing
from ckpt_tools.store.reader import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.rules.rule import Rule


def verify(where: str, *, reference: str | None = None, target: str = "", rules: Iterable[Rule] | None = None) -> Verification:
    """Return what is wrong with the checkpoint at `where`. A file that cannot be read as what it is becomes a finding.

    `reference` is a normal checkpoint to hold it against. Raises a CkptError where there is nothing to verify, or the machine does not let it.
    """
    chosen = tuple(rules) if rules is not None else tuple(rule for rule in all_rules() if not rule.supply_chain)
    normal = read(reference) if reference else None
    try:
        checkpoint = read(where)
    except FormatError as error:
        finding = finding_of(error)
        skipped = tuple(Skipped(rule.code, "the checkpoint cannot be read") for rule in chosen if rule.code != finding.code)
        return Verification(where, None, GENERIC.name, (finding,), (finding.code,), skipped)
    family = family_of(checkpoint)
    entries = listing(checkpoint.root) if os.path.isdir(where) else None
    findings, asked, skipped = ask(chosen, Subject(checkpoint, family, entries=entries, reference=normal, target=target))
    return Verification(where, checkpoint, family.name, findings, asked, skipped)
