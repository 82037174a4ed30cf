"""From what the rules find in REFLOW, and what its settings have that NORMAL's do not, to causes.

What is slow or wrong because of it, and the way out.

The rules decide what is wrong; here they are put in the order of what it does to a robot. What says
nothing about speed or actions is left to `ckpt verify`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.doctor.attribution import is_right, key_of, lacking, narrowed_to_normal
from ckpt_tools.doctor.model import Cause, CauseCode, Effect
from ckpt_tools.doctor.setting_causes import KEYS, of_setting
from ckpt_tools.doctor.side_by_side import modes, setting
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.rules.processors import POST, PRE
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.doctor.repairs import Repairs
    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Subject

EFFECTS = list(Effect)


class _Kind(NamedTuple):
    """What findings of a rule amount to.

    `keyed` makes a cause of its own for each key of config.json.
    """

    code: CauseCode
    effect: Effect
    repair: str
    keyed: bool = False


_SANITIZE, _PROCESSORS, _SET, _UNSET, _CONFIG, _NONE = (
    "sanitize",
    "processors",
    "set",
    "unset",
    "config",
    "none",
)
_BROKEN = _Kind(CauseCode.PROCESSORS_BROKEN, Effect.BREAKS, _PROCESSORS)
_STATISTICS = _Kind(CauseCode.STATISTICS_BROKEN, Effect.WRONG, _PROCESSORS)
_UNNORMALISED = _Kind(CauseCode.NOT_NORMALISED, Effect.WRONG, _PROCESSORS)
_MISSING = _Kind(CauseCode.WEIGHTS_MISSING, Effect.WRONG, _SANITIZE)
_STORED = _Kind(CauseCode.STORED_DTYPES, Effect.HEAVY, _SANITIZE)
_VALUE = _Kind(CauseCode.CONFIG_REFUSED, Effect.BREAKS, _SET, keyed=True)
_FIELDS = _Kind(CauseCode.REFLOW_FIELDS, Effect.BREAKS, _SANITIZE)
_SIZE = _Kind(CauseCode.OTHER_MODEL, Effect.BREAKS, _NONE)
_KINDS = {
    "CK208": _Kind(CauseCode.WEIGHTS_NOT_FOUND, Effect.BREAKS, _SANITIZE),
    "CK301": _Kind(CauseCode.TEACHER_INSIDE, Effect.HEAVY, _SANITIZE),
    **dict.fromkeys(("CK302", "CK305", "CK309", "CK501"), _MISSING),
    **dict.fromkeys(("CK307", "CK503"), _SIZE),
    **dict.fromkeys(("CK308", "CK311", "CK502"), _STORED),
    "CK306": _Kind(CauseCode.UNEXPECTED_TENSORS, Effect.HEAVY, _NONE),
    "CK701": _Kind(CauseCode.VLM_BUILT_IN_F32, Effect.SLOW, _SET),
    "CK702": _FIELDS,
    "CK703": _FIELDS,
    "CK704": _VALUE._replace(repair=_UNSET),
    "CK705": _VALUE._replace(repair=_SANITIZE),
    "CK711": _VALUE._replace(repair=_CONFIG),
    **dict.fromkeys(("CK706", "CK707", "CK709", "CK712"), _VALUE),
    "CK708": _Kind(CauseCode.USE_CACHE, Effect.BREAKS, _SET),
    **dict.fromkeys(("CK713", "CK721", "CK722", "CK732", "CK733"), _BROKEN),
    **dict.fromkeys(("CK723", "CK724"), _UNNORMALISED),
    **dict.fromkeys(("CK725", "CK726", "CK727"), _STATISTICS),
    "CK728": _Kind(CauseCode.NOT_DENORMALISED, Effect.WRONG, _PROCESSORS),
    "CK729": _Kind(CauseCode.STATISTICS_DISAGREE, Effect.WRONG, _PROCESSORS),
    "CK730": _Kind(CauseCode.OTHER_STATISTICS, Effect.WRONG, _PROCESSORS),
}
_UNREADABLE = frozenset(rule.code for rule in PARSE_RULES)
"""Rules that reading enforces: of weights, an index, JSON."""

_FIRST = ("CK701", "CK502", "CK305")
"""Of several findings that are one cause, whose words are its sentence."""

_NOTED = frozenset({"CK311", "CK730"})
"""Rules that only note what between a student and its normal checkpoint is a cause."""

_PROCESSOR_CAUSES = (
    *(
        CauseCode.PROCESSORS_BROKEN,
        CauseCode.NOT_NORMALISED,
        CauseCode.NOT_DENORMALISED,
        CauseCode.STATISTICS_BROKEN,
        CauseCode.STATISTICS_DISAGREE,
    ),
    *(CauseCode.OTHER_MODE, CauseCode.OTHER_STATISTICS),
)
PROCESSOR_CAUSES = frozenset(_PROCESSOR_CAUSES)
"""Causes that lie in the processors.

The first of these explains the later ones, and one repair ends them all.
"""


def static_causes(
    findings: Iterable[Finding], normal: Subject, reflow: Subject, repairs: Repairs
) -> tuple[Cause, ...]:
    """Return the causes that files tell, the worst first.

    `findings` are those in REFLOW that NORMAL does not share.
    """
    groups: dict[tuple[CauseCode, str], list[Finding]] = {}
    relabelled = _mode_of_config_only(normal, reflow)
    narrowed = narrowed_to_normal(normal, reflow)
    for finding in findings:
        aside = (relabelled and "/norm_map/" in finding.subject) or (
            narrowed and finding.code == "CK502"
        )
        kind = None if aside else _kind_of(finding, reflow)
        if kind:
            groups.setdefault((kind.code, key_of(finding) if kind.keyed else ""), []).append(
                finding
            )
    causes = [_cause(kind_findings, reflow, repairs) for kind_findings in groups.values()]
    told = {key_of(finding) for members in groups.values() for finding in members}
    causes += [
        cause
        for key in KEYS
        if key not in told
        for cause in of_setting(
            key, setting(normal.checkpoint, key), setting(reflow.checkpoint, key), repairs
        )
    ]
    causes += _other_modes(normal, reflow, repairs)
    return in_order(_with_one_repair(_without_echoes(causes), repairs))


def in_order(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return causes, the worst first."""
    return tuple(sorted(causes, key=lambda cause: EFFECTS.index(cause.effect)))


def _kind_of(finding: Finding, reflow: Subject) -> _Kind | None:
    """Return what a finding amounts to, None for what neither slows a policy nor changes what it does."""
    if finding.severity is Severity.NOTE and finding.code not in _NOTED:
        return None
    if finding.code in ("CK501", "CK504"):
        return _of_reference(finding, reflow)
    if finding.code == "CK701":
        return _of_vlm(reflow)
    kind = _KINDS.get(finding.code)
    if kind and kind.effect is Effect.BREAKS and finding.severity is Severity.WARNING:
        return kind._replace(effect=Effect.SLOW if finding.code == "CK709" else Effect.WRONG)
    return kind or (
        _Kind(CauseCode.UNREADABLE, Effect.BREAKS, _NONE) if finding.code in _UNREADABLE else None
    )


def _of_vlm(reflow: Subject) -> _Kind:
    """Return what a load_vlm_weights that is not true amounts to.

    LeRobot reads these as false, and refuses others.
    """
    value = setting(reflow.checkpoint, "load_vlm_weights")
    return _KINDS["CK701"] if value is ABSENT or value in (False, None, "false") else _VALUE


def _of_reference(finding: Finding, reflow: Subject) -> _Kind | None:
    """Return what differs from the reference, beside what rules and causes of their own say."""
    key, cleaning = key_of(finding), reflow.family.cleaning
    if finding.severity is not Severity.ERROR or key in KEYS:
        return None
    if finding.code == "CK501":
        # What NORMAL has under other names, or beside, is nothing that REFLOW lacks.
        return None if lacking(reflow) == () else _MISSING
    if is_right(key, reflow):
        return None
    if cleaning and key in cleaning.reserved:
        return _FIELDS
    if key == "load_vlm_weights":
        return _of_vlm(reflow)
    known = {"use_cache": "CK708", "type": "CK705"}
    return (
        _KINDS[known[key]]
        if key in known
        else _Kind(CauseCode.CONFIG_DIFFERS, Effect.WRONG, _SET, keyed=True)
    )


def _cause(findings: list[Finding], reflow: Subject, repairs: Repairs) -> Cause:
    kinds = [kind for finding in findings if (kind := _kind_of(finding, reflow))]
    # What a rule says of a value tells more than that it is not NORMAL's.
    ordered = sorted(
        findings, key=lambda finding: (finding.code not in _FIRST, finding.code == "CK504")
    )
    effect = min((kind.effect for kind in kinds), key=EFFECTS.index)
    because = tuple(f"{finding.code} {_place(finding)}{finding.what}" for finding in findings)
    return Cause(
        kinds[0].code,
        effect,
        _what(kinds[0].code, ordered, reflow),
        _repair(kinds[0], findings, reflow, repairs),
        because,
    )


def _place(finding: Finding) -> str:
    place = ": ".join(part for part in (finding.path, finding.subject) if part)
    return f"{place}: " if place else ""


def _what(code: CauseCode, findings: list[Finding], reflow: Subject) -> str:
    """Return the cause as one sentence.

    What is long to tell in full is in the tables, or behind the codes of its rules.
    """
    first = _said(findings, reflow)
    if code is CauseCode.OTHER_STATISTICS:
        return f"{len(findings)} statistics are not NORMAL's, but of another dataset: {findings[0].subject} first"
    if code is CauseCode.REFLOW_FIELDS:
        return f"config.json has {', '.join(sorted({key_of(finding) for finding in findings}))}, fields of training: stock LeRobot refuses it"
    if code is CauseCode.UNEXPECTED_TENSORS:
        return f"{first}, so this costs bytes and loading, not steps"
    if code is CauseCode.STORED_DTYPES:
        return f"{first}; what runs is decided by load_vlm_weights, so this costs bytes and loading, not steps"
    return {
        CauseCode.TEACHER_INSIDE: f"the teacher is still in the file: {first}",
        CauseCode.STATISTICS_DISAGREE: f"the two processors disagree: {first}",
        CauseCode.UNREADABLE: f"{findings[0].path or 'it'} cannot be read: {first}",
    }.get(code, first)


def _said(findings: list[Finding], reflow: Subject) -> str:
    """Return the words of the first finding, with the key that they are about, and how many others say the same of other places."""
    first = findings[0]
    alike, names = sum(finding.code == first.code for finding in findings), lacking(reflow)
    if (
        first.code == "CK305"
        and alike > 1
        and names
        and {finding.code for finding in findings} <= {"CK305", "CK501"}
    ):
        return f"{count(len(names), 'tensor')} missing ({reflow.family.parts(names)}): {reflow.family.missing}"
    key = f"{key_of(first)} ".lstrip()
    others = f" (and {count(alike - 1, 'finding')} more of the kind)" if alike > 1 else ""
    return f"{key}{first.what.replace('the reference', 'NORMAL')}{others}"


def _repair(kind: _Kind, findings: list[Finding], reflow: Subject, repairs: Repairs) -> str:
    key = key_of(findings[0])
    if kind.code is CauseCode.WEIGHTS_MISSING and not any(
        "sanitize" in finding.next and finding.code != "CK501" for finding in findings
    ):
        renamed = findings[0].next.startswith("ckpt rename")
        return (
            "give them the names that NORMAL has: `ckpt rename --help` shows how"
            if renamed
            else findings[0].next
        )
    if (
        key == "type"
        and reflow.family.cleaning
        and setting(reflow.checkpoint, key) not in (ABSENT, *reflow.family.cleaning.types)
    ):
        # Another policy's config is nothing that sanitize relabels.
        return repairs.set(key, dict(reflow.family.cleaning.values)[key])
    if kind.code is CauseCode.OTHER_MODEL:
        return f"config.json and weights belong to two models: `ckpt config {shlex.quote(repairs.reflow)} diff {shlex.quote(repairs.normal)}` shows where"
    if kind.code is CauseCode.UNEXPECTED_TENSORS:
        return "drop them with `ckpt strip` if they mean nothing; if they do, config.json is the wrong one"
    if kind.repair == _SET:
        fixed = {
            CauseCode.VLM_BUILT_IN_F32: ("load_vlm_weights", True),
            CauseCode.USE_CACHE: ("use_cache", True),
        }.get(kind.code)
        return repairs.set(*fixed) if fixed else repairs.as_normal(key)
    makers: dict[str, Callable[[], str]] = {
        _SANITIZE: repairs.sanitize,
        _PROCESSORS: repairs.processors,
        _UNSET: lambda: repairs.set(key, ABSENT),
        _CONFIG: lambda: repairs.copy("config.json"),
    }
    return makers[kind.repair]() if kind.repair in makers else findings[0].next


def _other_modes(normal: Subject, reflow: Subject, repairs: Repairs) -> Iterator[Cause]:
    """Yield one cause where the processors normalise in another way than NORMAL's."""
    because = []
    for path in (PRE, POST):
        theirs, mine = modes(normal, path), modes(reflow, path)
        because += [
            f"{path}: {kind} is {mine[kind]}, and {theirs[kind]} in NORMAL"
            for kind in theirs.keys() & mine.keys()
            if theirs[kind] != mine[kind]
        ]
    if because:
        what = f"normalises in another way than NORMAL: {because[0].partition(': ')[2]}"
        yield Cause(
            CauseCode.OTHER_MODE, Effect.WRONG, what, repairs.processors(), tuple(sorted(because))
        )
    wanted, got = (setting(side.checkpoint, "normalization_mapping") for side in (normal, reflow))
    if ABSENT not in (wanted, got) and wanted != got:
        said = f"config.json: normalization_mapping is {shown(got)}, and {shown(wanted)} in NORMAL"
        yield Cause(
            CauseCode.CONFIG_DIFFERS, Effect.WRONG, said, repairs.as_normal("normalization_mapping")
        )


def _mode_of_config_only(normal: Subject, reflow: Subject) -> bool:
    """Whether only config.json says another mode than NORMAL.

    The processors, which are what LeRobot follows, are in order.
    """
    mapping = (setting(side.checkpoint, "normalization_mapping") for side in (normal, reflow))
    return len({shown(value) for value in mapping if value is not ABSENT}) > 1 and all(
        modes(normal, path) == modes(reflow, path) for path in (PRE, POST)
    )


def _without_echoes(causes: list[Cause]) -> list[Cause]:
    """Leave out what an earlier cause in the processors explains; its evidence moves there."""
    found = {cause.code: cause for cause in causes if cause.code in PROCESSOR_CAUSES}
    first = next((found[code] for code in _PROCESSOR_CAUSES if code in found), None)
    if first is None:
        return causes
    echoes = [
        cause
        for cause in found.values()
        if cause is not first and cause.code in (CauseCode.OTHER_STATISTICS, CauseCode.OTHER_MODE)
    ]
    merged = first._replace(
        because=(*first.because, *(line for echo in echoes for line in echo.because))
    )
    return [
        merged if cause is first else cause
        for cause in causes
        if not any(cause is echo for echo in echoes)
    ]


def _with_one_repair(causes: list[Cause], repairs: Repairs) -> list[Cause]:
    """Let sanitize, where it is needed anyway, set what it sets."""
    if not any(cause.repair == repairs.sanitize() for cause in causes):
        return causes
    return [
        cause._replace(repair=repairs.sanitize())
        if cause.code is CauseCode.VLM_BUILT_IN_F32
        else cause
        for cause in causes
    ]
