"""A LeRobot plugin that trains reflow students of SmolVLA and saves normal SmolVLA checkpoints.

LeRobot imports it. The import registers the policy type `smolvla_reflow` and its optimizer,
translates the command line (see `command_line`), and makes this plugin's errors end a command
without a traceback. Models are imported only when a policy is built.
"""

from __future__ import annotations

import sys

from lerobot_policy_smolvla_reflow.command_line import translate
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError, end_without_traceback

__all__ = ["ReflowError", "SmolVLAReflowConfig"]

sys.argv[1:] = translate(sys.argv[1:])
end_without_traceback()
