"""The verb verify, and what the gate shares with it.

`check` is the way of both verbs from a path to a verification: `check_components` or `_check_only`
reads checkpoints, and `check_one` of `_verify_one` checks rules on one that was read. Settings and
masking come after it.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.api._composed import check_components
from ckpt_tools.api._paths import as_text, word, words
from ckpt_tools.api._rules import selected
from ckpt_tools.api._verify_one import Given, check_one
from ckpt_tools.checkpoint.composition import composition
from ckpt_tools.checkpoint.read import read
from ckpt_tools.checkpoint.spec import read_spec
from ckpt_tools.errors import FormatError, HeaderError, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.registry import FAMILIES
from ckpt_tools.gate.baseline import LIMIT, apply_baseline, parse_baseline
from ckpt_tools.gate.decide import apply_suppressions
from ckpt_tools.gate.masking import masked
from ckpt_tools.gate.settings import read_settings, requiring, suppressing
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.live.bases import NO_BASES, parse_bases
from ckpt_tools.progress import Progress, ignore
from ckpt_tools.rules.coverage import unreadable
from ckpt_tools.rules.finding import Finding, Need, Skipped, Verification
from ckpt_tools.rules.parse_rules import finding_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.scan.folder import listing, single
from ckpt_tools.scan.library import refusals
from ckpt_tools.storage.files import read_whole, remote_not_supported
from ckpt_tools.storage.recording import current, observed
from ckpt_tools.storage.session import hub_session, is_folder, is_remote, root_of, transfer_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.composition import Composition
    from ckpt_tools.gate.baseline import Baseline
    from ckpt_tools.live.bases import Bases
    from ckpt_tools.rules.rule import Rule


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
    `target` is the release of LeRobot that has to read the checkpoint, by default the newest.
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
    return suppressing(requiring(found, words(require)), words(suppress), word(reason))


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
    given = Given(where, lockfile, values, live, load, bases, target, profile, allow)
    check_given = partial(check_one, given)
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
        where, rules, check_given, lenient=lenient, reference=reference, progress=progress
    )
    return found._replace(transferred=transfer_stats())


def _check_only(  # noqa: PLR0913 - as `check_components`
    where: str,
    rules: tuple[Rule, ...],
    check_given: Callable[..., Verification],
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
    return check_given(
        checkpoint, rules=rules, entries=entries, baseline=baseline, progress=progress
    )


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


def _check_target(target: str) -> None:
    newer = (release for family in FAMILIES if family.cleaning for release in family.cleaning.newer)
    known = sorted({"lerobot", *newer})
    if target and target not in known:
        raise UnknownSelection(
            f"unknown release {target!r}",
            hint=f"use one of {', '.join(known)}, or omit --target for the newest",
        )
