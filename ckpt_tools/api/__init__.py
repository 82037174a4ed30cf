"""The verbs. Each is also a command of `ckpt`; what a command adds is parsing and rendering, nothing else.

`looking` reads, `hashing` digests, `judging` and `gating` judge, `doctoring` explains, `uploading` publishes, `changing` writes, `configuring` edits one
JSON file. Each is imported when one of its verbs is wanted: a diff should not wait for what writes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckpt_tools.api.changing import load_plan, plan, recover, sanitize, save_plan, write
    from ckpt_tools.api.doctoring import diagnose
    from ckpt_tools.api.gating import gate
    from ckpt_tools.api.hashing import check_manifest, check_remote, manifest
    from ckpt_tools.api.judging import explain, known_rules, verify
    from ckpt_tools.api.looking import diff, read, show
    from ckpt_tools.api.uploading import upload

__all__ = [
    "check_manifest",
    "check_remote",
    "diagnose",
    "diff",
    "explain",
    "gate",
    "known_rules",
    "load_plan",
    "manifest",
    "plan",
    "read",
    "recover",
    "sanitize",
    "save_plan",
    "show",
    "upload",
    "verify",
    "write",
]

_MODULES = {
    **dict.fromkeys(("diff", "read", "show"), "looking"),
    **dict.fromkeys(("load_plan", "plan", "recover", "sanitize", "save_plan", "write"), "changing"),
    **dict.fromkeys(("check_manifest", "check_remote", "manifest"), "hashing"),
    **dict.fromkeys(("explain", "known_rules", "verify"), "judging"),
    "diagnose": "doctoring",
    "gate": "gating",
    "upload": "uploading",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"ckpt_tools.api.{_MODULES[name]}"), name)
