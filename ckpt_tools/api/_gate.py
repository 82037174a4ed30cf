"""The verb that decides whether a folder or a file may be uploaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.api._composed import without_repeats
from ckpt_tools.api._paths import as_text
from ckpt_tools.api._rules import known_rules
from ckpt_tools.api._verify import check, folder_of, read_baseline, settings_for
from ckpt_tools.api._verify_one import LOCAL_ONLY_RULES, profile_for
from ckpt_tools.checkpoint.composition import composition
from ckpt_tools.checkpoint.documents import CONFIG, WEIGHTS
from ckpt_tools.checkpoint.locate import is_orbax, locate
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.checkpoint.read import read
from ckpt_tools.errors import FormatError, NotACheckpoint, NotAFile, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.gate.baseline import apply_baseline
from ckpt_tools.gate.decide import decide, verdict_on
from ckpt_tools.gate.masking import masked
from ckpt_tools.progress import Progress, ignore
from ckpt_tools.rules.coverage import Question, answered, unreadable
from ckpt_tools.rules.engine import check_rules, in_order
from ckpt_tools.rules.finding import Finding, Severity, Skipped, Verification
from ckpt_tools.rules.profiles import PROFILES, is_collection
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.folder import listing, single
from ckpt_tools.storage.session import (
    hub_session,
    is_folder,
    is_remote,
    require_complete,
    root_of,
    transfer_stats,
)
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.errors import CkptError
    from ckpt_tools.gate.baseline import Baseline
    from ckpt_tools.gate.verdict import Settings, Verdict
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.scan.entry import Entry

_SECRET, _REQUIRED = "CK810", "CK816"
_LAYOUT = frozenset(("CK804", "CK813", "CK819", "CK821"))
"""Rules about what belongs beside a checkpoint: of no use in a folder above its own, or in one of a
format that is not read."""

_WITHOUT_WEIGHTS = frozenset((_REQUIRED, path) for path in (WEIGHTS, "*.safetensors"))
_ANOTHER_FOLDER = Remedy(text="name the folder that has the checkpoint")


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
    require: Iterable[str] = (),
    suppress: Iterable[str] = (),
    reason: str = "",
    baseline: AnyPath | None = None,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Verdict:
    """Decide whether what is at `where` may be uploaded under a profile.

    `profile` is "lerobot", "transformers" or "generic"; by default the settings' or the config's.
    `settings` are given, or a file to read instead of the nearest `ckpt.toml`. `reference` is a
    reference checkpoint, `spec` a lockfile, `target` the release of LeRobot that has to read the
    checkpoint, by default the newest. All rules are
    checked, except those about tensor values unless `values`; those of the supply chain also if the
    checkpoint is missing or cannot be read. A folder is checked as it would be uploaded: a
    checkpoint in a subfolder does not count. `require` are questions that must be checked, besides
    those of the settings; the rules `suppress` are suppressed for `reason`. Findings in the report
    `baseline` do not fail. `expect` is called with the number of bytes, then `progress` with those
    read. The verdict contains no secret that was found. Raises a CkptError if
    nothing is there, or on I/O errors.
    """
    where, settings, reference = as_text(where), as_text(settings), as_text(reference)
    accepted = read_baseline(as_text(baseline))
    if reference and composition(reference) is None:
        read(reference)  # what is wrong with the reference is not a finding
    if is_remote(where):
        require_complete(where)
    settings = settings_for(where, settings, require, suppress, reason)
    name = profile or settings.profile
    if name and name not in PROFILES:
        raise UnknownSelection(
            f"no such profile: {name!r}", hint=f"choose from {', '.join(PROFILES)}"
        )
    inner, rules = _inner_checkpoint(where), known_rules()
    try:
        _refuse_inner(where, inner)
        found = check(
            where,
            rules=rules,
            reference=reference,
            spec=spec,
            values=values and not is_remote(where),
            target=target,
            progress=Progress(progress, expect),
            profile=name,
            allow=settings.allow,
        )
    except (NotACheckpoint, NotAFile) as error:
        found = _without_checkpoint(where, error)
    subject = _subject(found)
    terms = profile_for(subject, where, name, settings.allow)
    if subject.entries is not None:
        found = _completed(found, subject._replace(profile=terms), rules, is_inside=bool(inner))
    return _masked(decide(found, terms.name, settings), accepted)


def _without_checkpoint(where: str, error: CkptError) -> Verification:
    """Return the verification of something that is no checkpoint: that is the finding."""
    path, remedy = error.path.removeprefix(where).lstrip("/"), Remedy(text=error.next)
    finding = Finding(_REQUIRED, Severity.ERROR, error.what, path, remedy=remedy)
    return Verification(
        where, None, GENERIC.name, (finding,), (), coverage=unreadable(without_checkpoint=True)
    )


def _masked(verdict: Verdict, accepted: Baseline | None) -> Verdict:
    """Return the verdict without the secrets that its findings quote, and without known ones."""
    clean = masked(verdict.verification, _quoted(verdict.verification), homes=True)
    clean = apply_baseline(clean, accepted) if accepted else clean
    return verdict_on(clean._replace(transferred=transfer_stats()), verdict.profile)


def _inner_checkpoint(where: str) -> str:
    """Return the subfolder of `where` that has its checkpoint, "" if it is in `where` or missing.

    Training and caches lay checkpoints out that way; loaders of a repository do not look there.
    """
    try:
        inner = locate(where).root
    except (NotACheckpoint, NotAFile):
        return ""
    is_inside = os.path.normpath(inner) != os.path.normpath(root_of(where))
    return inner if is_folder(where) and is_inside else ""


def _refuse_inner(where: str, inner: str) -> None:
    """Raise NotACheckpoint if only a subfolder has a checkpoint: the folder is what is uploaded."""
    if inner:
        below = os.path.relpath(inner, root_of(where))
        raise NotACheckpoint(
            f"the checkpoint is in the subfolder {below}; loaders only look in the top folder",
            path=where,
            hint=f"name the folder that you upload: {inner}",
        )


def _subject(found: Verification) -> Subject:
    """Return what the profile is derived from, with `entries` if they were not checked yet.

    `check` does not list a folder without a readable checkpoint, nor a single file.
    """
    where = found.where
    if found.checkpoint is not None and is_folder(where):
        return Subject(found.checkpoint, GENERIC._replace(name=found.family))
    entries = _uploaded(where, found.checkpoint)
    documents = tuple(_config(entries))
    unread = Checkpoint(where, folder_of(where), (), documents=documents)
    return Subject(found.checkpoint or unread, GENERIC, entries=entries)


def _completed(
    found: Verification, subject: Subject, rules: tuple[Rule, ...], *, is_inside: bool
) -> Verification:
    """Add the findings of the supply chain's rules in `subject`."""
    if not subject.entries:
        empty = Finding(_REQUIRED, Severity.ERROR, "the folder is empty", remedy=_ANOTHER_FOLDER)
        return found._replace(findings=(empty,))
    findings = found.findings
    if found.checkpoint is None and is_collection(subject) and not is_inside:
        findings = tuple(finding for finding in findings if finding.code != _REQUIRED)
    local_only = LOCAL_ONLY_RULES if is_remote(found.where) else ()
    more, checked, *_ = check_rules(
        (rule for rule in rules if rule.supply_chain and rule.code not in local_only), subject
    )
    names = tuple(entry.path.rpartition("/")[2] for entry in subject.entries)
    if is_inside or (found.checkpoint is None and is_orbax(names)):
        more = tuple(
            one for one in more if one.severity is not Severity.NOTE and one.code not in _LAYOUT
        )
    if any(one.code == _REQUIRED for one in findings):  # what the folder has instead of weights
        more = tuple(one for one in more if (one.code, one.path) not in _WITHOUT_WEIGHTS)
    reasons = {rule.code: "no readable checkpoint" for rule in rules} | dict(found.skipped)
    done = {*found.checked, *checked}
    return found._replace(
        findings=in_order((*findings, *without_repeats(more, findings))),
        checked=tuple(sorted(done)),
        skipped=tuple(Skipped(*item) for item in sorted(reasons.items()) if item[0] not in done),
        coverage=answered(found.coverage, Question.SUPPLY_CHAIN),
    )


def _config(entries: tuple[Entry, ...]) -> Iterator[Document]:
    """Yield config.json, which implies a profile even without a checkpoint around it."""
    for entry in entries:
        if entry.path == CONFIG and entry.text is not None:
            try:
                yield Document(entry.path, entry.text, dict(parse_object(entry.text)))
            except FormatError:
                return


def _uploaded(where: str, checkpoint: Checkpoint | None) -> tuple[Entry, ...]:
    """Return what is uploaded: all of a folder, or a file, with an index its shards too."""
    if is_folder(where):
        return listing(where)
    shards = checkpoint.weights if checkpoint and checkpoint.shard_index else ()
    paths = (where, *(os.path.join(folder_of(where), file.path) for file in shards))
    return tuple(entry for path in paths for entry in single(path))


def _quoted(found: Verification) -> Iterator[str]:
    """Yield the texts of files with secrets, which any rule may have quoted."""
    findings = (*found.findings, *(one.finding for one in found.suppressed))
    paths = {finding.path for finding in findings if finding.code == _SECRET}
    if found.checkpoint:
        yield from (document.text for document in found.checkpoint.documents)
    for entry in _uploaded(found.where, found.checkpoint) if paths else ():
        if entry.path in paths:
            yield from (text for text, _ in entry.texts)
