"""The verb verify, and what the gate shares with it.

`check` is the way of both verbs from a path to a verification: `check_components` or `_check_only`
reads checkpoints, and `_check_one` checks rules on one that was read. Settings and masking come
after it.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.api._composed import check_components
from ckpt_tools.api._live import live_family, loaded, with_config
from ckpt_tools.api._paths import as_text
from ckpt_tools.api._remembered import Judgement, remembered
from ckpt_tools.api._rules import selected, words
from ckpt_tools.checkpoint.composition import composition
from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG
from ckpt_tools.checkpoint.locate import is_resumable
from ckpt_tools.checkpoint.payload import SecondSet, second_set, zero_tail
from ckpt_tools.checkpoint.read import read
from ckpt_tools.checkpoint.spec import read_spec
from ckpt_tools.errors import FormatError, HeaderError, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.kinds import Kind, kinds_of, name_of
from ckpt_tools.families.registry import FAMILIES, family_of
from ckpt_tools.gate.baseline import LIMIT, apply_baseline, parse_baseline
from ckpt_tools.gate.decide import apply_suppressions
from ckpt_tools.gate.masking import masked
from ckpt_tools.gate.settings import read_settings, requiring, suppressing
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.live.bases import NO_BASES, parse_bases
from ckpt_tools.progress import SILENT, Progress, ignore
from ckpt_tools.rules import plugins
from ckpt_tools.rules.coverage import coverage_of, unreadable
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Finding, Need, Skipped, Verification
from ckpt_tools.rules.parse_rules import finding_of
from ckpt_tools.rules.profiles import PROFILES, profile_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.downloads import unfinished
from ckpt_tools.scan.folder import listing, single
from ckpt_tools.scan.library import refusals
from ckpt_tools.storage import schemas
from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.files import read_whole, remote_not_supported
from ckpt_tools.storage.recording import Codec, current, observed
from ckpt_tools.storage.session import hub_session, is_folder, is_remote, root_of, transfer_stats
from ckpt_tools.text import printable
from ckpt_tools.values.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.composition import Composition
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.checkpoint.spec import Spec
    from ckpt_tools.families.family import Family
    from ckpt_tools.gate.baseline import Baseline
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


def profile_for(subject: Subject, where: str, name: str, allow: tuple[str, ...]) -> Profile:
    """Return the profile with this name, or the one that the config implies.

    `allow` are globs of more files that it allows. A single file needs no card and no other files.
    """
    found = PROFILES[name] if name else profile_of(subject)
    found = found._replace(allowed=(*found.allowed, *allow))
    return found if is_folder(where) else found._replace(required=(), card=())


@hub_session()
def verify(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    *,
    reference: AnyPath | None = None,
    spec: AnyPath | None = None,
    values: bool = False,
    live: bool = False,
    load: bool = False,
    base: Iterable[str] = (),
    lenient: bool = False,
    target: str = "",
    settings: AnyPath | Settings | None = None,
    require: Iterable[str] = (),
    suppress: Iterable[str] = (),
    reason: str = "",
    baseline: AnyPath | None = None,
    rules: Iterable[Rule | str] | None = None,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Verification:
    """Check the checkpoint at `where`. A file that cannot be parsed becomes a finding.

    `reference` is a reference checkpoint, `spec` a lockfile. `values` reads every tensor; `expect`
    is called with the number of bytes, then `progress` with those read. `live` compares with what
    the installed library would write for the config, `load` makes LeRobot load the policy and act
    once; `base` are local copies, as NAME=DIR, of what the config names on the Hub. `lenient`
    accepts files that the safetensors library accepts although they violate its specification.
    `settings` are given, or a file to read instead of the nearest `ckpt.toml`. `require` are
    questions that must be checked, besides those of the settings; the rules `suppress` are
    suppressed for `reason`. Findings in the report
    `baseline`, which `--format json` wrote, are suppressed. `rules` are rules or codes, or how they
    begin ("CK3"); by default all but those of the supply chain. Lists of words may also be one
    text, with commas.
    Raises a CkptError if there is nothing to check, or on I/O errors.
    """
    where = as_text(where)
    if (values or load) and is_remote(where):
        raise remote_not_supported(where)
    settings = settings_for(where, as_text(settings), require, suppress, reason)
    accepted = read_baseline(as_text(baseline))
    found = check(
        where,
        rules=selected(rules),
        reference=reference,
        spec=spec,
        values=values,
        live=live,
        load=load,
        bases=parse_bases(words(base)),
        lenient=lenient,
        target=target,
        progress=Progress(progress, expect),
    )
    result = masked(apply_suppressions(found, settings), quoted(found))
    return apply_baseline(result, accepted) if accepted else result


def read_baseline(path: str | None) -> Baseline | None:
    """Return the baseline in the file `path`, None without one. Raises BaselineInvalid."""
    return parse_baseline(read_whole(path, LIMIT, "a report of ckpt"), path) if path else None


def settings_for(
    where: str,
    given: str | Settings | None,
    require: Iterable[str],
    suppress: Iterable[str] = (),
    reason: str = "",
) -> Settings:
    """Return the settings as given, else those in the file `given`, else those in `ckpt.toml`.

    They require the questions `require` too, and suppress the rules `suppress` for `reason`.
    """
    found = given if isinstance(given, Settings) else read_settings(given, folder_of(where))
    return suppressing(requiring(found, words(require)), words(suppress), reason)


def check(  # noqa: PLR0913 - as verify
    where: str,
    *,
    rules: tuple[Rule, ...],
    reference: AnyPath | None,
    spec: AnyPath | None,
    values: bool,
    target: str,
    progress: Progress,
    live: bool = False,
    load: bool = False,
    bases: Bases = NO_BASES,
    lenient: bool = False,
    profile: str = "",
    allow: tuple[str, ...] = (),
) -> Verification:
    """Check rules against the checkpoint at `where`, as `verify` does, but without settings.

    `profile` and `allow` are those of `profile_for`. Findings may contain secrets: mask them before
    they are shown.
    """
    _check_target(target)
    reference = as_text(reference) or ""
    lockfile = read_spec(as_text(spec)) if spec else None
    check_one = partial(
        _check_one,
        where=where,
        spec=lockfile,
        values=values,
        live=live,
        load=load,
        bases=bases,
        target=target,
        profile=profile,
        allow=allow,
    )
    try:
        composed = composition(where)
    except FormatError as error:
        return _unreadable(where, error, rules)
    check_weights: Callable[..., Verification] = _check_only
    if composed is not None:
        _refuse_options(composed, spec=bool(spec), load=load)
        entries = listing(composed.root, contents=any(rule.supply_chain for rule in rules))
        check_weights = partial(check_components, composed, entries)
    found = check_weights(
        where, rules, check_one, lenient=lenient, reference=reference, progress=progress
    )
    return found._replace(transferred=transfer_stats())


def _check_only(  # noqa: PLR0913 - as `check_components`
    where: str,
    rules: tuple[Rule, ...],
    check_one: Callable[..., Verification],
    *,
    lenient: bool,
    reference: str,
    progress: Progress,
) -> Verification:
    """Check rules against what is one checkpoint, as `check_components` does against several."""
    baseline = read(reference, lenient=lenient) if reference else None
    try:
        checkpoint = read(where, lenient=lenient)
    except FormatError as error:
        return _unreadable(where, error, rules)
    contents = any(rule.supply_chain for rule in rules)
    entries = listing(checkpoint.root, contents=contents) if is_folder(where) else None
    return check_one(checkpoint, rules=rules, entries=entries, baseline=baseline, progress=progress)


def _check_one(  # noqa: PLR0913 - by keyword; `check` binds what all components share
    checkpoint: Checkpoint,
    *,
    where: str,
    rules: tuple[Rule, ...],
    entries: tuple[Entry, ...] | None,
    spec: Spec | None,
    values: bool,
    live: bool,
    load: bool,
    bases: Bases,
    target: str,
    profile: str,
    allow: tuple[str, ...],
    baseline: Checkpoint | None = None,
    composed: Composition | None = None,
    progress: Progress = SILENT,
) -> Verification:
    """Return what the rules find in one checkpoint; with `composed` it has all components."""
    family = _family_of(checkpoint)
    if live and not composed:
        is_component = checkpoint.where != where
        family = live_family(family, checkpoint, bases, lenient=is_component)
    base = _base_of(checkpoint, baseline, bases, is_all=not (live or load))
    root = checkpoint.root
    subject = Subject(
        checkpoint,
        family,
        entries=entries,
        facts=_facts(checkpoint, progress) if values and not composed else None,
        reference=None if base is baseline else baseline,
        base=base,
        spec=spec,
        live=loaded(family, checkpoint, bases) if load else None,
        target=target,
        schema=schemas.load,
        composition=composed,
        library=None if is_remote(where) else _library(checkpoint, rules),
        zero_tails=_zero_tails(checkpoint) if values and not composed else None,
        second=None if is_remote(where) else _second(checkpoint, values=values),
        unfinished=()
        if entries is None or is_remote(where)
        else observed("unfinished", root, lambda: unfinished(root), _TUPLE),
        resumable=observed("resumable", root, lambda: is_resumable(root)),
    )
    subject = subject._replace(profile=profile_for(subject, where, profile, allow))
    remote = {skip.code: skip for skip in _skipped_remotely(where, rules)}
    local = tuple(rule for rule in rules if rule.code not in remote)

    def judge() -> Judgement:
        outcome = check_rules(local, subject)
        coverage = coverage_of(subject, outcome.covered, rules, outcome.checked)
        return Judgement(outcome, coverage)

    recording = None if values or plugins.are_there() else current()
    outcome, coverage = remembered(recording, checkpoint, local, judge)
    return Verification(
        where,
        checkpoint,
        name_of(checkpoint, family),
        outcome.findings,
        outcome.checked,
        tuple(sorted((*outcome.skipped, *remote.values()))),
        coverage=coverage,
    )


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


def _refuse_options(composed: Composition, *, spec: bool, load: bool) -> None:
    """Raise UnknownSelection for what only one model can be checked against."""
    option = "--spec" if spec else "--load" * load
    if option:
        raise UnknownSelection(
            f"{option} is for one model, and {composed.path} lists several",
            hint="name the folder of a component",
        )


def _unreadable(where: str, error: FormatError, rules: Iterable[Rule]) -> Verification:
    """Return the verification of a checkpoint that cannot be read: the error is the finding."""
    opened = finding_of(error)
    finding = opened._replace(path=path_in(where, opened.path))
    skipped = tuple(
        Skipped(rule.code, "the checkpoint cannot be read")
        for rule in rules
        if rule.code != finding.code
    )
    checked = (finding.code,)
    disagreement = (one._replace(path=finding.path) for one in _disagreement(error, opened, rules))
    return Verification(
        where,
        None,
        GENERIC.name,
        (finding, *disagreement),
        checked,
        skipped,
        transferred=transfer_stats(),
        coverage=unreadable(),
    )


def _disagreement(
    error: FormatError, finding: Finding, rules: Iterable[Rule]
) -> tuple[Finding, ...]:
    """Return the finding that the safetensors library opens what is rejected here, if it does."""
    about = next((rule for rule in rules if Need.LIBRARY in rule.needs), None)
    if about is None or not isinstance(error, HeaderError):
        return ()
    path = finding.path
    if not observed("opens", path, lambda: _opens(path)):
        return ()
    what = "is rejected here, but the installed safetensors library opens it"
    remedy = Remedy(text="do not publish it: nothing in it was checked; report the file")
    return (Finding(about.code, about.severity, what, finding.path, remedy=remedy),)


def _opens(path: str) -> bool:
    """Whether the safetensors library opens a local file."""
    return os.path.isfile(path) and refusals("", [path]) == {path: ""}


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


def quoted(found: Verification) -> Iterator[str]:
    """Yield the texts that findings may quote: the documents, and the files they are about."""
    if found.checkpoint:
        yield from (document.text for document in found.checkpoint.documents)
    recording = current()
    if recording and recording.is_replay:
        return  # what held a secret was not recorded
    root = found.checkpoint.root if found.checkpoint else folder_of(found.where)
    for path in sorted({finding.path for finding in found.findings}):
        full = os.path.join(root, path)
        if os.path.isfile(full):
            yield from (text for entry in single(full) for text, _ in entry.texts)


def path_in(where: str, path: str) -> str:
    """Return a path below `where` relative to it; of a file that is `where`, its name."""
    root = root_of(where)
    below = path.removeprefix(root).lstrip("/") if path.startswith(root) else path
    return below or os.path.basename(path)


def folder_of(where: str) -> str:
    """Return the folder that `where` is, or is in."""
    return where if is_folder(where) else os.path.split(where)[0] or "."


def _skipped_remotely(where: str, rules: Iterable[Rule]) -> Iterator[Skipped]:
    elsewhere = is_address(where)
    for rule in rules if is_remote(where) else ():
        if rule.code in LOCAL_ONLY_RULES:
            there = "of a bucket" if elsewhere else "on the Hub"
            yield Skipped(rule.code, _LOCAL_ONLY.format(there))
        elif not rule.needs.isdisjoint((Need.VALUES, Need.LIBRARY)):
            there = "a bucket" if elsewhere else "the Hub"
            yield Skipped(rule.code, _NO_VALUES.format(there))


def _check_target(target: str) -> None:
    newer = (release for family in FAMILIES if family.cleaning for release in family.cleaning.newer)
    known = sorted({"lerobot", *newer})
    if target and target not in known:
        raise UnknownSelection(
            f"unknown release {target!r}",
            hint=f"use one of {', '.join(known)}, or omit --target for the newest",
        )
