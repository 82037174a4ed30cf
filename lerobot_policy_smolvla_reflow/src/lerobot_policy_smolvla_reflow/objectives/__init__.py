"""What a student is trained with: one module per objective, and their registry.

Torch only; no model, no config, no I/O. To add one, write its module with an `OBJECTIVE`, name it
here, and describe it in docs/few-steps.md.
"""

from __future__ import annotations

from lerobot_policy_smolvla_reflow.objectives import (
    consistency,
    drift,
    flow_matching,
    grid,
    imle,
    reflow,
    regression,
    snapflow,
)

OBJECTIVES = {
    "reflow": reflow.OBJECTIVE,
    "grid": grid.OBJECTIVE,
    "snapflow": snapflow.OBJECTIVE,
    "consistency": consistency.OBJECTIVE,
    "drift": drift.OBJECTIVE,
    "imle": imle.OBJECTIVE,
    "regression": regression.OBJECTIVE,
    "flow": flow_matching.OBJECTIVE,
}
