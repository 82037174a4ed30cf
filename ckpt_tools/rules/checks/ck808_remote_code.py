"""No file is code, and no config asks for code.

`auto_map` and `custom_pipelines` name classes in Python files of the repository, and
`trust_remote_code` runs them: whoever can write to the repository runs code on the machine of
whoever loads the model. Others are imported by their names from wherever Python finds them:
`_target_` (Hydra), the modules and activations of sentence-transformers, a diffusers pipeline of
its own, the `parent_library` of an adapter; a Lambda layer of Keras has its code inside. A
checkpoint that stock LeRobot, transformers or diffusers can load needs none of it. YAML is looked
through for the same keys and for tags that build Python objects. A chat template is code too: one
that asks for `__globals__`, `__class__` and the like reaches everything that Python can do wherever
it is rendered outside of a sandbox.

Leave the Python files out, and remove the keys: `ckpt config WHERE/tokenizer_config.json unset
/auto_map`. Write the template without such names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan import chat_templates
from ckpt_tools.scan.json_files import keys, members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_SUFFIXES = (
    ".py",
    ".pyx",
    ".pyw",
    ".pyi",
    ".ipynb",
    ".so",
    ".pyd",
    ".dll",
    ".dylib",
    ".sh",
    ".bat",
    ".ps1",
    ".exe",
    ".whl",
    ".egg",
    ".js",
)
_KEYS = {
    "auto_map": "names code that a loader imports",
    "trust_remote_code": "asks the loader to run the repository's code",
    "custom_pipelines": "names code that a loader imports",
    "_target_": "names what a loader imports and calls",
}
_IN_YAML = re.compile(
    rf"^[ \t\-{{,]*[\"']?(?P<key>{'|'.join(_KEYS)})[\"']?[ \t]*:[ \t]*+(?!(?:false|no|off|null|~|\{{\}})?[ \t]*(?:#.*)?$)|(?P<tag>!!?python/[\w./:-]+)",
    re.MULTILINE | re.IGNORECASE,
)
_HINTS = ('"Lambda"', "__lambda__", "parent_library", "activation_f", "_class_name")
_ESCAPED = 4 << 20
"""Larger texts with escapes are tokenizers, and reading one twice costs seconds."""

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+", re.ASCII)
_LIBRARIES = ("transformers", "torch", "peft", "timm", "diffusers", "sentence_transformers")


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file of code, and one for each key."""
    for entry in subject.entries or ():
        name = entry.path.lower()
        if entry.kind in ("file", "link") and name.endswith(_SUFFIXES):
            yield Violation(
                "is code",
                entry.path,
                next="leave it out: a checkpoint loads without code of its own",
            )
        elif name.endswith(".json") and entry.text:
            for pointer, key in keys(entry.text, tuple(_KEYS)):
                yield Violation(_KEYS[key], entry.path, pointer, _remove(entry, pointer))
            yield from (
                Violation(words, entry.path, pointer, _remove(entry, pointer))
                for pointer, words in _by_value(entry)
            )
            yield from (
                Violation(words, entry.path, pointer, _PLAINLY)
                for pointer, words in chat_templates.in_json(entry.text)
            )
        elif name.endswith((".jinja", ".jinja2", ".j2")) and entry.text:
            words = chat_templates.fault(entry.text)
            yield from (Violation(words, entry.path, next=_PLAINLY),) if words else ()
        elif name.endswith((".yaml", ".yml")) and entry.text:
            for match in _IN_YAML.finditer(entry.text):
                words = (
                    _KEYS[match["key"].lower()]
                    if match["key"]
                    else f"builds a Python object by the tag {match['tag'][:60]}"
                )
                yield Violation(words, entry.path, match["key"] or match["tag"][:60], "remove it")


_PLAINLY = "do not use this template: write one that reads messages and nothing else"


def _remove(entry: Entry, pointer: str) -> Remedy:
    argv = ("ckpt", "config", f"WHERE/{entry.path}", "unset", pointer)
    return (
        Remedy(argv, "remove the key: {}")
        if pointer
        else Remedy(text="repair the JSON, and remove the key")
    )


def _by_value(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, what is wrong) of values that name code by themselves."""
    text = entry.text or ""
    listed = entry.path.rpartition("/")[2].lower() == "modules.json"
    if not (
        listed or any(hint in text for hint in _HINTS) or ("\\u" in text and len(text) < _ESCAPED)
    ):
        return
    for pointer, key, value in members(text):
        if key in ("class_name", "className") and value in ("Lambda", "__lambda__"):
            yield pointer, "is a Lambda layer of Keras, which holds code"
        elif key == "_class_name" and isinstance(value, list):
            yield pointer, "names a pipeline of its own, which a loader imports"
        elif key == "parent_library" and _is_foreign(value):
            yield pointer, f"names the library {value!r}, which a loader imports"
        elif (
            key in ("activation_fn", "activation_fct", "activation_function")
            and _is_foreign(value)
            and _DOTTED.fullmatch(str(value))
        ):
            yield pointer, f"names the activation {value!r}, which a loader imports and calls"
        elif listed and key == "type" and _is_foreign(value):
            yield pointer, f"names the module {value!r}, which a loader imports and calls"


def _is_foreign(value: object) -> bool:
    """Whether a value is the name of something outside the libraries that load models."""
    return isinstance(value, str) and bool(value) and value.partition(".")[0] not in _LIBRARIES


RULE = Rule(
    code="CK808",
    name="remote-code",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
