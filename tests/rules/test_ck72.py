"""CK72x and CK73x: the processors and their statistics."""

from __future__ import annotations

import json
import shutil
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.rules.processors import REGISTERED
from ckpt_tools.storage import schemas
from tests.support.cases import (
    FIXTURES,
    NORMAL,
    Case,
    added,
    both,
    changed,
    config,
    hold,
    make,
    removed,
    untouched,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.cases import Change

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATES = {
    PRE: "policy_preprocessor_step_5_normalizer_processor.safetensors",
    POST: "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
}
DIMS = 6
NAN, INFINITE = float("nan"), float("inf")


def step(name: str, registry_name: str, update: Callable[[dict[str, Any]], object]) -> Change:
    """Change a step of a processor."""

    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        update(next(item for item in document["steps"] if item["registry_name"] == registry_name))
        (folder / name).write_text(json.dumps(document))

    return change


def normalizer(update: Callable[[dict[str, Any]], object]) -> Change:
    """Change the preprocessor's normalizer."""
    return step(PRE, "normalizer_processor", update)


def unnormalizer(update: Callable[[dict[str, Any]], object]) -> Change:
    """Change the postprocessor's unnormalizer."""
    return step(POST, "unnormalizer_processor", update)


def without(name: str, registry_name: str) -> Change:
    """Take a step out."""

    def change(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        document["steps"] = [
            item for item in document["steps"] if item["registry_name"] != registry_name
        ]
        (folder / name).write_text(json.dumps(document))

    return change


def numbers(*values: float, dtype: Dtype = Dtype.F32) -> Any:
    """A tensor of statistics."""
    code = {Dtype.F32: "f", Dtype.F64: "d", Dtype.I64: "q"}[dtype]
    return make.Blob(dtype, (len(values),), struct.pack(f"<{len(values)}{code}", *values))


def state(name: str, update: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Write other statistics.

    `update` takes what the normal checkpoint has and returns what there shall be.
    """
    return lambda folder: make.write_safetensors(folder / STATES[name], update(make.statistics()))


def given_statistics(*names: str, **values: Any) -> Change:
    """Set statistics in processors; underscores stand for dots."""
    keys = {key.replace("_", "."): value for key, value in values.items()}
    return both(*(state(name, lambda tensors: tensors | keys) for name in names or (PRE, POST)))


def dropped(name: str, part: str) -> Change:
    """Remove the statistics whose name has this part."""
    return state(
        name, lambda tensors: {key: tensor for key, tensor in tensors.items() if part not in key}
    )


def keyed(name: str, old: str, new: str) -> Change:
    """Rename statistics."""
    return state(
        name, lambda tensors: {key.replace(old, new): tensor for key, tensor in tensors.items()}
    )


def modes(mode: str, *kinds: str) -> Change:
    """Set a mode everywhere."""
    mapping = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"} | dict.fromkeys(
        kinds, mode
    )
    own = [
        update(lambda item: item["config"].update(norm_map=mapping))
        for update in (normalizer, unnormalizer)
    ]
    return both(config(normalization_mapping=mapping), *own)


def weights_as(name: str) -> Change:
    """Put the checkpoint's weights under another name, too."""

    def change(folder: Path) -> None:
        shutil.copyfile(folder / "model.safetensors", folder / name)

    return change


def named(name: str) -> Callable[[dict[str, Any]], None]:
    """Make a step another one, with a state of its own."""
    return lambda item: item.update(registry_name=name, state_file="w.safetensors")


def by_class(item: dict[str, Any]) -> None:
    """Name a step by a class that LeRobot would call."""
    del item["registry_name"]
    item["class"] = "subprocess.Popen"
    item["config"] = {"args": ["true"]}


def late_newline(folder: Path) -> None:
    """Put the newline behind the tokenizer."""
    document = json.loads((folder / PRE).read_text())
    document["steps"].sort(key=lambda item: item["registry_name"] == "smolvla_new_line_processor")
    (folder / PRE).write_text(json.dumps(document))


STILL = (0.0, *(1.0,) * 5)
OTHER = {"reference": str(NORMAL)}

CASES = {
    "no processors": Case("CK721", removed(PRE, POST), (untouched, removed("train_config.json"))),
    "no postprocessor": Case(
        "CK721", removed(POST, STATES[POST]), (untouched, config(repo_id="a/b"))
    ),
    "no state file": Case(
        "CK722",
        removed(STATES[PRE]),
        (untouched, both(normalizer(lambda item: item.pop("state_file")), removed(STATES[PRE]))),
    ),
    "a state file of another name": Case(
        "CK722",
        normalizer(lambda item: item.update(state_file="n.safetensors")),
        (untouched, removed("train_config.json")),
    ),
    "a state file of no name": Case(
        "CK722",
        normalizer(lambda item: item.update(state_file=3)),
        (untouched, removed("train_config.json")),
    ),
    "no state file named": Case(
        "CK723",
        normalizer(lambda item: item.pop("state_file")),
        (untouched, normalizer(lambda item: item["config"].update(eps=0))),
    ),
    "no normalizer": Case(
        "CK723",
        without(PRE, "normalizer_processor"),
        (untouched, without(PRE, "to_batch_processor")),
    ),
    "no statistics of the state": Case(
        "CK723", dropped(PRE, "state"), (dropped(PRE, "images"), dropped(PRE, "count"))
    ),
    "no std": Case(
        "CK723", dropped(PRE, "state.std"), (dropped(PRE, "state.max"), dropped(PRE, "action.min"))
    ),
    "no statistics at all": Case(
        "CK723", state(POST, lambda _: {}), (dropped(POST, "state"), dropped(POST, "images"))
    ),
    "another mode": Case(
        "CK723",
        normalizer(lambda item: item["config"]["norm_map"].update(STATE="MIN_MAX")),
        (modes("MIN_MAX", "STATE"), untouched),
    ),
    "the state not listed": Case(
        "CK723",
        normalizer(lambda item: item["config"]["features"].pop("observation.state")),
        (
            normalizer(lambda item: item["config"]["features"].pop("observation.images.top")),
            untouched,
        ),
    ),
    "the state not chosen": Case(
        "CK723",
        normalizer(lambda item: item["config"].update(normalize_observation_keys=["other"])),
        (
            normalizer(
                lambda item: item["config"].update(normalize_observation_keys=["observation.state"])
            ),
            untouched,
        ),
    ),
    "buffers of a robot": Case(
        "CK724",
        keyed(PRE, "observation.", "so100.buffer.observation_"),
        (untouched, keyed(PRE, "action", "buffer_action")),
    ),
    "old buffers": Case(
        "CK724",
        keyed(POST, "action", "unnormalize_outputs.buffer_action"),
        (untouched, keyed(POST, "observation.state", "x.state")),
    ),
    "buffers besides": Case(
        "CK724",
        keyed(PRE, "observation.state", "observation_state"),
        (
            given_statistics(PRE, so100_buffer_action_mean=numbers(1)),
            given_statistics(timestamp_mean=numbers(NAN)),
        ),
    ),
    "a name without a dot": Case(
        "CK724",
        state(PRE, lambda tensors: tensors | {"mean": numbers(1)}),
        (untouched, given_statistics(a_b=numbers(1))),
    ),
    "NaN": Case(
        "CK725",
        given_statistics(PRE, observation_state_mean=numbers(NAN, *(1,) * 5)),
        (given_statistics(PRE, observation_state_max=numbers(NAN)), untouched),
    ),
    "infinite": Case(
        "CK725",
        given_statistics(action_std=numbers(*(INFINITE,) * DIMS)),
        (given_statistics(index_std=numbers(INFINITE)), untouched),
    ),
    "infinite in F32": Case(
        "CK725",
        given_statistics(action_std=numbers(*(1e39,) * DIMS, dtype=Dtype.F64)),
        (given_statistics(action_std=numbers(*(1e38,) * DIMS, dtype=Dtype.F64)), untouched),
    ),
    "a state that stands still": Case(
        "CK726",
        given_statistics(PRE, observation_state_std=numbers(*STILL)),
        (
            given_statistics(PRE, observation_state_std=numbers(1e-4, *STILL[1:])),
            given_statistics(PRE, observation_state_mean=numbers(*STILL)),
        ),
    ),
    "an action that stands still": Case(
        "CK726",
        given_statistics(action_std=numbers(*STILL)),
        (given_statistics(action_mean=numbers(*STILL)), untouched),
    ),
    "a negative std": Case(
        "CK726",
        given_statistics(action_std=numbers(*(-1,) * DIMS)),
        (given_statistics(action_mean=numbers(*(-1,) * DIMS)), untouched),
    ),
    "no distance": Case(
        "CK726",
        both(
            modes("MIN_MAX", "STATE"),
            given_statistics(
                PRE,
                observation_state_max=numbers(*(2,) * DIMS),
                observation_state_min=numbers(*(2,) * DIMS),
            ),
        ),
        (
            modes("MIN_MAX", "STATE"),
            given_statistics(
                PRE,
                observation_state_max=numbers(*(0,) * DIMS),
                observation_state_min=numbers(*(0,) * DIMS),
            ),
        ),
    ),
    "another robot's": Case(
        "CK727",
        given_statistics(action_std=numbers(*(1,) * 7), action_mean=numbers(*(1,) * 7)),
        (
            given_statistics(action_std=numbers(1), action_mean=numbers(0)),
            given_statistics(action_max=numbers(*(1,) * 7)),
        ),
    ),
    "an image's": Case(
        "CK727",
        both(
            modes("MEAN_STD", "VISUAL"),
            given_statistics(PRE, observation_images_top_std=numbers(1, 1)),
        ),
        (
            modes("MEAN_STD", "VISUAL"),
            both(
                modes("MEAN_STD", "VISUAL"),
                given_statistics(PRE, observation_images_top_std=numbers(1, 1, 1)),
            ),
        ),
    ),
    "no unnormalizer": Case(
        "CK728",
        without(POST, "unnormalizer_processor"),
        (untouched, without(POST, "device_processor")),
    ),
    "an action left alone": Case(
        "CK728",
        unnormalizer(lambda item: item["config"]["norm_map"].update(ACTION="IDENTITY")),
        (
            modes("IDENTITY", "ACTION"),
            unnormalizer(lambda item: item["config"]["norm_map"].update(STATE="IDENTITY")),
        ),
    ),
    "another dataset's": Case(
        "CK729",
        given_statistics(POST, action_mean=numbers(*(9,) * DIMS)),
        (
            given_statistics(action_mean=numbers(*(9,) * DIMS)),
            given_statistics(POST, action_max=numbers(1)),
        ),
    ),
    "unlike the reference": Case(
        "CK730",
        given_statistics(action_mean=numbers(*(9,) * DIMS)),
        (untouched, given_statistics(action_max=numbers(*(9,) * DIMS))),
        options=OTHER,
    ),
    "a step of a plugin": Case(
        "CK731",
        step(PRE, "to_batch_processor", lambda item: item.update(registry_name="reflow_processor")),
        (
            untouched,
            step(PRE, "to_batch_processor", lambda item: item.update({"class": "os.system"})),
        ),
    ),
    "a step that runs": Case(
        "CK731",
        step(PRE, "to_batch_processor", by_class),
        (untouched, step(PRE, "to_batch_processor", lambda item: item.update(name="class"))),
    ),
    "a step of nothing": Case(
        "CK731",
        step(PRE, "to_batch_processor", lambda item: item.pop("registry_name")),
        (untouched, without(PRE, "to_batch_processor")),
    ),
    "no tokenizer": Case(
        "CK732",
        without(PRE, "tokenizer_processor"),
        (untouched, without(PRE, "to_batch_processor")),
    ),
    "no renaming": Case(
        "CK732",
        without(PRE, "rename_observations_processor"),
        (untouched, without(POST, "device_processor")),
    ),
    "a late newline": Case("CK732", late_newline, (untouched, without(PRE, "to_batch_processor"))),
    "an unknown setting": Case(
        "CK733",
        normalizer(lambda item: item["config"].update(flavour=1)),
        (untouched, normalizer(lambda item: item.update(flavour=1))),
    ),
    "a setting of another type": Case(
        "CK733",
        step(PRE, "tokenizer_processor", lambda item: item["config"].update(max_length="long")),
        (
            step(PRE, "tokenizer_processor", lambda item: item["config"].update(max_length=64)),
            untouched,
        ),
    ),
    "no steps": Case(
        "CK733",
        added(POST, '{"name": "x"}'),
        (untouched, removed("train_config.json")),
        frozenset({"CK728"}),
    ),
    "a tensor beside the statistics": Case(
        "CK734",
        state(PRE, lambda tensors: tensors | {"a.bias": numbers(1)}),
        (
            given_statistics(PRE, action_median=numbers(1)),
            given_statistics(POST, timestamp_mask=numbers(1)),
        ),
    ),
    "the weights as a state": Case(
        "CK734",
        weights_as(STATES[POST]),
        (untouched, removed("train_config.json")),
        frozenset({"CK723"}),
    ),
    "weights that a step names which reads none": Case(
        "CK734",
        both(
            weights_as("w.safetensors"),
            step(
                PRE,
                "rename_observations_processor",
                lambda item: item.update(state_file="w.safetensors"),
            ),
        ),
        (
            step(
                PRE,
                "rename_observations_processor",
                lambda item: item.update(state_file=STATES[PRE]),
            ),
            normalizer(lambda item: item.update(state_file="model.safetensors")),
            *(
                both(
                    weights_as("w.safetensors"),
                    step(PRE, "rename_observations_processor", named(name)),
                )
                for name in ("my_step", "groot_n1_7_pack_inputs_v1")
            ),
        ),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_rule_finds_its_fault_and_no_near_miss(case: Case, tmp_path: Path) -> None:
    hold(case, tmp_path)


def severity(folder: Path, code: str) -> set[str]:
    """How bad what a rule finds is."""
    return {
        finding.severity.value
        for finding in api.verify(str(folder)).findings
        if finding.code == code
    }


def test_an_action_constant_in_one_dimension_is_a_note_and_in_all_an_error(
    tmp_path: Path,
) -> None:
    assert severity(
        changed(tmp_path / "one", given_statistics(action_std=numbers(*STILL))), "CK726"
    ) == {"note"}
    assert severity(
        changed(tmp_path / "all", given_statistics(action_std=numbers(*(0,) * DIMS))), "CK726"
    ) == {"error"}


def test_a_lerobot_0_3_policy_needs_a_migration() -> None:
    (finding,) = (
        finding
        for finding in api.verify(str(FIXTURES / "lerobot-0.3")).findings
        if finding.code == "CK721"
    )
    assert "migrate it and never strip these" in finding.next
    assert "lerobot.processor.migrate_policy_normalization --pretrained-path" in finding.next


def test_statistics_in_the_settings_are_read_instead_of_the_file(tmp_path: Path) -> None:
    own = {"observation.state": {"mean": [0] * DIMS, "std": [1] * DIMS}}
    folder = changed(
        tmp_path / "copy",
        both(normalizer(lambda item: item["config"].update(stats=own)), dropped(PRE, "state")),
    )
    assert not api.verify(str(folder)).findings


def test_the_registered_steps_are_those_of_the_schemas() -> None:
    for name in ("policy-preprocessor", "policy-postprocessor"):
        steps: Any = schemas.load(name)["properties"]
        assert set(steps["steps"]["items"]["properties"]["registry_name"]["enum"]) == REGISTERED
