"""The library huggingface_hub, imported when the Hub is first asked: it takes 100 ms."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ckpt_tools.errors import UnknownSelection

if TYPE_CHECKING:
    from types import ModuleType


def hub_library() -> ModuleType:
    """Return huggingface_hub, with the submodules that are used.

    Raises UnknownSelection for an environment variable that it cannot convert.
    """
    try:
        from huggingface_hub import constants, errors, utils  # noqa: F401, PLC0415 - as the module's docstring says
    except ValueError as error:
        raise UnknownSelection(
            f"huggingface_hub rejects its environment: {error}",
            hint="check the variables that start with HF_",
        ) from None
    return sys.modules["huggingface_hub"]
