"""The verbs that judge: verify and explain; `gating` decides."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.read import read
from ckpt_tools.doctor.probe import probe
from ckpt_tools.errors import FormatError, UnknownSelection
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.registry import FAMILIES, family_of
from ckpt_tools.gate.decide import apply_suppressions
from ckpt_tools.gate.masking import masked
from ckpt_tools.gate.settings import read_settings
from ckpt_tools.gate.verdict import Settings
from ckpt_tools.progress import Progress, ignore
from ckpt_tools.rules import plugins
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Need, Skipped, Verification
from ckpt_tools.rules.parse_rules import finding_of
from ckpt_tools.rules.profiles import profile_of
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.folder import listing, single
from ckpt_tools.storage.files import remote_not_supported
from ckpt_tools.storage.session import hub_session, is_folder, is_remote, root_of, transfer_stats
from ckpt_tools.values.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family import Family
    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.profiles import Profile
    from ckpt_tools.rules.rule import Rule
    from ckpt_tools.strict_json.parse import JsonObject


LOCAL_ONLY_RULES = frozenset(("CK745", "CK805", "CK806", "CK814"))
"""Rules about permissions and links, of which files on the Hub have none."""


def known_rules() -> tuple[Rule, ...]:
    """Return every rule by code: the tool's own, and those that other distributions bring."""
    return tuple(sorted((*all_rules(), *plugins.load().rules), key=lambda rule: rule.code))


def explain(code: str) -> Rule:
    """Return the rule of that code or name. Raises UnknownSelection, with what is close to it."""
    rules = known_rules()
    found = next(
        (rule for rule in rules if code.upper() == rule.code or code.lower() == rule.name), None
    )
    if found is None:
        names = {name.lower(): name for rule in rules for name in (rule.code, rule.name)}
        close = importlib.import_module("difflib").get_close_matches(code.lower(), names, n=1)
        raise UnknownSelection(
            f"there is no rule {code}{f', did you mean {names[close[0]]}?' if close else ''}",
            hint="`ckpt rules` lists them",
        )
    return found


def _family_of(checkpoint: Checkpoint) -> Family:
    """Return the family of a checkpoint.

    One that another distribution brings where the tool knows none.
    """
    known = family_of(checkpoint)
    if known is not GENERIC:
        return known
    return next(
        (family for family in plugins.load().families if family.recognises(checkpoint)), GENERIC
    )


@hub_session()
def verify(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    *,
    reference: AnyPath | None = None,
    spec: AnyPath | None = None,
    values: bool = False,
    load: bool = False,
    target: str = "",
    settings: AnyPath | Settings | None = None,
    rules: Iterable[Rule] | None = None,
    choose: Callable[[Subject], Profile] = profile_of,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Verification:
    """Return what is wrong with the checkpoint at `where`.

    A file that cannot be read as what it is becomes a finding.

    `reference` is a normal checkpoint, `spec` a lockfile to hold it against. `values` reads every
    tensor; `expect` is called with how many bytes, then `progress` with those read. `load` lets the
    family's probe load it and act once. `settings` say what is lived with: given, or a file to read
    instead of `ckpt.toml` in the current folder. `choose` gives the profile that rules go by. Raises
    a CkptError where there is nothing to verify, or the machine does not let it.
    """
    where, settings = as_text(where), as_text(settings)
    if (values or load) and is_remote(where):
        raise remote_not_supported(where)
    chosen = (
        tuple(rules)
        if rules is not None
        else tuple(rule for rule in known_rules() if not rule.supply_chain)
    )
    _check_target(target)
    normal = read(as_text(reference)) if reference else None
    promised = (
        importlib.import_module("ckpt_tools.checkpoint.spec").read_spec(as_text(spec))
        if spec
        else None
    )
    try:
        checkpoint = read(where)
    except FormatError as error:
        finding = _placed(finding_of(error), where)
        skipped = tuple(
            Skipped(rule.code, "the checkpoint cannot be read")
            for rule in chosen
            if rule.code != finding.code
        )
        seen = Verification(
            where,
            None,
            GENERIC.name,
            (finding,),
            (finding.code,),
            skipped,
            transferred=transfer_stats(),
        )
        return masked(
            apply_suppressions(seen, _said(settings, where)),
            _quoted(where if os.path.isdir(where) else os.path.split(where)[0], (finding,)),
        )
    family = _family_of(checkpoint)
    subject = Subject(
        checkpoint,
        family,
        entries=listing(checkpoint.root, contents=any(rule.supply_chain for rule in chosen))
        if is_folder(where)
        else None,
        facts={
            measured.name: measured
            for measured in measure(checkpoint, digests=False, progress=Progress(progress, expect))
        }
        if values
        else None,
        reference=normal,
        spec=promised,
        live=probe(family.name, checkpoint.root) if load else None,
        target=target,
        schema=_schema,
    )
    subject = subject._replace(profile=choose(subject))
    apart = tuple(_apart(chosen)) if is_remote(where) else ()
    findings, checked, skipped = check_rules(
        (rule for rule in chosen if rule.code not in {skip.code for skip in apart}), subject
    )
    seen = Verification(
        where,
        checkpoint,
        family.name,
        findings,
        checked,
        tuple(sorted((*skipped, *apart))),
        transferred=transfer_stats(),
    )
    texts = (
        (*(document.text for document in checkpoint.documents), *_quoted(checkpoint.root, findings))
        if findings
        else ()
    )
    return masked(apply_suppressions(seen, _said(settings, where)), texts)


def _quoted(root: str, findings: Iterable[Finding]) -> Iterator[str]:
    """Yield what can be read in the files that findings are about, which they may quote."""
    for path in sorted({finding.path for finding in findings}):
        if os.path.isfile(os.path.join(root, path)):
            yield from (
                text for entry in single(os.path.join(root, path)) for text, _ in entry.texts
            )


def _apart(rules: Iterable[Rule]) -> Iterator[Skipped]:
    """Yield the rules that are not asked about what is on the Hub, and why."""
    for rule in rules:
        if rule.code in LOCAL_ONLY_RULES:
            yield Skipped(
                rule.code, "it is about permissions and links, which files on the Hub do not have"
            )
        elif Need.VALUES in rule.needs:
            yield Skipped(
                rule.code, "values are not read from the Hub: download the checkpoint for that"
            )


def _placed(finding: Finding, where: str) -> Finding:
    """Return a finding about what cannot be read with its path from where a reader would look.

    On the Hub, within what was named.
    """
    return (
        finding._replace(path=finding.path.removeprefix(root_of(where)).lstrip("/"))
        if is_remote(where)
        else finding
    )


def _check_target(target: str) -> None:
    known = sorted(
        {"lerobot"}
        | {release for family in FAMILIES if family.cleaning for release in family.cleaning.newer}
    )
    if target and target not in known:
        raise UnknownSelection(
            f"the release {target!r} is unknown",
            hint=f"use one of {', '.join(known)}, or leave --target out for the newest",
        )


def _said(settings: str | Settings | None, where: str) -> Settings:
    """Return the settings for judging what lies at `where`."""
    folder = where if is_folder(where) else os.path.split(where)[0] or "."
    return settings if isinstance(settings, Settings) else read_settings(settings, folder)


def _schema(name: str) -> JsonObject:
    """Load a shipped schema with what is imported only for this."""
    schema: JsonObject = importlib.import_module("ckpt_tools.storage.schemas").load(name)
    return schema
