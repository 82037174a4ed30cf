"""CK70x and CK71x: config.json."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla.layout import Dimensions
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from tests.support.cases import (
    FIXTURES,
    GOOD,
    Case,
    added,
    both,
    changed,
    config,
    edited,
    hold,
    removed,
    untouched,
)
from tests.support.policies import policy

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = {"observation.images.top": {"type": "VISUAL", "shape": [3, 256, 256]}}
STATE = {"observation.state": {"type": "STATE", "shape": [6]}}
ACTION = {"action": {"type": "ACTION", "shape": [6]}}
MODES = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}
OLD = {"target": "lerobot==0.5"}


def inputs(**changes: Any) -> dict[str, Any]:
    """Input features with other values of the image's."""
    return {"observation.images.top": IMAGE["observation.images.top"] | changes} | STATE


CASES = {
    "load_vlm_weights false": Case(
        "CK701",
        config(load_vlm_weights=False),
        (config(load_vlm_weights="true"), untouched),
        frozenset({"CK308", "CK314"}),
    ),
    "load_vlm_weights left out": Case(
        "CK701",
        config(load_vlm_weights=...),
        (untouched, config(use_cache=...)),
        frozenset({"CK308", "CK314"}),
    ),
    "use_reflow": Case(
        "CK702",
        config(use_reflow=False),
        (config(use_cache=True), edited("train_config.json", use_reflow=True)),
    ),
    "teacher_model_path": Case(
        "CK703",
        config(teacher_model_path=None),
        (config(pretrained_path=None), config(use_reflow=True)),
    ),
    "solver": Case("CK703", config(solver="euler"), (config(num_steps=1), config(use_reflow=None))),
    "a field that nobody knows": Case(
        "CK704",
        config(flavour="mild"),
        (untouched, config(compile_mode="default"), config(solver="euler")),
    ),
    "a field of 0.6 for 0.5": Case(
        "CK704",
        untouched,
        (
            config(pretrained_revision=...),
            both(config(pretrained_revision=...), config(tags=["a"])),
        ),
        options=OLD,
    ),
    "a field of RTC": Case(
        "CK704",
        config(rtc_config={"enabled": True, "speed": 2}),
        (config(rtc_config={"enabled": False}), config(rtc_config=None)),
    ),
    "the plugin's type": Case(
        "CK705",
        config(type="smolvla_reflow"),
        (config(type="smolvla"), edited("train_config.json", type="smolvla_reflow")),
    ),
    "no type": Case("CK705", config(type=...), (untouched, config(repo_id="a/b"))),
    "another type": Case("CK705", config(type="act"), (untouched, config(license="mit"))),
    "a word for a number": Case(
        "CK706",
        config(tokenizer_max_length="long"),
        (config(tokenizer_max_length=64), config(optimizer_lr=1)),
    ),
    "10.0 for 10": Case(
        "CK706",
        config(expert_width_multiplier=0.75, n_obs_steps=1.0),
        (config(expert_width_multiplier=1), config(min_period=1)),
    ),
    "null for a boolean": Case(
        "CK706",
        config(train_expert_only=None),
        (config(train_expert_only=True), config(private=None)),
    ),
    "more actions than a chunk": Case(
        "CK707",
        config(n_action_steps=51),
        (config(n_action_steps=1), config(chunk_size=100), config(n_action_steps=...)),
    ),
    "no actions": Case(
        "CK707", config(n_action_steps=0), (config(n_action_steps=50), config(chunk_size=50))
    ),
    "a chunk of nothing": Case("CK707", config(chunk_size=[]), (config(chunk_size=50), untouched)),
    "use_cache": Case(
        "CK708", config(use_cache=False), (config(use_cache=...), config(use_cache="true"))
    ),
    "no steps": Case(
        "CK709",
        config(num_steps=0),
        (config(num_steps=1), config(num_steps=50), config(num_steps=...)),
    ),
    "backward steps": Case("CK709", config(num_steps=-1), (config(num_steps=4), untouched)),
    "a step of true": Case("CK709", config(num_steps=True), (config(num_steps=2), untouched)),
    "many steps": Case("CK709", config(num_steps=1000), (config(num_steps=10), untouched)),
    "a VLM at home": Case(
        "CK710",
        config(vlm_model_name="/home/robot/vlm"),
        (config(vlm_model_name="someone/vlm"), config(vlm_model_name="vlm")),
    ),
    "a start at home": Case(
        "CK710",
        config(pretrained_path="outputs/train/a/checkpoints/last"),
        (config(pretrained_path="lerobot/smolvla_base"), config(pretrained_path=None)),
    ),
    "no config": Case(
        "CK711",
        removed("config.json"),
        (untouched, added("notes.txt", "none")),
        frozenset({"CK305"}),
    ),
    "a feature with names": Case(
        "CK712",
        config(input_features=inputs(names=["c"])),
        (config(input_features=inputs(shape=[3, 480, 640])), untouched),
    ),
    "no image": Case(
        "CK712",
        config(input_features=STATE),
        (
            config(
                input_features=inputs() | {"observation.images.b": IMAGE["observation.images.top"]}
            ),
            untouched,
        ),
    ),
    "no state": Case(
        "CK712", config(input_features=IMAGE), (config(input_features=inputs()), untouched)
    ),
    "no action": Case(
        "CK712", config(output_features={}), (config(output_features=ACTION), untouched)
    ),
    "features of null": Case("CK712", config(input_features=None), (untouched, config(tags=None))),
    "an image of grey": Case(
        "CK712",
        config(input_features=inputs(shape=[1, 256, 256])),
        (config(input_features=inputs(shape=[3, 1, 1])), untouched),
    ),
    "a wide action": Case(
        "CK712",
        config(output_features={"action": {"type": "ACTION", "shape": [33]}}),
        (untouched, config(max_action_dim=32)),
        frozenset({"CK727"}),
    ),
    "an unknown mode": Case(
        "CK713",
        config(normalization_mapping=MODES | {"STATE": "ZSCORE"}),
        (untouched, config(normalization_mapping=MODES)),
        frozenset({"CK723"}),
    ),
    "an unknown kind": Case(
        "CK713",
        config(normalization_mapping=MODES | {"SOUND": "IDENTITY"}),
        (config(normalization_mapping=MODES | {"ENV": "MIN_MAX"}), untouched),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_rule_finds_its_fault_and_no_near_miss(case: Case, tmp_path: Path) -> None:
    hold(case, tmp_path)


SAID = {
    "lerobot-0.3": {"CK721"},
    "reflow": {"CK701", "CK702", "CK703", "CK741", "CK742"},
    "shared-vlm": {"CK702", "CK703", "CK741", "CK742"},
}
"""What is said of the fixtures' JSON files; of the others nothing."""


@pytest.mark.parametrize("name", [*GOOD, "f32-vlm", "sharded", "language-model", *SAID])
def test_the_config_findings_of_every_fixture(name: str) -> None:
    findings = api.verify(str(FIXTURES / name)).findings
    assert {finding.code for finding in findings if "CK701" <= finding.code < "CK750"} == SAID.get(
        name, set()
    )


def said(folder: Path, code: str, **options: Any) -> list[tuple[str, str, str, str]]:
    """Severity, sentence, place and advice of what a rule finds."""
    found = [
        finding for finding in api.verify(str(folder), **options).findings if finding.code == code
    ]
    return [
        (finding.severity.value, finding.what, finding.subject, finding.next) for finding in found
    ]


def test_a_value_in_quotes_is_a_warning_because_lerobot_reads_it(tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy", config(optimizer_lr="0.0001", num_vlm_layers="many"))
    assert said(folder, "CK706") == [
        (
            "error",
            'is "many", expected integer',
            "/num_vlm_layers",
            "write a value of that type",
        ),
        (
            "warning",
            'is "0.0001", expected number',
            "/optimizer_lr",
            "write a value of that type",
        ),
    ]


def test_negative_steps_are_reported_to_send_noise(tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy", config(num_steps=-3))
    what = "is -3: stock LeRobot computes nothing and sends noise to the robot"
    assert said(folder, "CK709") == [
        ("error", what, "/num_steps", f"ckpt config {folder} set num_steps 10")
    ]


@pytest.mark.parametrize(
    ("key", "like"),
    [
        ("num_step", "num_steps"),
        ("chunk_sise", "chunk_size"),
        ("n_actions_steps", "n_action_steps"),
        ("Num_Steps", "num_steps"),
        ("one_step", ""),
        ("flavour", ""),
    ],
)
def test_a_misspelled_field_is_answered_with_the_field_that_is_meant(
    key: str, like: str, tmp_path: Path
) -> None:
    folder = changed(tmp_path / "copy", config(**{key: 4}))
    ((_, what, subject, after),) = said(folder, "CK704")
    command = f"ckpt config {folder} unset {key}"
    assert subject == f"/{key}"
    assert what == "is an unknown field: stock LeRobot rejects the file" + (
        f" (did you mean {like}?)" if like else ""
    )
    assert after == (
        f"if {like} is meant, give it this value, then: {command}" if like else command
    )


def test_a_misspelled_field_of_rtc_is_recognized_too(tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy", config(rtc_config={"enable": True}))
    ((_, what, subject, after),) = said(folder, "CK704")
    assert subject == "/rtc_config/enable"
    assert what.endswith("(did you mean enabled?)")
    assert after.endswith(f"then: ckpt config {folder} unset /rtc_config/enable")


def test_sanitize_is_not_suggested_for_a_newer_field_whose_value_matters(tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy", config(pretrained_revision="main"))
    what = 'is "main": lerobot==0.5 does not have this field and rejects the file'
    assert said(folder, "CK704", **OLD) == [
        ("error", what, "/pretrained_revision", "publish for a newer LeRobot: its value matters")
    ]
    assert (
        said(FIXTURES / "normal", "CK704", **OLD)[0][3]
        == f"ckpt sanitize {shlex.quote(str(FIXTURES / 'normal'))} --target lerobot==0.5"
    )


def test_the_tokenizer_repeats_the_name_of_the_vlm(tmp_path: Path) -> None:
    def at_home(folder: Path) -> None:
        path = folder / "policy_preprocessor.json"
        path.write_text(
            path.read_text().replace("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "../vlm")
        )

    found = said(changed(tmp_path / "copy", at_home), "CK710")
    assert [(severity, place) for severity, _, place, _ in found] == [
        ("warning", "/steps/3/config/tokenizer_name")
    ]


HUB_VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"


@pytest.mark.parametrize(
    ("sizes", "next_step"),
    [
        (
            Dimensions(),
            f"if it is that model's copy: ckpt config x set /vlm_model_name {HUB_VLM}",
        ),
        *(
            (
                sizes,
                (
                    "write that model's name on the Hub; upload it if it has none "
                    f"(it is not {HUB_VLM}, which has other sizes)"
                ),
            )
            for sizes in (
                Dimensions(text_width=576),
                Dimensions(text_hidden=1536),
                Dimensions(vocabulary=49_281),
                Dimensions(vision_width=1152),
                Dimensions(patches=256),
                Dimensions(connector_width=6912),
            )
        ),
    ],
)
def test_a_vlm_is_named_only_where_the_tensors_have_its_sizes(
    sizes: Dimensions, next_step: str
) -> None:
    built = policy(sizes, {"vlm_model_name": "/data/vlm"})
    rules = [rule for rule in all_rules() if rule.code == "CK710"]
    (finding,), *_ = check_rules(rules, Subject(built, family_of(built)))
    assert finding.next == next_step


def test_what_sanitize_fixes_is_fixed_by_the_values_it_writes(tmp_path: Path) -> None:
    dirty = config(
        load_vlm_weights=False, use_reflow=True, teacher_model_path="/t", type="smolvla_reflow"
    )
    folder = changed(tmp_path / "copy", dirty)
    assert {"CK701", "CK702", "CK703", "CK705"} <= {
        finding.code for finding in api.verify(str(folder)).findings
    }
    value = json.loads((folder / "config.json").read_text())
    clean = {
        key: value[key] for key in value if key not in ("use_reflow", "teacher_model_path")
    } | {"load_vlm_weights": True, "type": "smolvla"}
    (folder / "config.json").write_text(json.dumps(clean))
    assert not {finding.code for finding in api.verify(str(folder)).findings}
