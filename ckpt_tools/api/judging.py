"""The verbs that judge: verify, gate, explain."""

from __future__ import annotations

import importlib
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
from ckpt_tools.store.copying import no_progress
from ckpt_tools.store.listing import listing
from ckpt_tools.store.probes import probe
from ckpt_tools.store.reader import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.records.checkpoint import Checkpoint
    from ckpt_tools.records.facts import Facts
    from ckpt_tools.rules.rule import Rule


def verify(  # noqa: PLR0913 - options by keyword
    where: str,
    *,
    reference: str | None = None,
    spec: str | None = None,
    values: bool = False,
    load: bool = False,
    target: str = "",
    rules: Iterable[Rule] | None = None,
    progress: Callable[[int], None] = no_progress,
) -> Verification:
    """Return what is wrong with the checkpoint at `where`. A file that cannot be read as what it is becomes a finding.

    `reference` is a normal checkpoint, `spec` a lockfile to hold it against. `values` reads every tensor, and `progress` is called with the bytes read.
    `load` lets the family's probe load it and act once. Raises a CkptError where there is nothing to verify, or the machine does not let it.
    """
    chosen = tuple(rules) if rules is not None else tuple(rule for rule in all_rules() if not rule.supply_chain)
    normal = read(reference) if reference else None
    promised = importlib.import_module("ckpt_tools.store.specs").read_spec(spec) if spec else None
    try:
        checkpoint = read(where)
    except FormatError as error:
        finding = finding_of(error)
        skipped = tuple(Skipped(rule.code, "the checkpoint cannot be read") for rule in chosen if rule.code != finding.code)
        return Verification(where, None, GENERIC.name, (finding,), (finding.code,), skipped)
    family = family_of(checkpoint)
    subject = Subject(
        checkpoint,
        family,
        entries=listing(checkpoint.root) if os.path.isdir(where) else None,
        facts=_measured(checkpoint, progress) if values else None,
        reference=normal,
        spec=promised,
        live=probe(family.name, checkpoint.root) if load else None,
        target=target,
    )
    findings, asked, skipped = ask(chosen, subject)
    return Verification(where, checkpoint, family.name, findings, asked, skipped)


def _measured(checkpoint: Checkpoint, progress: Callable[[int], None]) -> dict[str, Facts]:
    """Measure with what is imported only for this: numpy costs more than the rest of a verification."""
    facts: dict[str, Facts] = importlib.import_module("ckpt_tools.store.measure").measure(checkpoint, progress)
    return facts
