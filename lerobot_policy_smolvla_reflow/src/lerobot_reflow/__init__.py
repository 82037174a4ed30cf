"""The commands `lerobot-reflow-*`.

They are not in `lerobot_policy_smolvla_reflow`, because importing that imports LeRobot and torch,
which takes seconds: here, arguments are read first.
"""

from __future__ import annotations
