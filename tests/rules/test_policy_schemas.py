"""The schemas of a policy's JSON files accept what LeRobot writes and reject what it refuses.

`departures` agrees with the jsonschema library, and no rule about a policy raises for any files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from math import prod
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.families.smolvla.facts import REFLOW_FIELDS, SMOLVLA
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.policy_config import departures
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from ckpt_tools.scan.entry import Entry
from ckpt_tools.storage import schemas
from tests.support.cases import FIXTURES, NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

type Update = Callable[[Any], object]

FILES = {
    "smolvla-config": "config.json",
    "train-config": "train_config.json",
    "policy-preprocessor": "policy_preprocessor.json",
    "policy-postprocessor": "policy_postprocessor.json",
}
SCHEMAS: dict[str, dict[str, Any]] = {name: schemas.load(name) for name in FILES}
NORMALS: dict[str, Any] = {
    name: json.loads((NORMAL / file).read_text()) for name, file in FILES.items()
}


def valid(name: str, value: object) -> bool:
    """Whether the jsonschema library accepts a value."""
    return jsonschema.Draft202012Validator(SCHEMAS[name]).is_valid(value)


def updated(name: str, update: Update) -> Any:
    """The normal file with a change."""
    value = json.loads(json.dumps(NORMALS[name]))
    update(value)
    return value


@pytest.mark.parametrize("name", FILES)
def test_every_schema_is_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"ckpt-tools/{name}.schema.json"


@pytest.mark.parametrize("fixture", ["normal", "reflow-clean", "sharded", "f32-vlm"])
@pytest.mark.parametrize("name", FILES)
def test_what_lerobot_wrote_is_accepted(fixture: str, name: str) -> None:
    assert valid(name, json.loads((FIXTURES / fixture / FILES[name]).read_text()))


def test_the_config_schema_has_the_fields_of_the_family() -> None:
    assert SMOLVLA.cleaning is not None
    assert set(SCHEMAS["smolvla-config"]["properties"]) == SMOLVLA.cleaning.known
    assert not set(SCHEMAS["smolvla-config"]["properties"]) & set(REFLOW_FIELDS)


def first(value: Any, **changes: Any) -> None:
    """Change the first step of a processor."""
    value["steps"][0].update(changes)


def last(value: Any, **changes: Any) -> None:
    """Change the settings of the last step of a preprocessor: the normalizer."""
    value["steps"][-1]["config"].update(changes)


ACCEPTED: list[tuple[str, Update]] = [
    ("train-config", lambda value: value.update(policy=None, env={"type": "aloha"}, peft={"r": 8})),
    ("train-config", lambda value: value["policy"].update(use_reflow=True, type="smolvla_reflow")),
    ("train-config", lambda value: value.update(use_rabc=False)),
    ("train-config", lambda value: [value.pop(key) for key in list(value) if key != "dataset"]),
    ("policy-preprocessor", lambda value: value.pop("name")),
    (
        "policy-preprocessor",
        lambda value: value["steps"].append({"registry_name": "to_batch_processor"}),
    ),
    (
        "policy-preprocessor",
        lambda value: value["steps"].append(
            {"registry_name": "relative_actions_processor", "config": {"enabled": True}}
        ),
    ),
    (
        "policy-preprocessor",
        lambda value: last(value, normalize_observation_keys=["observation.state"]),
    ),
    ("policy-postprocessor", lambda value: first(value, note="kept by nobody")),
]
REJECTED: list[tuple[str, Update]] = [
    ("train-config", lambda value: value.pop("dataset")),
    ("train-config", lambda value: value.update(flavour="mild")),
    ("train-config", lambda value: value["dataset"].update(repo_type="folder")),
    ("train-config", lambda value: value["dataset"].pop("repo_id")),
    ("train-config", lambda value: value["policy"].pop("type")),
    ("train-config", lambda value: value["optimizer"].update(type="lion")),
    ("train-config", lambda value: value.update(steps="many")),
    ("policy-preprocessor", lambda value: value.pop("steps")),
    ("policy-preprocessor", lambda value: value.update(steps={})),
    ("policy-preprocessor", lambda value: first(value, registry_name="reflow_processor")),
    ("policy-preprocessor", lambda value: first(value, config=None)),
    (
        "policy-preprocessor",
        lambda value: value["steps"].append({"class": "os.system", "config": {}}),
    ),
    ("policy-preprocessor", lambda value: last(value, flavour="mild")),
    ("policy-preprocessor", lambda value: last(value, norm_map={"STATE": "ZSCORE"})),
    ("policy-preprocessor", lambda value: last(value, features={"action": {"type": "ACTION"}})),
    ("policy-postprocessor", lambda value: value["steps"][0]["config"].pop("norm_map")),
    ("policy-postprocessor", lambda value: first(value, state_file=None)),
]


@pytest.mark.parametrize(("name", "update"), ACCEPTED)
def test_it_accepts(name: str, update: Update) -> None:
    assert valid(name, updated(name, update))


@pytest.mark.parametrize(("name", "update"), REJECTED)
def test_it_rejects(name: str, update: Update) -> None:
    assert not valid(name, updated(name, update))


# --- departures -----------------------------------------------------------------------------------

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 100)
    | st.just(0.5)
    | st.sampled_from(["", "STATE", "MEAN_STD", "longest", "adamw", "dataset", "mm"])
)
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "shape", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    return [(value, key) for key, _ in items] + [
        place for _, item in items for place in places(item)
    ]


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(["smolvla-config", "train-config"]), data=st.data())
def test_departures_agree_with_the_jsonschema_library(name: str, data: st.DataObject) -> None:
    value = updated(name, lambda _: None)
    for _ in range(data.draw(st.integers(0, 3))):
        found = places(value)
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        if isinstance(container, dict) and data.draw(st.booleans()):
            container[data.draw(st.sampled_from(["flavour", key]))] = data.draw(_json)
        elif isinstance(container, dict):
            del container[key]
        else:
            container[key] = data.draw(_json)
    assert (not list(departures(value, SCHEMAS[name]))) == valid(name, value)


def test_10_0_is_an_integer_for_jsonschema_but_not_for_lerobot() -> None:
    value = updated("smolvla-config", lambda value: value.update(chunk_size=10.0))
    assert valid("smolvla-config", value)
    assert [
        (found.pointer, found.what) for found in departures(value, SCHEMAS["smolvla-config"])
    ] == [("/chunk_size", "is 10.0, expected integer")]


def test_a_verification_imports_no_jsonschema() -> None:
    code = (
        f"import sys; from ckpt_tools import api; api.verify({str(NORMAL)!r}); print([name for"
        " name in ('jsonschema', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


# --- whatever stands there ------------------------------------------------------------------------

_rules = tuple(rule for rule in all_rules() if "CK701" <= rule.code < "CK750")
_words = st.sampled_from(
    [
        "",
        "type",
        "shape",
        "STATE",
        "ACTION",
        "VISUAL",
        "MEAN_STD",
        "MIN_MAX",
        "action",
        "observation.state",
        "policy",
        "config",
        "steps",
        "/root/x",
        "features",
    ]
)
_anything = (
    st.none() | st.booleans() | st.integers(-3, 2**60) | st.floats() | _words | st.text(max_size=4)
)
_values = st.recursive(
    _anything,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_words | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATES = (
    "policy_preprocessor_step_5_normalizer_processor.safetensors",
    "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
)
NAMES = ("config.json", "train_config.json", PRE, POST)
TEXTS = {name: (NORMAL / name).read_text() for name in NAMES}


@st.composite
def documents(draw: st.DrawFn) -> tuple[Document, ...]:
    """The normal JSON files with a few values replaced by anything."""
    made = []
    for name in NAMES:
        value = json.loads(TEXTS[name])
        for _ in range(draw(st.integers(0, 3))):
            found = places(value)
            container, key = found[draw(st.integers(0, len(found) - 1))]
            container[key] = draw(_values)
        made.append(
            Document(
                name,
                "",
                value
                if draw(st.integers(0, 9))
                else draw(st.dictionaries(_words, _values, max_size=4)),
            )
        )
    return tuple(document for document in made if draw(st.integers(0, 9)))


@st.composite
def states(draw: st.DrawFn) -> tuple[TensorFile, ...]:
    """State files of any tensors and any bytes, also of fewer than the tensors say."""
    keys = [
        "action.mean",
        "action.std",
        "observation.state.mean",
        "observation.state.std",
        "mean",
        "x.buffer.action.std",
        "observation.images.top.std",
    ]
    made = []
    for path in STATES:
        tensors, at = [], 0
        for name in draw(st.lists(st.sampled_from(keys), unique=True)):
            shape = draw(st.sampled_from([(), (6,), (1,), (0,), (7,), (3, 1, 1)]))
            dtype = draw(
                st.sampled_from(
                    [Dtype.F32, Dtype.F64, Dtype.I64, Dtype.BF16, Dtype.F16, Dtype.BOOL, Dtype.U8]
                )
            )
            end = at + prod(shape) * draw(st.sampled_from([dtype.bits // 8, 1, 4]))
            tensors.append(Tensor(name, dtype, shape, path, at, end))
            at = end
        payload = draw(st.none() | st.binary(min_size=at, max_size=at) | st.binary(max_size=8))
        made.append(TensorFile(path, at, 8, tuple(tensors), None, payload))
    return tuple(made)


@settings(max_examples=200, deadline=None)
@given(documents=documents(), states=states())
def test_no_rule_raises_for_any_files(
    documents: tuple[Document, ...], states: tuple[TensorFile, ...]
) -> None:
    checkpoint = Checkpoint(where="", root="", weights=(), documents=documents, states=states)
    entries = (
        Entry("config.json", "file"),
        Entry("wandb/", "folder"),
        Entry("wandb/\udc80", "file"),
    )
    subject = Subject(
        checkpoint,
        SMOLVLA,
        entries=entries,
        reference=checkpoint,
        target="lerobot==0.4",
        schema=schemas.load,
    )
    findings, *_ = check_rules(_rules, subject)
    assert all(finding.what for finding in findings)
