"""The verb that decides whether something may be uploaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.api.judging import known_rules, verify
from ckpt_tools.errors import FormatError, NotACheckpoint, NotAFile, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.format.json_text import parse_object
from ckpt_tools.records.checkpoint import Checkpoint, Document
from ckpt_tools.records.finding import Finding, Severity, Skipped, Verification
from ckpt_tools.records.verdict import Settings
from ckpt_tools.rules.checks import (
    ck208_single_file,
    ck804_file_type,
    ck813_model_card,
    ck815_files_too_large,
    ck816_required_files,
    ck819_other_weights,
)
from ckpt_tools.rules.decide import decide, in_order
from ckpt_tools.rules.engine import ask
from ckpt_tools.rules.homes import hidden
from ckpt_tools.rules.profiles import PROFILES, Profile, profile_of
from ckpt_tools.rules.rule import Subject
from ckpt_tools.rules.secrets import mask, secrets
from ckpt_tools.store.listing import listing, single
from ckpt_tools.store.locate import locate
from ckpt_tools.store.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.records.listing import Entry
    from ckpt_tools.records.verdict import Verdict
    from ckpt_tools.rules.profiles import Choice
    from ckpt_tools.rules.rule import Rule

_BY_PROFILE = {
    module.RULE.code: module.rule
    for module in (ck208_single_file, ck804_file_type, ck813_model_card, ck815_files_too_large, ck816_required_files, ck819_other_weights)
}
_SECRET, _REQUIRED = "CK810", "CK816"


def gate(where: str, *, profile: str | None = None, settings: str | Settings | None = None, reference: str | None = None, target: str = "") -> Verdict:
    """Return whether what lies at `where` may be uploaded under a profile ("lerobot", "transformers", "generic"; by its config if none is named).

    `settings` are given, or a file to read instead of `ckpt.toml` in the current folder. All rules are asked, and those of
    the supply chain also where the checkpoint cannot be read, or is none. No secret that was found is in what is returned. Raises a CkptError where
    there is nothing, or the machine does not let it.
    """
    root = _root(where)
    said = settings if isinstance(settings, Settings) else read_settings(settings, root)
    choose = _choice(profile or said.profile, said, is_folder=os.path.isdir(where))
    rules = tuple(_BY_PROFILE[rule.code](choose) if rule.code in _BY_PROFILE else rule for rule in known_rules())
    try:
        seen = verify(where, reference=reference, target=target, settings=Settings(), rules=rules)
    except (NotACheckpoint, NotAFile) as error:
        found = Finding(_REQUIRED, Severity.ERROR, error.what, error.path.removeprefix(where).lstrip("/"), next=error.next)
        seen = Verification(where, None, GENERIC.name, (found,), ())
    verification, chosen = _completed(seen, root, rules, choose)
    return _masked(decide(verification, chosen, said), where, root)


def _root(where: str) -> str:
    """Return the folder that is judged: the checkpoint's, or `where` itself if there is none in it."""
    try:
        return locate(where).root
    except (NotACheckpoint, NotAFile):
        return where if os.path.isdir(where) else os.path.split(where)[0] or "."


def _choice(name: str, settings: Settings, *, is_folder: bool) -> Choice:
    """Return how the profile is chosen; of a single file neither a card nor other files are asked."""
    if name and name not in PROFILES:
        msg = f"there is no profile {name!r}"
        raise UnknownSelection(msg, hint=f"name one of {', '.join(PROFILES)}")

    def choose(subject: Subject) -> Profile:
        found = PROFILES[name] if name else profile_of(subject)
        found = found._replace(allowed=(*found.allowed, *settings.allow))
        return found if is_folder else found._replace(required=(), card=())

    return choose


def _completed(seen: Verification, root: str, rules: tuple[Rule, ...], choose: Choice) -> tuple[Verification, str]:
    """Return what all rules find and the name of the profile; where the checkpoint cannot be read, what the rules of the supply chain find in the folder."""
    where = seen.where
    if seen.checkpoint is not None and os.path.isdir(where):
        return seen, choose(Subject(seen.checkpoint, GENERIC._replace(name=seen.family))).name
    entries = _entries(where, root)
    subject = Subject(seen.checkpoint or Checkpoint(where, root, (), documents=tuple(_config(entries))), GENERIC, entries=entries)
    if not entries:
        return seen._replace(findings=()), choose(subject).name
    if seen.checkpoint is None and ck816_required_files.is_collection(subject, choose):
        seen = seen._replace(findings=tuple(finding for finding in seen.findings if finding.code != _REQUIRED))
    findings, asked, _ = ask((rule for rule in rules if rule.supply_chain), subject)
    reasons = {rule.code: "there is no checkpoint that can be read" for rule in rules} | dict(seen.skipped)
    rest = tuple(Skipped(code, reason) for code, reason in sorted(reasons.items()) if code not in {*asked, *seen.asked})
    whole = seen._replace(findings=in_order((*seen.findings, *findings)), asked=tuple(sorted({*seen.asked, *asked})), skipped=rest)
    return whole, choose(subject).name


def _config(entries: tuple[Entry, ...]) -> Iterator[Document]:
    """Yield config.json, by which a profile is chosen, also where there is no checkpoint around it."""
    text = next((entry.text for entry in entries if entry.path == "config.json"), None)
    try:
        yield from () if text is None else (Document("config.json", text, dict(parse_object(text))),)
    except FormatError:
        return


def _entries(where: str, root: str) -> tuple[Entry, ...]:
    return listing(root) if os.path.isdir(where) else single(where)


def _masked(verdict: Verdict, where: str, root: str) -> Verdict:
    """Return the verdict without the secrets that were found, and without names in paths into homes, wherever a rule quotes them."""
    found = verdict.verification
    everything = (*found.findings, *(lived.finding for lived in found.suppressed))
    places = {finding.path for finding in everything if finding.code == _SECRET}
    known: set[str] = set()
    for entry in _entries(where, root) if places else ():
        if entry.path in places:
            known.update(secret.value for text, _ in entry.texts for secret in secrets(text))
    masked = {finding: _told(finding, known) for finding in everything}
    verification = found._replace(
        findings=tuple(masked[finding] for finding in found.findings),
        suppressed=tuple(lived._replace(finding=masked[lived.finding]) for lived in found.suppressed),
    )
    return verdict._replace(verification=verification, refused=tuple(masked[finding] for finding in verdict.refused))


def _told(finding: Finding, known: Iterable[str]) -> Finding:
    what, subject, after = (hidden(mask(text, known)) for text in (finding.what, finding.subject, finding.next))
    return finding._replace(what=what, path=mask(finding.path, known), subject=subject, next=after)
