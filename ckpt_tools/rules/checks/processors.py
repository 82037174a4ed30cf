"""The processors around a policy: their files, their steps and what the steps are set to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import PROCESSORS
from ckpt_tools.families.kinds import Kind
from ckpt_tools.families.lerobot import EFFECTS, OLD_STEPS, ORDER, is_buffer, registered
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import amount
from ckpt_tools.rules.policy_config import acts, departures, policy_of, policy_type
from ckpt_tools.rules.processors import (
    COPY,
    MIGRATE,
    NORMALIZER,
    PRE,
    REGISTERED,
    UNNORMALIZER,
    has_steps,
    steps,
)
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import value as shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.remedy import Remedy
    from ckpt_tools.rules.rule import Subject

_ALWAYS = ("rename_observations_processor", "device_processor")
"""Steps that every policy's preprocessor needs."""

_PARAMETERS = (".weight", ".bias")
"""How a module's parameters end, and no statistic; datasets bring statistics of their own."""

_OTHERS_WITH_STATE = ("groot_", "molmoact2_masked_")


@rule(
    "CK721",
    "processors-missing",
    Severity.ERROR,
    needs=(Need.CONFIG, Need.FILES),
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def processors_missing(subject: Subject) -> Iterator[Violation]:
    """A processor is missing.

    The two processors hold what surrounds the policy: tokenizer, normalization of observations,
    denormalization of actions. LeRobot since 0.4 rejects a folder without them; code that loads the
    policy alone runs it unnormalized, and the robot trembles. Policies of LeRobot 0.3 kept the
    statistics among their weights.

    Copy both from another checkpoint of the same run, with their state files; a student takes its
    teacher's. A policy of LeRobot 0.3 must be migrated, and keep its buffers until then: `python -m
    lerobot.processor.migrate_policy_normalization --pretrained-path WHERE` writes a migrated copy.

    Bad:

        config.json
        model.safetensors

    Good:

        config.json
        model.safetensors
        policy_postprocessor.json
        policy_postprocessor_step_0_unnormalizer_processor.safetensors
        policy_preprocessor.json
        policy_preprocessor_step_5_normalizer_processor.safetensors
    """
    if not acts(subject) or policy_type(subject) == "sac":  # SAC's learner saved none before 0.6
        return
    is_old = any(is_buffer(tensor.name) for tensor in subject.checkpoint.tensors)
    remedy: Remedy | str = (
        MIGRATE
        if is_old
        else "copy them from another checkpoint of the same run, or from the teacher"
    )
    missing = [path for path in PROCESSORS if subject.checkpoint.document(path) is None]
    if len(missing) == len(PROCESSORS):
        what = (
            "there are no processors: stock LeRobot rejects the folder, and the policy alone runs "
            "unnormalized"
        )
        yield Violation(what, next=remedy)
        return
    for path in missing:
        yield Violation("is missing: stock LeRobot rejects the folder", path, next=remedy)


@rule("CK722", "state-file-missing", Severity.ERROR, needs=Need.FILES)
def state_file_missing(subject: Subject) -> Iterator[Violation]:
    """A processor's state file is missing.

    It contains the normalization statistics. From a folder LeRobot rejects a processor whose state
    file is missing; from the Hub it fails to download it.

    Copy the file from another checkpoint of the same run: all of them have the same statistics.

    Bad (no such file in the folder):

        {"steps": [{"state_file": "policy_preprocessor_step_5.safetensors"}]}

    Good:

        policy_preprocessor.json
        policy_preprocessor_step_5.safetensors
    """
    states = {file.path for file in subject.checkpoint.states}
    for step in steps(subject):
        name = step.value.get("state_file", ...)
        if name is not ... and not (isinstance(name, str) and name in states):
            yield Violation(
                f"the state file {shown(name)} is missing: stock LeRobot rejects the processor",
                step.path,
                f"{step.pointer}/state_file",
                "copy it from another checkpoint of the same run",
            )


@rule("CK731", "step-runs-code", Severity.ERROR, needs=Need.HEADERS)
def step_runs_code(subject: Subject) -> Iterator[Violation]:
    """Processor step that LeRobot does not register.

    A step with a `class` is imported by that name and called with what the JSON contains, whatever
    it is: loading the checkpoint runs it. A registered name that only a plugin has makes stock
    LeRobot reject the processor, and so does a step with neither.

    Write the step's registered name, or remove the step. Never load such a checkpoint from an
    unknown source.

    Bad:

        {"class": "evil.Step", "config": {}}

    Good:

        {"registry_name": "device_processor", "config": {"device": "cuda"}}
    """
    for step in steps(subject):
        name = step.value.get("registry_name", ...)
        if name is not ...:
            is_old = isinstance(name, str) and name in OLD_STEPS
            if is_old and registered(subject.target) != registered(""):
                continue
            if not (isinstance(name, str) and name in REGISTERED):
                of = " (GR00T N1.5's, for LeRobot 0.5)" if is_old else ""
                what = f"the step {shown(name)} is unknown{of}: stock LeRobot rejects the processor"
                yield Violation(what, step.path, f"{step.pointer}/registry_name")
        elif "class" in step.value:
            yield Violation(
                f"{shown(step.value['class'])} is imported and called when the checkpoint loads",
                step.path,
                f"{step.pointer}/class",
                "write the step's registry_name, or remove the step",
            )
        else:
            what = "has neither registry_name nor class: stock LeRobot rejects the processor"
            yield Violation(what, step.path, step.pointer)


@rule(
    "CK732",
    "steps-missing",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def steps_missing(subject: Subject) -> Iterator[Violation | Covered]:
    """A step of the preprocessor is missing, or comes too late.

    Without a tokenizer there are no tokens and the first inference fails. `lerobot-eval` and the
    asynchronous server set the names of cameras and the device, and reject a preprocessor without
    those steps. Without the newline before the tokenizer the prompt differs from training: that
    works, slightly worse. A pi0.5 writes the state into its prompt, so the normalizer must come
    before that. Steps of X-VLA that `lerobot-eval` adds itself for some environments are a note.

    Copy policy_preprocessor.json from another checkpoint of the same run.

    Bad:

        {"steps": [{"registry_name": "tokenizer_processor"}]}

    Good:

        {"steps": [{"registry_name": "rename_observations_processor"},
                   {"registry_name": "smolvla_new_line_processor"},
                   {"registry_name": "tokenizer_processor"},
                   {"registry_name": "device_processor"}]}
    """
    policy = policy_of(subject)
    held = [path for path in PROCESSORS if subject.checkpoint.document(path)]
    if len(held) == 1:
        yield Covered(Question.PROCESSORS, f"{held[0]}, the other is missing")
    elif held:
        yield Covered(Question.PROCESSORS, "" if policy else "what all policies' processors share")
    if not has_steps(subject, PRE) or policy is None:
        return
    names = [step.name for step in steps(subject, PRE)]
    remedy = "copy the preprocessor from another checkpoint of the same run"
    for name in (*_ALWAYS, *policy.steps):
        if name not in names:
            effect, severity = EFFECTS[name]
            what = f"the step {name} is missing: {effect}"
            yield Violation(what, PRE, "/steps", remedy, Severity(severity))
    for name, than, effect, severity in ORDER:
        if name in names and than in names and names.index(name) > names.index(than):
            what = f"the step {name} comes after {than}: {effect}"
            yield Violation(what, PRE, "/steps", remedy, Severity(severity))


@rule(
    "CK733",
    "processor-value",
    Severity.ERROR,
    needs=Need.CONFIG,
    families=(SMOLVLA.name,),
    kinds=(Kind.POLICY,),
)
def processor_value(subject: Subject) -> Iterator[Violation]:
    """Unknown or invalid setting of a processor step.

    LeRobot builds a step from its settings, and rejects the processor where a setting is unknown or
    cannot be read.

    Copy the processor from another checkpoint of the same run.

    Bad:

        {"registry_name": "tokenizer_processor", "config": {"max_length": "48"}}

    Good:

        {"registry_name": "tokenizer_processor", "config": {"max_length": 48}}
    """
    for path in PROCESSORS:
        document = subject.checkpoint.document(path)
        listed = document.value.get("steps") if document else []
        if not isinstance(listed, list):
            yield Violation("is not a list: stock LeRobot rejects the processor", path, "/steps")
            continue
        for number, step in enumerate(listed):
            if not isinstance(step, dict):
                what = f"is {shown(step)}, expected a step: stock LeRobot rejects the processor"
                yield Violation(what, path, f"/steps/{number}")
    for step in steps(subject):
        schema = subject.schema(step.path.removesuffix(".json").replace("_", "-"))
        settings = schema.get("$defs")
        part = settings.get(step.name) if isinstance(settings, dict) else None
        if isinstance(part, dict):
            for found in departures(step.value.get("config", {}), part | {"$defs": settings}):
                if not found.pointer.startswith("/norm_map"):
                    pointer = f"{step.pointer}/config{found.pointer}"
                    remedy = "copy the processor from another checkpoint of the same run"
                    yield Violation(found.what, step.path, pointer, remedy)


@rule("CK734", "state-holds-more", Severity.WARNING, needs=Need.HEADERS)
def state_holds_more(subject: Subject) -> Iterator[Violation]:
    """Model weights in a processor's state file.

    LeRobot's normalizers keep statistics in it, whatever kinds the dataset has; the other steps
    keep nothing. Weights there are downloaded by everybody and used by nothing: a model saved under
    the wrong name, a teacher that was moved out of the way. Custom steps may keep anything.

    Copy the processor and its state file from another checkpoint of the same run: all of them have
    the same.

    Bad (tensors of policy_preprocessor_step_5_normalizer_processor.safetensors):

        observation.state.mean
        teacher.model.state_proj.weight

    Good:

        observation.state.mean
        observation.state.std
    """
    weights = {file.path for file in subject.checkpoint.weights}
    for file in subject.checkpoint.states:
        names = {step.name for step in steps(subject) if step.value.get("state_file") == file.path}
        is_custom = any(
            name not in REGISTERED or name.startswith(_OTHERS_WITH_STATE) for name in names
        )
        if file.path in weights or is_custom:
            continue
        has_statistics = bool(names & {NORMALIZER, UNNORMALIZER})
        more = [
            tensor
            for tensor in file.tensors
            if not has_statistics or tensor.name.endswith(_PARAMETERS)
        ]
        if more:
            what = f"{amount(more)} that no step reads"
            yield Violation(what, file.path, more[0].name, COPY)
