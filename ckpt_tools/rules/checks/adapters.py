"""PEFT adapters: their files, and what their config says about base model and modules.

Measured on peft 0.18.1 and 0.21.2. An adapter of a LeRobot policy is PEFT's, with the policy's JSON
files beside it. Names and shapes of its tensors are checked in `adapter_tensors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import only_file
from ckpt_tools.rules.lora import config_of, is_lora, tensors_of
from ckpt_tools.rules.policy_config import is_local_model
from ckpt_tools.rules.remedy import set_config
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.strict_json.pointer import ABSENT
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_ADAPTERS = (Kind.ADAPTER,)


@rule("CK901", "adapter-config", Severity.ERROR, needs=Need.FILES, kinds=_ADAPTERS)
def adapter_config(subject: Subject) -> Iterator[Violation]:
    """An adapter whose adapter_config.json is missing, or names no method.

    The file says which method and rank the adapter has, which modules of which base model it
    belongs to. PEFT rejects an adapter without it (ValueError: Can't find 'adapter_config.json'),
    or without `peft_type` in it (KeyError), and the tensors alone do not tell its scaling.

    Add the adapter_config.json of the run that trained it: `save_pretrained` of the PEFT model
    writes both files. A config written by hand needs the run's own `lora_alpha`.

    Bad:

        adapter_model.safetensors alone

    Good:

        adapter_config.json and adapter_model.safetensors
    """
    if tensors_of(subject) is None:
        return  # CK909 reports it
    remedy = "add the adapter_config.json of the run that trained the adapter"
    if subject.checkpoint.document(ADAPTER_CONFIG) is None:
        yield Violation("is missing: PEFT cannot load the adapter", ADAPTER_CONFIG, next=remedy)
    elif not isinstance(config_of(subject).get("peft_type"), str):
        what = f"is {shown(config_of(subject).get('peft_type', ABSENT))}: PEFT rejects the adapter"
        yield Violation(what, ADAPTER_CONFIG, "/peft_type", remedy)


@rule("CK902", "adapter-base-model", Severity.WARNING, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_base_model(subject: Subject) -> Iterator[Violation]:
    """adapter_config.json does not say which base model the adapter belongs to.

    PEFT, transformers, LeRobot and servers take the base model from `base_model_name_or_path`. With
    null or an empty string, or a path that only one machine has, AutoPeftModel and LeRobot cannot
    load the adapter at all, and whoever loads a base model by hand has to guess it.

    Write the base model's name on the Hub, and its revision if the adapter needs one.

    Bad:

        {"peft_type": "LORA", "r": 8, "base_model_name_or_path": null}

    Good:

        {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "lerobot/smolvla_base"}
    """
    if not config_of(subject) or tensors_of(subject) is None:
        return
    base = config_of(subject).get("base_model_name_or_path", ABSENT)
    remedy = "write the name that the base model has on the Hub"
    where = (ADAPTER_CONFIG, "/base_model_name_or_path")
    if not isinstance(base, str) or not base.strip():
        is_policy = Kind.POLICY in subject.kinds
        effect = "LeRobot rejects it" if is_policy else "whoever loads it has to guess"
        what = f"is {shown(base)}: the base model is unknown, and {effect}"
        yield Violation(what, *where, remedy, Severity.ERROR if is_policy else None)
    elif is_local_model(base):
        what = f"is {shown(base)}, a path that other machines do not have"
        yield Violation(what, *where, remedy)


@rule("CK903", "adapter-empty", Severity.ERROR, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_empty(subject: Subject) -> Iterator[Violation]:
    """An adapter without a tensor.

    Under DeepSpeed ZeRO-3 a process holds none of a partitioned parameter, and the adapter is saved
    without tensors. PEFT loads it, with only a warning about missing keys, and the base model then
    answers as if it had never been trained.

    Save the adapter again with the parameters gathered: DeepSpeed's setting
    `stage3_gather_16bit_weights_on_model_save`, or its `zero_to_fp32.py` on the run's checkpoint.

    Bad (adapter_model.safetensors):

        {"__metadata__": {"format": "pt"}}

    Good:

        {"lora_A.weight": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16]}}
    """
    if tensors_of(subject) == ():
        what = "contains no tensor: PEFT loads the base model as if it had never been trained"
        remedy = "save the adapter again with the parameters gathered"
        yield Violation(what, ADAPTER_WEIGHTS, next=remedy)


@rule("CK908", "adapter-modules-to-save", Severity.ERROR, needs=Need.HEADERS, kinds=_ADAPTERS)
def adapter_modules_to_save(subject: Subject) -> Iterator[Violation]:
    """None of the modules in `modules_to_save` is stored.

    `modules_to_save` names modules that were trained in full, such as a new head; their weights are
    stored with the adapter. PEFT looks for them and fails (KeyError) where they are missing.

    Save the adapter again, or remove the key if these modules were not trained.

    Bad (no tensor of lm_head is stored):

        {"peft_type": "LORA", "r": 8, "modules_to_save": ["lm_head"]}

    Good:

        {"peft_type": "LORA", "r": 8, "modules_to_save": null}
    """
    tensors, modules = tensors_of(subject), config_of(subject).get("modules_to_save")
    if not tensors or not isinstance(modules, list) or not modules:
        return
    names = [name for name in modules if isinstance(name, str)]
    held = any(
        f".{name}." in f".{tensor.name}" and not is_lora(tensor.name)
        for name in names
        for tensor in tensors
    )
    if names and not held:
        what = f"names {', '.join(map(shown, names[:4]))}, but none of their weights are stored"
        remedy = "save the adapter again, or remove the key if these were not trained"
        yield Violation(what, ADAPTER_CONFIG, "/modules_to_save", remedy)


@rule("CK909", "adapter-file", Severity.ERROR, needs=Need.FILES, kinds=_ADAPTERS)
def adapter_file(subject: Subject) -> Iterator[Violation]:
    """adapter_config.json without adapter_model.safetensors.

    PEFT reads adapter_model.safetensors only, neither shards nor another name. Beside a full model
    the config is a leftover, from before the adapter was merged: transformers then takes the folder
    for an adapter, and looks for the base model and the adapter's weights instead of the model.

    Give the adapter its name, or remove adapter_config.json from a merged model.

    Bad:

        adapter_config.json
        config.json
        model.safetensors

    Good:

        config.json
        model.safetensors
    """
    checkpoint = subject.checkpoint
    files = [file.path for file in checkpoint.weights]
    names = {*files, *(file.path for file in checkpoint.others)}
    has_adapter = any(name.startswith("adapter_model.") for name in names)
    if checkpoint.document(ADAPTER_CONFIG) is None or files == [ADAPTER_WEIGHTS] or not files:
        return
    if any(is_lora(tensor.name) for tensor in checkpoint.tensors):
        what = f"PEFT reads {ADAPTER_WEIGHTS} only, but the adapter is in {files[0]}"
        yield Violation(what, only_file(checkpoint), next=f"save the adapter as {ADAPTER_WEIGHTS}")
    elif not has_adapter:
        what = "is beside a full model: transformers looks for an adapter instead of the model"
        remedy = "remove it if the adapter is merged into the model; else add the adapter's weights"
        yield Violation(what, ADAPTER_CONFIG, next=remedy)
    else:
        what = f"{ADAPTER_WEIGHTS} and a full model are in one folder: loaders take one of the two"
        remedy = "put the adapter into a folder of its own"
        yield Violation(what, ADAPTER_CONFIG, next=remedy, severity=Severity.WARNING)


@rule(
    "CK910",
    "use-peft",
    Severity.ERROR,
    needs=(Need.CONFIG, Need.FILES),
    kinds=(Kind.POLICY,),
)
def use_peft(subject: Subject) -> Iterator[Violation]:
    """`use_peft` and the files of a LeRobot policy do not agree.

    With `use_peft` true LeRobot reads adapter_config.json and adapter_model.safetensors, and the
    base policy that the former names; model.safetensors is not read. With false it reads
    model.safetensors only, and an adapter is not found.

    Set `use_peft` to what the folder contains, or add the adapter's files.

    Bad (the folder contains model.safetensors and no adapter):

        {"type": "smolvla", "use_peft": true}

    Good:

        {"type": "smolvla", "use_peft": false}
    """
    checkpoint = subject.checkpoint
    uses = subject.checkpoint.value(CONFIG).get("use_peft") is True
    files = [file.path for file in checkpoint.weights]
    names = {*files, *(file.path for file in checkpoint.others)}
    has_adapter = ADAPTER_WEIGHTS in names and checkpoint.document(ADAPTER_CONFIG) is not None
    where = (CONFIG, "/use_peft")
    if uses and not has_adapter:
        what = f"is true, but there is no adapter: LeRobot needs {ADAPTER_CONFIG} and its weights"
        text = "add the adapter's files; or, if the weights are a whole policy: {}"
        yield Violation(what, *where, set_config("use_peft", "false", text))
    elif not uses and files == [ADAPTER_WEIGHTS]:
        what = "is not true, but the weights are an adapter's: LeRobot does not find them"
        yield Violation(what, *where, set_config("use_peft", "true", safe=True))
