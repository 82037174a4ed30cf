"""Rules about code: files of it, and configs that name it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.processors import REGISTERED
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.scan import chat_templates
from ckpt_tools.scan.json_files import keys, lax, members
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_supply_chain = partial(rule, needs=Need.FILES, supply_chain=True)

_CODE = (
    *(".py", ".pyx", ".pyw", ".pyi", ".ipynb", ".so", ".pyd", ".dll", ".dylib", ".sh", ".bat"),
    *(".ps1", ".exe", ".whl", ".egg", ".js"),
)
_KEYS = {
    "auto_map": "names code that a loader imports",
    "trust_remote_code": "allows the loader to run the repository's code",
    "custom_pipelines": "names code that a loader imports",
    "_target_": "names what a loader imports and calls",
}
_IN_YAML = re.compile(
    rf"^[ \t\-{{,]*[\"']?(?P<key>{'|'.join(_KEYS)})[\"']?[ \t]*:[ \t]*+"
    r"(?!(?:false|no|off|null|~|\{\})?[ \t]*(?:#.*)?$)|(?P<tag>!!?python/[\w./:-]+)",
    re.MULTILINE | re.IGNORECASE,
)
_HINTS = ('"Lambda"', "__lambda__", "parent_library", "activation_f", "_class_name")
_ACTIVATIONS = ("activation_fn", "activation_fct", "activation_function")
_ESCAPED = 4 << 20
"""Larger texts with escapes are tokenizers, and reading one twice takes seconds."""

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+", re.ASCII)
_LIBRARIES = ("transformers", "torch", "peft", "timm", "diffusers", "sentence_transformers")
_PARENTS = (*_LIBRARIES, "lerobot")
"""Libraries whose models an adapter may be for; LeRobot's policies are not called by name."""

_TEMPLATE_REMEDY = "replace the template with one that reads messages and nothing else"
_STEP_REMEDY = "write the registry_name of a step that LeRobot has, or remove the step"


@_supply_chain("CK808", "remote-code", Severity.ERROR)
def remote_code(subject: Subject) -> Iterator[Violation]:
    """A file is code, or a config names code that a loader would run.

    `auto_map` and `custom_pipelines` name classes in Python files of the repository, and
    `trust_remote_code` runs them: whoever can write to the repository runs code on the machine of
    whoever loads the model. Others are imported by name from wherever Python finds them: `_target_`
    (Hydra), the modules and activations of sentence-transformers, a custom diffusers pipeline, the
    `parent_library` of an adapter; a Lambda layer of Keras contains its code. A checkpoint that
    stock LeRobot, transformers or diffusers can load needs none of it. YAML is searched for the
    same keys and for tags that build Python objects. A chat template is code too: one that uses
    `__globals__`, `__class__` and the like reaches everything that Python can do wherever it is
    rendered outside a sandbox.

    Leave the Python files out, and remove the keys: `ckpt config WHERE/tokenizer_config.json unset
    /auto_map`. Write the template without such names.

    Bad:

        modeling_policy.py
        "auto_map": {"AutoModel": "modeling_policy.Policy"}

    Good:

        "architectures": ["LlamaForCausalLM"]
    """
    for entry in subject.entries or ():
        name, text = entry.path.lower(), entry.text or ""
        if entry.is_file and name.endswith(_CODE):
            remedy = "leave it out: a checkpoint loads without code of its own"
            yield Violation("is code", entry.path, next=remedy)
        elif name.endswith(".json") and text:
            by_key = ((pointer, _KEYS[key]) for pointer, key in keys(text, tuple(_KEYS)))
            for pointer, fault in (*by_key, *_by_value(entry)):
                yield Violation(fault, entry.path, pointer, _remove(entry, pointer))
            for pointer, fault in chat_templates.in_json(text):
                yield Violation(fault, entry.path, pointer, _TEMPLATE_REMEDY)
        elif name.endswith((".jinja", ".jinja2", ".j2")) and (fault := chat_templates.fault(text)):
            yield Violation(fault, entry.path, next=_TEMPLATE_REMEDY)
        elif name.endswith((".yaml", ".yml")):
            for match in _IN_YAML.finditer(text):
                key, tag = match["key"], (match["tag"] or "")[:60]
                fault = _KEYS[key.lower()] if key else f"builds a Python object by the tag {tag}"
                yield Violation(fault, entry.path, key or tag, "remove it")


def _remove(entry: Entry, pointer: str) -> Remedy:
    if not pointer:
        return Remedy(text="repair the JSON, and remove the key")
    argv = ("ckpt", "config", f"WHERE/{entry.path}", "unset", pointer)
    return Remedy(argv, "remove the key: {}")


def _by_value(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, fault) of values that name code by themselves."""
    text = entry.text or ""
    is_list = entry.path.rpartition("/")[2].lower() == "modules.json"
    has_escapes = "\\u" in text and len(text) < _ESCAPED
    if not (is_list or has_escapes or any(hint in text for hint in _HINTS)):
        return
    for pointer, key, value in members(text):
        package = value.partition(".")[0] if isinstance(value, str) else ""
        known = _PARENTS if key == "parent_library" else _LIBRARIES
        is_foreign = bool(value) and isinstance(value, str) and package not in known
        if key in ("class_name", "className") and value in ("Lambda", "__lambda__"):
            yield pointer, "is a Lambda layer of Keras, which contains code"
        elif key == "_class_name" and isinstance(value, list):
            yield pointer, "names a custom pipeline, which a loader imports"
        elif key == "parent_library" and is_foreign:
            yield pointer, f"names the library {value!r}, which a loader imports"
        elif key in _ACTIVATIONS and is_foreign and _DOTTED.fullmatch(str(value)):
            yield pointer, f"names the activation {value!r}, which a loader imports and calls"
        elif is_list and key == "type" and is_foreign:
            yield pointer, f"names the module {value!r}, which a loader imports and calls"


@_supply_chain("CK809", "processor-code", Severity.ERROR)
def processor_code(subject: Subject) -> Iterator[Violation]:
    """A processor names code, an unregistered step, or a state file outside the folder.

    LeRobot imports the module that a step's `class` names and calls it with the step's `config`:
    such a JSON file is a program. A step that stock LeRobot does not register is code that whoever
    loads the checkpoint must get from elsewhere. CK731 is about what LeRobot makes of the two
    processors that it reads; this rule checks every JSON file that is named or built like a
    processor, since a config may name it.

    Write the step's `registry_name`, or remove the step. State files are .safetensors files in the
    folder.

    Bad:

        {"class": "os.system", "config": {}}

    Good:

        {"registry_name": "normalizer_processor", "state_file": "step_5.safetensors"}
    """
    for entry in subject.entries or ():
        if entry.text and entry.path.lower().endswith(".json") and _may_be_processor(entry):
            value = lax(entry.text)
            steps = value.get("steps") if isinstance(value, dict) else None
            for number, step in enumerate(steps if isinstance(steps, list) else ()):
                if isinstance(step, dict):
                    for key, fault, remedy in _step_faults(step):
                        yield Violation(fault, entry.path, f"/steps/{number}/{key}", remedy)


def _may_be_processor(entry: Entry) -> bool:
    text = entry.text or ""
    return (
        "processor" in entry.path.lower()
        or "\\u" in text
        or ("steps" in text and ("registry_name" in text or "class" in text))
    )


def _step_faults(step: dict[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield (key, fault, remedy) of a processor's step."""
    name, state = step.get("registry_name"), step.get("state_file")
    if "class" in step:
        what = f"names the class {step['class']!r}, which LeRobot imports and calls"
        yield "class", what, _STEP_REMEDY
    if name is not None and not (isinstance(name, str) and name in REGISTERED):
        what = f"needs the step {name!r}, which stock LeRobot does not register"
        yield "registry_name", what, _STEP_REMEDY
    if isinstance(state, str) and leaves_folder(state):
        what = f"names the state file {state!r}, outside the folder"
        yield "state_file", what, "do not use this checkpoint"
    elif state is not None and not (isinstance(state, str) and state.endswith(".safetensors")):
        what = f"names the state file {state!r}, which is not a safetensors file"
        yield "state_file", what, "save the state as safetensors"
