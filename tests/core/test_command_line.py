"""The translation of the command line changes one combination and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot_policy_smolvla_reflow.command_line import translate

REFLOW = "--policy.type=smolvla_reflow"


@pytest.mark.parametrize("value", ["True", "true", "1", "yes"])
def test_smolvla_with_the_flag_becomes_the_reflow_type(value: str) -> None:
    given_arguments = [
        "--policy.type=smolvla",
        f"--policy.use_reflow={value}",
        "--policy.teacher_model_path=t",
        "--steps=3",
    ]
    assert translate(given_arguments) == [REFLOW, *given_arguments[1:]]


def test_values_may_be_separate_arguments() -> None:
    assert translate(
        ["--policy.use_reflow", "true", "--steps", "3", "--policy.type", "smolvla"]
    ) == ["--policy.use_reflow", "true", "--steps", "3", REFLOW]


@pytest.mark.parametrize("flag", [["--policy.use_reflow=False"], ["--policy.use_reflow", "false"]])
def test_a_false_flag_is_dropped_and_the_standard_policy_stays(flag: list[str]) -> None:
    assert translate(["--policy.type=smolvla", *flag, "--steps=3"]) == [
        "--policy.type=smolvla",
        "--steps=3",
    ]


@pytest.mark.parametrize(
    "untouched",
    [
        [],
        ["--policy.type=smolvla"],
        ["--policy.use_reflow=True"],
        ["--policy.type=act", "--policy.use_reflow=True"],
        ["--policy.type=smolvla_reflow", "--policy.use_reflow=True"],
        ["--policy.type=smolvla", "--policy.use_reflow=maybe"],
        ["--policy.type", "--policy.use_reflow=True"],
        ["--policy.types=smolvla", "--policy.use_reflow=True"],
    ],
)
def test_every_other_command_line_is_unchanged(untouched: list[str]) -> None:
    assert translate(untouched) == untouched


@given(
    st.lists(
        st.sampled_from(
            [
                "--policy.type=smolvla",
                "--policy.type",
                "smolvla",
                "--policy.use_reflow=True",
                "--policy.use_reflow",
                "false",
                "x",
            ]
        )
    )
)
def test_translating_twice_is_translating_once(arguments: list[str]) -> None:
    once = translate(arguments)
    if (
        arguments.count("--policy.use_reflow=False") + arguments.count("--policy.use_reflow") <= 1
        and arguments.count("--policy.type") + arguments.count("--policy.type=smolvla") <= 1
    ):
        assert translate(once) == once
