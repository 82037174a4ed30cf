"""A LeRobot plugin: trains reflow students of SmolVLA and saves them as normal SmolVLA checkpoints.

Importing it registers the policy type `smolvla_reflow` and its optimizer, and translates the
command line described in `command_line`; an error of this plugin then ends a command with its
sentence, not a traceback. LeRobot does the import by itself. Models are imported only when a policy
is made.
"""

from __future__ import annotations

import sys

from lerobot_policy_smolvla_reflow.command_line import translate
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError, end_without_traceback

__all__ = ["ReflowError", "SmolVLAReflowConfig"]

sys.argv[1:] = translate(sys.argv[1:])
end_without_traceback()
