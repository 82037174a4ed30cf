"""The public verbs of ckpt-tools: `help(api.verify)` explains one.

Each is also a command of `ckpt`; the command adds parsing and rendering only. `api.config` has the
verbs for one JSON file. `ckpt_tools.api.types` has the types of what verbs take and return,
`ckpt_tools.errors` those of what they raise. The guide is docs/python.md.

Modules with a leading underscore hold the verbs of one subject and are imported when one of them is
first used, so that a diff does not wait for what writes. Import verbs from `ckpt_tools.api`, never
from those modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ckpt_tools.api import config, types
    from ckpt_tools.api._audit import audit, audit_engine, work_on_task
    from ckpt_tools.api._audit_check import examine_batch
    from ckpt_tools.api._audit_reading import (
        audit_graph,
        compare_audits,
        export_audit,
        read_audit,
    )
    from ckpt_tools.api._coverage import coverage
    from ckpt_tools.api._doctor import diagnose
    from ckpt_tools.api._edit import (
        convert_names,
        load_plan,
        plan,
        recover,
        restore,
        sanitize,
        save_plan,
        write,
    )
    from ckpt_tools.api._gate import gate
    from ckpt_tools.api._inspect import diff, read
    from ckpt_tools.api._live import spec
    from ckpt_tools.api._manifest import check_manifest, check_remote, manifest
    from ckpt_tools.api._rules import explain, known_rules
    from ckpt_tools.api._show import readable_by, show
    from ckpt_tools.api._upload import upload
    from ckpt_tools.api._verify import verify

__all__ = [
    "audit",
    "audit_engine",
    "audit_graph",
    "check_manifest",
    "check_remote",
    "compare_audits",
    "config",
    "convert_names",
    "coverage",
    "diagnose",
    "diff",
    "examine_batch",
    "explain",
    "export_audit",
    "gate",
    "known_rules",
    "load_plan",
    "manifest",
    "plan",
    "read",
    "read_audit",
    "readable_by",
    "recover",
    "restore",
    "sanitize",
    "save_plan",
    "show",
    "spec",
    "types",
    "upload",
    "verify",
    "work_on_task",
    "write",
]

_MODULES = {
    **dict.fromkeys(("audit", "audit_engine", "work_on_task"), "_audit"),
    "examine_batch": "_audit_check",
    **dict.fromkeys(("diff", "read"), "_inspect"),
    **dict.fromkeys(
        ("audit_graph", "compare_audits", "export_audit", "read_audit"), "_audit_reading"
    ),
    **dict.fromkeys(
        (
            "convert_names",
            "load_plan",
            "plan",
            "recover",
            "restore",
            "sanitize",
            "save_plan",
            "write",
        ),
        "_edit",
    ),
    **dict.fromkeys(("check_manifest", "check_remote", "manifest"), "_manifest"),
    **dict.fromkeys(("explain", "known_rules"), "_rules"),
    "coverage": "_coverage",
    "diagnose": "_doctor",
    "gate": "_gate",
    **dict.fromkeys(("readable_by", "show"), "_show"),
    "spec": "_live",
    "upload": "_upload",
    "verify": "_verify",
}


_OF_COMMANDS = {
    **dict.fromkeys(("strip", "rename", "cast", "extract", "reshard", "merge"), "plan"),
    "apply": "write",
    "doctor": "diagnose",
    "hash": "manifest",
    "rules": "known_rules",
}
"""Commands whose function has another name."""


if not TYPE_CHECKING:  # with it, a type checker would accept every name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            verb = _OF_COMMANDS.get(name)
            hint = f"; `ckpt {name}` is api.{verb} in Python" if verb else ""
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
        module = importlib.import_module(f"{__name__}.{_MODULES.get(name, name)}")
        return getattr(module, name) if name in _MODULES else module


def __dir__() -> list[str]:
    return __all__
