"""Rules checked on one checkpoint that was read, for `_verify.check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.api._live import live_family, loaded, with_config
from ckpt_tools.api._remembered import Judgement, remembered
from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG
from ckpt_tools.checkpoint.locate import is_resumable
from ckpt_tools.checkpoint.payload import SecondSet, second_set, zero_tail
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.kinds import Kind, kinds_of, name_of
from ckpt_tools.families.registry import family_of
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.rules import plugins
from ckpt_tools.rules.coverage import coverage_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Need, Skipped, Verification
from ckpt_tools.rules.profiles import PROFILES, profile_of
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.downloads import unfinished
from ckpt_tools.scan.library import refusals
from ckpt_tools.storage import schemas
from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.recording import Codec, current, observed
from ckpt_tools.storage.session import is_folder, is_remote
from ckpt_tools.text import printable
from ckpt_tools.values.measure import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.composition import Composition
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.checkpoint.spec import Spec
    from ckpt_tools.families.family import Family
    from ckpt_tools.live.bases import Bases
    from ckpt_tools.rules.profiles import Profile
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.scan.entry import Entry
    from ckpt_tools.values.model import Measurement


LOCAL_ONLY_RULES = frozenset(("CK745", "CK805", "CK806", "CK814"))
"""Rules about permissions and links, which files on the Hub do not have."""

_LOCAL_ONLY = "about permissions and links, which files {} do not have"
_TUPLE: Codec[tuple[str, ...]] = Codec(lambda found, _: found, lambda value, _: tuple(value))
_SECOND_SET: Codec[SecondSet | None] = Codec(
    lambda found, _: found, lambda value, _: value and SecondSet(*value)
)
_NO_VALUES = "tensor values are not read from {}; download the checkpoint"


class Given(NamedTuple):
    """What `check` is given, and all components share."""

    where: str
    spec: Spec | None
    values: bool
    live: bool
    load: bool
    bases: Bases
    target: str
    profile: str
    allow: tuple[str, ...]


def check_one(  # noqa: PLR0913 - by keyword, from `check_components`
    given: Given,
    checkpoint: Checkpoint,
    *,
    rules: tuple[Rule, ...],
    entries: tuple[Entry, ...] | None,
    baseline: Checkpoint | None = None,
    composed: Composition | None = None,
    progress: Progress = SILENT,
) -> Verification:
    """Return what the rules find in one checkpoint; with `composed` it has all components."""
    subject = _subject(given, checkpoint, entries, baseline, composed)
    if given.values and not composed:
        facts = _facts(checkpoint, progress)
        subject = subject._replace(facts=facts, zero_tails=_zero_tails(checkpoint))
    if not is_remote(given.where):
        subject = _with_local_files(subject, rules, values=given.values)
    profile = profile_for(subject, given.where, given.profile, given.allow)
    return _judged(given, subject._replace(profile=profile), rules)


def _subject(
    given: Given,
    checkpoint: Checkpoint,
    entries: tuple[Entry, ...] | None,
    baseline: Checkpoint | None,
    composed: Composition | None,
) -> Subject:
    """Return what rules are given of any checkpoint, wherever it is."""
    family = _family_of(checkpoint)
    if given.live and not composed:
        is_component = checkpoint.where != given.where
        family = live_family(family, checkpoint, given.bases, lenient=is_component)
    base = _base_of(checkpoint, baseline, given.bases, is_all=not (given.live or given.load))
    root = checkpoint.root
    return Subject(
        checkpoint,
        family,
        entries=entries,
        reference=None if base is baseline else baseline,
        base=base,
        spec=given.spec,
        live=loaded(family, checkpoint, given.bases) if given.load else None,
        target=given.target,
        schema=schemas.load,
        composition=composed,
        resumable=observed("resumable", root, lambda: is_resumable(root)),
    )


def _with_local_files(subject: Subject, rules: Iterable[Rule], *, values: bool) -> Subject:
    """Return a subject with what only files of this machine show."""
    checkpoint, root = subject.checkpoint, subject.checkpoint.root
    parts: tuple[str, ...] = ()
    if subject.entries is not None:
        parts = observed("unfinished", root, lambda: unfinished(root), _TUPLE)
    return subject._replace(
        library=_library(checkpoint, rules),
        second=_second(checkpoint, values=values),
        unfinished=parts,
    )


def _judged(given: Given, subject: Subject, rules: tuple[Rule, ...]) -> Verification:
    """Check rules, or remember what they said of an equal checkpoint."""
    remote = {skip.code: skip for skip in _skipped_remotely(given.where, rules)}
    local = tuple(rule for rule in rules if rule.code not in remote)

    def judge() -> Judgement:
        outcome = check_rules(local, subject)
        coverage = coverage_of(
            subject, outcome.covered, rules, outcome.checked, are_all=_are_all(rules)
        )
        return Judgement(outcome, coverage)

    recording = None if given.values or plugins.are_there() else current()
    outcome, coverage = remembered(recording, subject.checkpoint, local, judge)
    return Verification(
        given.where,
        subject.checkpoint,
        name_of(subject.checkpoint, subject.family),
        outcome.findings,
        outcome.checked,
        tuple(sorted((*outcome.skipped, *remote.values()))),
        coverage=coverage,
    )


def _are_all(rules: Iterable[Rule]) -> bool:
    """Whether `rules` are at least the tool's own that `ckpt verify` checks by default."""
    codes = {rule.code for rule in rules}
    return all(rule.code in codes for rule in all_rules() if not rule.supply_chain)


def _library(checkpoint: Checkpoint, rules: Iterable[Rule]) -> dict[str, str] | None:
    """Let the installed safetensors library open every weight file, if a rule is about that."""
    if not any(Need.LIBRARY in rule.needs for rule in rules):
        return None
    paths = [one.path for one in (*checkpoint.weights, *checkpoint.states)]
    return observed("library", checkpoint.root, lambda: refusals(checkpoint.root, paths))


def _second(checkpoint: Checkpoint, *, values: bool) -> SecondSet | None:
    """Compare model.safetensors with the shards of an index beside it."""
    return observed(
        "second set", checkpoint.root, lambda: second_set(checkpoint, values=values), _SECOND_SET
    )


def _zero_tails(checkpoint: Checkpoint) -> dict[str, int]:
    return {file.path: zero_tail(checkpoint.root, file) for file in checkpoint.weights}


def _facts(checkpoint: Checkpoint, progress: Progress) -> dict[str, Measurement]:
    return {one.name: one for one in measure(checkpoint, digests=False, progress=progress)}


def profile_for(subject: Subject, where: str, name: str, allow: tuple[str, ...]) -> Profile:
    """Return the profile with this name, or the one that the config implies.

    `allow` are globs of more files that it allows. A single file needs no card and no other files.
    """
    found = PROFILES[name] if name else profile_of(subject)
    found = found._replace(allowed=(*found.allowed, *allow))
    return found if is_folder(where) else found._replace(required=(), card=())


def _base_of(
    checkpoint: Checkpoint, baseline: Checkpoint | None, bases: Bases, *, is_all: bool
) -> Checkpoint | None:
    """Return an adapter's base model: the copy that is named, or a reference that is no adapter.

    Raises UnknownSelection where `bases` are for nothing else (`is_all`), and name no base of it.
    """
    config = checkpoint.document(ADAPTER_CONFIG)
    name = str(config.value.get("base_model_name_or_path")) if config else ""
    if name in bases:
        return with_config(bases[name])
    if bases and is_all:
        hint = f"its base_model_name_or_path is {printable(name)}" if config else "add one"
        raise UnknownSelection(
            "--base has no effect without --live or --load, but for an adapter's base", hint=hint
        )
    is_adapter = baseline is None or Kind.ADAPTER in kinds_of(baseline)
    return baseline if config and not is_adapter else None


def _family_of(checkpoint: Checkpoint) -> Family:
    """Return the family of a checkpoint, which may be a plugin's."""
    known = family_of(checkpoint)
    is_ours = known.file is None and known is not GENERIC
    others = () if is_ours else plugins.load().families
    return next((family for family in others if family.recognises(checkpoint)), known)


def _skipped_remotely(where: str, rules: Iterable[Rule]) -> Iterator[Skipped]:
    elsewhere = is_address(where)
    for rule in rules if is_remote(where) else ():
        if rule.code in LOCAL_ONLY_RULES:
            there = "of a bucket" if elsewhere else "on the Hub"
            yield Skipped(rule.code, _LOCAL_ONLY.format(there))
        elif not rule.needs.isdisjoint((Need.VALUES, Need.LIBRARY)):
            there = "a bucket" if elsewhere else "the Hub"
            yield Skipped(rule.code, _NO_VALUES.format(there))
