"""Causes that the files show: from the findings in REFLOW, and from settings unlike NORMAL's.

The rules decide what is wrong; here findings are ordered by their effect on a robot. Findings that
affect neither speed nor actions are left to `ckpt verify`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.doctor.attribution import key_of, lacking
from ckpt_tools.doctor.cause_kinds import NONE, PROCESSORS, SANITIZE, SET, CauseKind, kind_of
from ckpt_tools.doctor.dtype_causes import of_dtypes
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Evidence
from ckpt_tools.doctor.setting_causes import KEYS, of_setting, other_steps
from ckpt_tools.doctor.side_by_side import modes, setting
from ckpt_tools.doctor.step_causes import missing_steps
from ckpt_tools.rules.processors import POST, PRE
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import count
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.repairs import Repairs
    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Subject

EFFECTS = list(Effect)

_FIRST = ("CK701", "CK305")
"""Of several findings of one cause, those that describe it best."""

_PROCESSOR_CAUSES = (
    CauseCode.PROCESSORS_BROKEN,
    CauseCode.NOT_NORMALIZED,
    CauseCode.NOT_DENORMALIZED,
    CauseCode.STATISTICS_BROKEN,
    CauseCode.STATISTICS_DISAGREE,
    CauseCode.OTHER_MODE,
    CauseCode.OTHER_STATISTICS,
)
_PREDICATE = re.compile(
    r"(?:is|was|has|names|contains|holds|differs|needs|lists|takes|leads|says|starts|lacks|does)\b"
)
"""How a finding starts whose subject stands before it: the path, the tensor or the pointer."""

_ABOUT_STEPS = frozenset(_PROCESSOR_CAUSES[:3])
PROCESSOR_CAUSES = frozenset(_PROCESSOR_CAUSES)
"""Causes in the processors. The first of them explains the later ones; one repair ends them all."""


def static_causes(
    findings: Sequence[Finding], normal: Subject, reflow: Subject, repairs: Repairs
) -> tuple[Cause, ...]:
    """Return the causes that the files show, the worst first.

    `findings` are those in REFLOW that NORMAL does not share.
    """
    groups: dict[tuple[CauseCode, str], list[Finding]] = {}
    relabelled = _mode_of_config_only(normal, reflow)
    for finding in findings:
        ignored = (
            relabelled and finding.path in (PRE, POST) and "norm_map" in finding.subject.split("/")
        )
        kind = None if ignored else kind_of(finding, reflow)
        if kind:
            key = key_of(finding) if kind.keyed else ""
            groups.setdefault((kind.code, key), []).append(finding)
    causes = [_cause(members, normal, reflow, repairs) for members in groups.values()]
    causes += of_dtypes(findings, normal, reflow, repairs)
    explained = {key_of(finding) for members in groups.values() for finding in members}
    for key in KEYS:
        if key not in explained:
            expected, actual = (setting(side.checkpoint, key) for side in (normal, reflow))
            causes += of_setting(key, expected, actual, repairs)
    causes += other_steps(reflow.checkpoint, repairs)
    causes += _other_modes(normal, reflow, repairs)
    causes += _steps(normal, reflow, repairs, {cause.code for cause in causes})
    return in_order(_with_one_repair(_without_echoes(causes), repairs))


def _steps(
    normal: Subject, reflow: Subject, repairs: Repairs, known: set[CauseCode]
) -> Iterator[Cause]:
    """Yield the cause that missing steps are, unless a rule has found it.

    Another policy has other steps.
    """
    kinds = {shown(setting(side.checkpoint, "type")) for side in (normal, reflow)}
    if len(kinds) == 1 and not known & _ABOUT_STEPS:
        yield from missing_steps(normal.checkpoint, reflow.checkpoint, repairs)


def in_order(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return causes, the worst first."""
    return tuple(sorted(causes, key=lambda cause: EFFECTS.index(cause.effect)))


def _cause(findings: list[Finding], normal: Subject, reflow: Subject, repairs: Repairs) -> Cause:
    kinds = [kind for finding in findings if (kind := kind_of(finding, reflow))]
    # A rule about a value explains more than the difference from NORMAL.
    ordered = sorted(
        findings, key=lambda finding: (finding.code not in _FIRST, finding.code == "CK504")
    )
    return Cause(
        kinds[0].code,
        min((kind.effect for kind in kinds), key=EFFECTS.index),
        _what(kinds[0].code, ordered, normal, reflow),
        _repair(kinds[0], findings, reflow, repairs),
        tuple(map(_evidence, findings)),
    )


def _evidence(finding: Finding) -> Evidence:
    parts = (finding.path, finding.subject, finding.what)
    return Evidence(": ".join(part for part in parts if part), finding.code)


def _what(code: CauseCode, findings: list[Finding], normal: Subject, reflow: Subject) -> str:
    """Return the cause as one sentence; details are in the tables, or behind the rules' codes."""
    first = _first_of(findings, normal, reflow)
    fields = ", ".join(sorted({key_of(finding) for finding in findings}))
    return {
        CauseCode.OTHER_STATISTICS: (
            f"{count(len(findings), 'statistic')} of another dataset than NORMAL's, the first "
            f"{findings[0].subject}"
        ),
        CauseCode.REFLOW_FIELDS: (
            f"config.json has reflow-training fields ({fields}): stock LeRobot rejects it"
        ),
        CauseCode.UNEXPECTED_TENSORS: (
            f"{first}; the file is larger and loads more slowly, inference is unaffected"
        ),
        CauseCode.TEACHER_INSIDE: f"the file still contains the teacher: {first}",
        CauseCode.STATISTICS_DISAGREE: f"the two processors disagree: {first}",
        CauseCode.UNREADABLE: (
            f"{findings[0].path or 'REFLOW'} cannot be read: "
            f"{'it ' * bool(_PREDICATE.match(findings[0].what))}{findings[0].what}"
        ),
    }.get(code, first)


def _first_of(findings: list[Finding], normal: Subject, reflow: Subject) -> str:
    """Return the first finding in words, and how many others of its rule there are."""
    first = findings[0]
    alike, names = sum(finding.code == first.code for finding in findings), lacking(reflow)
    if (
        first.code == "CK305"
        and alike > 1
        and names
        and {finding.code for finding in findings} <= {"CK305", "CK501"}
    ):
        return (
            f"{count(len(names), 'tensor')} missing ({reflow.family.parts(names)}): "
            f"{reflow.family.missing}"
        )
    others = f" (and {count(alike - 1, 'more finding')} of this rule)" if alike > 1 else ""
    key = key_of(first)
    if first.code == "CK504":
        values = (shown(_stored(side.checkpoint, key)) for side in (reflow, normal))
        return f"{key} is {', and '.join(values)} in NORMAL{others}"
    said = f"{key} {first.what}" if key else _sentence(first)
    return f"{said}{others}"


def _sentence(finding: Finding) -> str:
    """Return what a finding says, with its subject where the words are only a predicate."""
    if not _PREDICATE.match(finding.what):
        return finding.what
    name = finding.subject.rpartition("/")[2]
    is_named = name and not name.isdecimal()
    about = name if is_named else " ".join(filter(None, (finding.path, finding.subject)))
    return f"{about or 'REFLOW'} {finding.what}"


def _stored(checkpoint: Checkpoint, key: str) -> object:
    return checkpoint.value(CONFIG).get(key, ABSENT)


def _repair(kind: CauseKind, findings: list[Finding], reflow: Subject, repairs: Repairs) -> Remedy:
    key, cleaning = key_of(findings[0]), reflow.family.cleaning
    if kind.code is CauseCode.WEIGHTS_MISSING:
        suggested = {finding.remedy.argv[:2] for finding in findings}
        if ("ckpt", "sanitize") not in suggested:
            return (
                Remedy(text="give the tensors NORMAL's names: see `ckpt rename --help`")
                if ("ckpt", "rename") in suggested
                else Remedy(text=findings[0].next)
            )
    if (
        key == "type"
        and cleaning
        and setting(reflow.checkpoint, key) not in (ABSENT, *cleaning.types)
    ):
        # sanitize does not relabel another policy's config.
        return repairs.set(key, dict(cleaning.values)[key])
    makers: dict[str, Callable[[], Remedy]] = {
        SANITIZE: repairs.sanitize,
        PROCESSORS: repairs.processors,
        SET: lambda: repairs.as_normal(key),
        "unset": lambda: repairs.set(key, ABSENT),
        "config": lambda: repairs.copy(CONFIG),
        # The two with one correct value, whatever NORMAL's is.
        "load_vlm_weights": lambda: repairs.set("load_vlm_weights", value=True),
        "use_cache": lambda: repairs.set("use_cache", value=True),
        "compare": repairs.compare_configs,
        "strip": lambda: Remedy(text=_STRIP),
        NONE: lambda: Remedy(text=findings[0].next),
    }
    return makers[kind.repair]()


_STRIP = (
    "remove them with `ckpt strip` if they are not needed; otherwise config.json is the wrong one"
)


def _other_modes(normal: Subject, reflow: Subject, repairs: Repairs) -> Iterator[Cause]:
    """Yield a cause for processors that normalize unlike NORMAL's, and one for such a config."""
    differing = sorted(
        (path, f"{kind} is {mode}, and {expected[kind]} in NORMAL")
        for path in (PRE, POST)
        for expected in (modes(normal, path),)
        for kind, mode in modes(reflow, path).items()
        if expected.get(kind, mode) != mode
    )
    if differing:
        yield Cause(
            CauseCode.OTHER_MODE,
            Effect.WRONG,
            f"the normalization differs from NORMAL's: {differing[0][1]}",
            repairs.processors(),
            tuple(Evidence(f"{path}: {text}") for path, text in differing),
        )
    key = "normalization_mapping"
    expected, actual = (setting(side.checkpoint, key) for side in (normal, reflow))
    if ABSENT not in (expected, actual) and expected != actual:
        what = f"config.json: {key} is {shown(actual)}, and {shown(expected)} in NORMAL"
        yield Cause(CauseCode.CONFIG_DIFFERS, Effect.WRONG, what, repairs.as_normal(key))


def _mode_of_config_only(normal: Subject, reflow: Subject) -> bool:
    """Whether only config.json has another mode than NORMAL; LeRobot follows the processors."""
    mapping = (setting(side.checkpoint, "normalization_mapping") for side in (normal, reflow))
    return len({shown(value) for value in mapping if value is not ABSENT}) > 1 and all(
        modes(normal, path) == modes(reflow, path) for path in (PRE, POST)
    )


def _without_echoes(causes: list[Cause]) -> list[Cause]:
    """Remove what an earlier cause in the processors explains; its evidence moves there."""
    found = {cause.code: cause for cause in causes if cause.code in PROCESSOR_CAUSES}
    first = next((found[code] for code in _PROCESSOR_CAUSES if code in found), None)
    if first is None:
        return causes
    echoes = [
        cause
        for cause in found.values()
        if cause is not first and cause.code in (CauseCode.OTHER_STATISTICS, CauseCode.OTHER_MODE)
    ]
    evidence = (*first.because, *(fact for echo in echoes for fact in echo.because))
    return [
        cause._replace(because=evidence) if cause is first else cause
        for cause in causes
        if not any(cause is echo for echo in echoes)
    ]


def _with_one_repair(causes: list[Cause], repairs: Repairs) -> list[Cause]:
    """Let sanitize, where it is needed anyway, set what it sets."""
    sanitize = repairs.sanitize()
    return [
        cause._replace(repair=sanitize)
        if cause.code is CauseCode.VLM_BUILT_IN_F32
        and any(other.repair == sanitize for other in causes)
        else cause
        for cause in causes
    ]
