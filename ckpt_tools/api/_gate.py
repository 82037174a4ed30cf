"""The verb that decides whether something may be uploaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.api._paths import as_text
from ckpt_tools.api._verify import LOCAL_ONLY_RULES, known_rules, verify
from ckpt_tools.checkpoint.locate import locate
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.checkpoint.read import read
from ckpt_tools.errors import FormatError, NotACheckpoint, NotAFile, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.gate.decide import decide, in_order
from ckpt_tools.gate.masking import telling
from ckpt_tools.gate.settings import read_settings
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.progress import ignore
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Finding, Severity, Skipped, Verification
from ckpt_tools.rules.profiles import PROFILES, Profile, is_collection, profile_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.folder import listing, single
from ckpt_tools.storage.session import (
    hub_session,
    is_folder,
    is_remote,
    remote_storage,
    root_of,
    transfer_stats,
)
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.gate.verdict import Verdict
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.scan.entry import Entry

_SECRET, _REQUIRED = "CK810", "CK816"


@hub_session()
def gate(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    *,
    profile: str | None = None,
    settings: AnyPath | Settings | None = None,
    reference: AnyPath | None = None,
    spec: AnyPath | None = None,
    values: bool = True,
    target: str = "",
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Verdict:
    """Return whether what lies at `where` may be uploaded under a profile ("lerobot", "transformers", "generic"; by its config if none is named).

    `settings` are given, or a file to read instead of `ckpt.toml` in the current folder. All rules
    are asked (those about numbers unless `values` is false), and those of the supply chain also
    where the checkpoint cannot be read, or is none. A folder is judged as it would be uploaded: a
    checkpoint deeper down does not stand for it. No secret that was found is in what is returned.
    Raises a CkptError where there is nothing, or the machine does not let it.
    """
    where, settings, reference = as_text(where), as_text(settings), as_text(reference)
    if reference:
        read(reference)  # what is wrong with it is no finding
    if is_remote(where):
        remote_storage(where).refuse_cached()
    root = where if is_folder(where) else os.path.split(where)[0] or "."
    said = settings if isinstance(settings, Settings) else read_settings(settings, root)
    choose = _choice(profile or said.profile, said, is_folder=is_folder(where))
    rules = known_rules()
    try:
        _refuse_deeper(where)
        seen = verify(
            where,
            reference=reference,
            spec=spec,
            values=values and not is_remote(where),
            target=target,
            settings=Settings(),
            rules=rules,
            choose=choose,
            progress=progress,
            expect=expect,
        )
    except (NotACheckpoint, NotAFile) as error:
        found = Finding(
            _REQUIRED,
            Severity.ERROR,
            error.what,
            error.path.removeprefix(where).lstrip("/"),
            remedy=Remedy(text=error.next),
        )
        seen = Verification(where, None, GENERIC.name, (found,), ())
    verification, chosen = _completed(seen, root, rules, choose)
    return _masked(decide(verification, chosen, said), where, root)


def _refuse_deeper(where: str) -> None:
    """Raise NotACheckpoint where the checkpoint is not in the folder itself.

    What is uploaded is the folder.
    """
    inner = _deeper(where)
    if inner:
        raise NotACheckpoint(
            f"holds its checkpoint further down, in {os.path.relpath(inner, root_of(where))}, where nobody looks for it once it is uploaded",
            path=where,
            hint=f"name the folder that you upload: {inner}",
        )


def _deeper(where: str) -> str:
    """Return the folder below `where` that its checkpoint is in, as training and caches lay it out, "" where it is in the folder itself, or nowhere."""
    try:
        inner = locate(where).root
    except (NotACheckpoint, NotAFile):
        return ""
    return (
        inner
        if is_folder(where) and os.path.normpath(inner) != os.path.normpath(root_of(where))
        else ""
    )


def _choice(name: str, settings: Settings, *, is_folder: bool) -> Callable[[Subject], Profile]:
    """Return how the profile is chosen. A single file needs neither a card nor other files."""
    if name and name not in PROFILES:
        raise UnknownSelection(
            f"there is no profile {name!r}", hint=f"name one of {', '.join(PROFILES)}"
        )

    def choose(subject: Subject) -> Profile:
        found = PROFILES[name] if name else profile_of(subject)
        found = found._replace(allowed=(*found.allowed, *settings.allow))
        return found if is_folder else found._replace(required=(), card=())

    return choose


def _completed(
    seen: Verification, root: str, rules: tuple[Rule, ...], choose: Callable[[Subject], Profile]
) -> tuple[Verification, str]:
    """Return what all rules find and the name of the profile.

    Where the checkpoint cannot be read, what the rules of the supply chain find in the folder.
    """
    where = seen.where
    if seen.checkpoint is not None and is_folder(where):
        return seen, choose(Subject(seen.checkpoint, GENERIC._replace(name=seen.family))).name
    entries = _entries(where, root, seen.checkpoint)
    subject = Subject(
        seen.checkpoint or Checkpoint(where, root, (), documents=tuple(_config(entries))),
        GENERIC,
        entries=entries,
    )
    profile = choose(subject)
    if not entries:
        return seen._replace(findings=()), profile.name
    subject = subject._replace(profile=profile)
    if seen.checkpoint is None and is_collection(subject) and not _deeper(where):
        seen = seen._replace(
            findings=tuple(finding for finding in seen.findings if finding.code != _REQUIRED)
        )
    findings, checked, _ = check_rules(
        (
            rule
            for rule in rules
            if rule.supply_chain and not (rule.code in LOCAL_ONLY_RULES and is_remote(where))
        ),
        subject,
    )
    reasons = {rule.code: "there is no checkpoint that can be read" for rule in rules} | dict(
        seen.skipped
    )
    rest = tuple(
        Skipped(code, reason)
        for code, reason in sorted(reasons.items())
        if code not in {*checked, *seen.checked}
    )
    whole = seen._replace(
        findings=in_order((*seen.findings, *findings)),
        checked=tuple(sorted({*seen.checked, *checked})),
        skipped=rest,
    )
    return whole, profile.name


def _config(entries: tuple[Entry, ...]) -> Iterator[Document]:
    """Yield config.json, by which a profile is chosen, also where there is no checkpoint around it."""
    text = next((entry.text for entry in entries if entry.path == "config.json"), None)
    try:
        yield from (
            () if text is None else (Document("config.json", text, dict(parse_object(text))),)
        )
    except FormatError:
        return


def _entries(where: str, root: str, checkpoint: Checkpoint | None) -> tuple[Entry, ...]:
    """Return what is uploaded: all of a folder, or a file, with an index its shards too."""
    if is_folder(where):
        return listing(root)
    shards = checkpoint.weights if checkpoint and checkpoint.shard_index else ()
    return (
        *single(where),
        *(entry for file in shards for entry in single(os.path.join(root, file.path))),
    )


def _masked(verdict: Verdict, where: str, root: str) -> Verdict:
    """Return the verdict without the secrets that were found, and without names in paths into homes, wherever a rule quotes them."""
    found = verdict.verification
    everything = (*found.findings, *(lived.finding for lived in found.suppressed))
    places = {finding.path for finding in everything if finding.code == _SECRET}
    quoted = (
        text
        for entry in (_entries(where, root, found.checkpoint) if places else ())
        if entry.path in places
        for text, _ in entry.texts
    )
    told = telling(quoted, homes=True)
    masked = {finding: told(finding) for finding in everything}
    verification = found._replace(
        findings=tuple(masked[finding] for finding in found.findings),
        suppressed=tuple(
            lived._replace(finding=masked[lived.finding]) for lived in found.suppressed
        ),
        transferred=transfer_stats(),
    )
    return verdict._replace(
        verification=verification, refused=tuple(masked[finding] for finding in verdict.refused)
    )
