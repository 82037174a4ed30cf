"""Which cause the findings of a rule are: the effect on a robot, and how it is repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.doctor.attribution import is_right, key_of, lacking
from ckpt_tools.doctor.model import CauseCode, Effect
from ckpt_tools.doctor.setting_causes import KEYS
from ckpt_tools.doctor.side_by_side import setting
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from ckpt_tools.rules.finding import Finding
    from ckpt_tools.rules.rule import Subject


class CauseKind(NamedTuple):
    """The cause that findings of a rule are. `keyed`: one cause for each key of config.json."""

    code: CauseCode
    effect: Effect
    repair: str
    keyed: bool = False


SANITIZE, PROCESSORS, SET, NONE = "sanitize", "processors", "set", "none"
_MISSING = CauseKind(CauseCode.WEIGHTS_MISSING, Effect.WRONG, SANITIZE)
_VALUE = CauseKind(CauseCode.CONFIG_REFUSED, Effect.BREAKS, SET, keyed=True)
_FIELDS = CauseKind(CauseCode.REFLOW_FIELDS, Effect.BREAKS, SANITIZE)
_KINDS = {
    "CK208": CauseKind(CauseCode.WEIGHTS_NOT_FOUND, Effect.BREAKS, SANITIZE),
    "CK301": CauseKind(CauseCode.TEACHER_INSIDE, Effect.HEAVY, SANITIZE),
    **dict.fromkeys(("CK302", "CK305", "CK309", "CK501"), _MISSING),
    **dict.fromkeys(("CK307", "CK503"), CauseKind(CauseCode.OTHER_MODEL, Effect.BREAKS, "compare")),
    "CK306": CauseKind(CauseCode.UNEXPECTED_TENSORS, Effect.HEAVY, "strip"),
    "CK701": CauseKind(CauseCode.VLM_BUILT_IN_F32, Effect.SLOW, "load_vlm_weights"),
    "CK702": _FIELDS,
    "CK703": _FIELDS,
    "CK704": _VALUE._replace(repair="unset"),
    "CK705": _VALUE._replace(repair=SANITIZE),
    "CK711": _VALUE._replace(repair="config"),
    **dict.fromkeys(("CK706", "CK707", "CK709", "CK712"), _VALUE),
    "CK708": CauseKind(CauseCode.USE_CACHE, Effect.BREAKS, "use_cache"),
    **dict.fromkeys(
        ("CK713", "CK721", "CK722", "CK732", "CK733"),
        CauseKind(CauseCode.PROCESSORS_BROKEN, Effect.BREAKS, PROCESSORS),
    ),
    **dict.fromkeys(
        ("CK723", "CK724"), CauseKind(CauseCode.NOT_NORMALIZED, Effect.WRONG, PROCESSORS)
    ),
    **dict.fromkeys(
        ("CK725", "CK726", "CK727"),
        CauseKind(CauseCode.STATISTICS_BROKEN, Effect.WRONG, PROCESSORS),
    ),
    "CK728": CauseKind(CauseCode.NOT_DENORMALIZED, Effect.WRONG, PROCESSORS),
    "CK729": CauseKind(CauseCode.STATISTICS_DISAGREE, Effect.WRONG, PROCESSORS),
    "CK730": CauseKind(CauseCode.OTHER_STATISTICS, Effect.WRONG, PROCESSORS),
}
_UNREADABLE = frozenset(rule.code for rule in PARSE_RULES)
"""Rules that are checked while reading: of weights, an index, JSON."""

_NOTED = frozenset({"CK730"})
"""Rules that only note what is a cause where a student differs from its normal checkpoint."""


def kind_of(finding: Finding, reflow: Subject) -> CauseKind | None:
    """Return the cause that a finding is, None for one that affects neither speed nor actions."""
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
        CauseKind(CauseCode.UNREADABLE, Effect.BREAKS, NONE)
        if finding.code in _UNREADABLE
        else None
    )


def _of_vlm(reflow: Subject) -> CauseKind:
    """Return the cause for a load_vlm_weights that LeRobot reads as false, or rejects."""
    value = setting(reflow.checkpoint, "load_vlm_weights")
    return _KINDS["CK701"] if value is ABSENT or value in (False, None, "false") else _VALUE


def _of_reference(finding: Finding, reflow: Subject) -> CauseKind | None:
    """Return the cause for a difference from NORMAL that no other rule and no setting covers."""
    key, cleaning = key_of(finding), reflow.family.cleaning
    if finding.severity is not Severity.ERROR or key in KEYS:
        return None
    if finding.code == "CK501":
        # REFLOW lacks nothing if NORMAL only has tensors under other names, or more of them.
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
        else CauseKind(CauseCode.CONFIG_DIFFERS, Effect.WRONG, SET, keyed=True)
    )
