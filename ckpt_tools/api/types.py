"""The types of what the verbs take and return, to annotate with and to plan with.

Records are immutable. Import them from here: the modules that define them may change.
"""

from __future__ import annotations

from ckpt_tools.api._doctor_live import ProbeOptions
from ckpt_tools.api._paths import AnyPath
from ckpt_tools.api._upload import Upload
from ckpt_tools.audit.compare import AuditComparison
from ckpt_tools.audit.graph import RelationGraph
from ckpt_tools.audit.model import Tally
from ckpt_tools.audit.run import Engine
from ckpt_tools.audit.summary import AuditSummary, By, Selection
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import (
    Checkpoint,
    Document,
    OtherFile,
    ShardIndex,
    Tensor,
    TensorFile,
)
from ckpt_tools.checkpoint.spec import Spec
from ckpt_tools.diff.change_kind import Change, ChangeKind
from ckpt_tools.diff.model import (
    Aspect,
    Comparison,
    Diff,
    DifferenceGroup,
    FileChange,
    Rename,
    Summary,
    ValueChange,
)
from ckpt_tools.doctor.model import Cause, Diagnosis
from ckpt_tools.edit.model import Plan, PlanStep, Safety, Written
from ckpt_tools.edit.operations import (
    Cast,
    CopyFile,
    Drop,
    DropFile,
    Keep,
    Merge,
    Operation,
    RenameKey,
    RenameTensors,
    Reshard,
    SetMetadata,
    SetValue,
    Take,
    UnsetValue,
    Unwrap,
)
from ckpt_tools.edit.restore import Restored
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.spellings import Readability
from ckpt_tools.gate.verdict import Settings, Suppression, Verdict
from ckpt_tools.manifest.model import Check, Difference, Hashed, Manifest, RemoteCheck
from ckpt_tools.rules.coverage import Coverage, Question, State
from ckpt_tools.rules.finding import Finding, Severity, Skipped, Suppressed, Verification
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.values.model import (
    LayerChange,
    LayerValues,
    Measurement,
    Sameness,
    TensorChange,
    ValueComparison,
    ValueSummary,
)

__all__ = [
    "ABSENT",
    "AnyPath",
    "Aspect",
    "AuditComparison",
    "AuditSummary",
    "By",
    "Cast",
    "Cause",
    "Change",
    "ChangeKind",
    "Check",
    "Checkpoint",
    "Comparison",
    "CopyFile",
    "Coverage",
    "Diagnosis",
    "Diff",
    "Difference",
    "DifferenceGroup",
    "Document",
    "Drop",
    "DropFile",
    "Dtype",
    "Engine",
    "FileChange",
    "Finding",
    "Hashed",
    "Keep",
    "LayerChange",
    "LayerValues",
    "Manifest",
    "Measurement",
    "Merge",
    "Operation",
    "OtherFile",
    "Plan",
    "PlanStep",
    "ProbeOptions",
    "Question",
    "Readability",
    "RelationGraph",
    "Remedy",
    "RemoteCheck",
    "Rename",
    "RenameKey",
    "RenameTensors",
    "Reshard",
    "Restored",
    "Rule",
    "Safety",
    "Sameness",
    "Selection",
    "SetMetadata",
    "SetValue",
    "Settings",
    "Severity",
    "ShardIndex",
    "Skipped",
    "Spec",
    "State",
    "Summary",
    "Suppressed",
    "Suppression",
    "Take",
    "Tally",
    "Tensor",
    "TensorChange",
    "TensorFile",
    "Unknown",
    "UnsetValue",
    "Unwrap",
    "Upload",
    "ValueChange",
    "ValueComparison",
    "ValueSummary",
    "Verdict",
    "Verification",
    "Written",
]
