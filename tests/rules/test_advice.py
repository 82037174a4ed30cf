"""Advice can be followed blindly: every command that a finding or a page suggests is run.

After it the finding is gone, no new warning or error appears, and nothing is lost that the good
twin of the checkpoint has.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import COMMANDS, cli
from ckpt_tools.rules.registry import all_rules
from tests.rules import (
    test_adapters,
    test_ck2_ck3,
    test_ck4,
    test_ck5,
    test_ck8,
    test_ck8_content,
    test_ck70,
    test_ck72,
    test_ck74,
    test_policy_agreement,
    test_training_tensors,
    test_transformer_config,
)
from tests.support.advice import Fault, complaints
from tests.support.cases import NORMAL, ROOT, Case, added, both, changed, config, edited
from tests.support.gated import carded
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ckpt_tools.rules.rule import Rule


def normal(folder: Path) -> None:
    shutil.copytree(NORMAL, folder)


def carded_normal(folder: Path) -> None:
    changed(folder, carded)


def of_case(case: Case, *, is_gated: bool) -> Fault:
    def bad(folder: Path) -> None:
        if is_gated:
            carded_normal(folder)
        else:
            normal(folder)
        case.bad(folder)

    good = carded_normal if is_gated else normal
    return Fault(bad, good, case.options, is_gated, case.code)


def tabled(prefix: str, cases: Iterable[Case] | Mapping[str, Case]) -> dict[str, Fault]:
    names = cases if isinstance(cases, dict) else [str(number) for number, _ in enumerate(cases)]
    listed = cases.values() if isinstance(cases, dict) else cases
    return {
        f"{prefix} {one.code} {name}": of_case(one, is_gated=prefix.startswith("ck8"))
        for name, one in zip(names, listed, strict=True)
    }


SHAPES = test_transformer_config.SHAPES


def adapted(shapes: Any, values: dict[str, Any], folder: Path) -> None:
    test_adapters.adapter(folder, shapes, **values)


def transformer(more: Any, values: Any, folder: Path) -> None:
    given = {"config.json": test_transformer_config.CONFIG | values}
    model(folder, {**SHAPES, **more}, given)


def acting(values: Any, folder: Path) -> None:
    test_policy_agreement.policy(folder, config=values)


def with_buffers(folder: Path) -> None:
    acting({}, folder)
    test_policy_agreement.with_buffers(folder, 1.0)


FAULTS: dict[str, Fault] = {
    **tabled("ck2", test_ck2_ck3.CASES),
    **tabled("ck4", test_ck4.CASES),
    **tabled("ck5", test_ck5.CASES),
    **tabled("ck70", test_ck70.CASES),
    **tabled("ck72", test_ck72.CASES),
    **tabled("ck74", test_ck74.CASES),
    **tabled("ck8", test_ck8.CASES),
    **tabled("ck8 content", test_ck8_content.CASES),
    **{
        f"adapter: {name}": Fault(partial(adapted, shapes, config), test_adapters.adapter, {})
        for name, (_, _, shapes, config) in test_adapters.BAD.items()
    },
    **{
        f"transformers: {name}": Fault(
            partial(transformer, shapes, config), partial(transformer, {}, {}), {"values": True}
        )
        for name, (shapes, config) in {
            "another vocabulary": ({}, {"vocab_size": 40}),
            "more layers in config.json": ({}, {"num_hidden_layers": 4}),
            "fewer layers in config.json": ({}, {"num_hidden_layers": 1}),
            "another width": ({}, {"hidden_size": 8}),
            "weights in F32": ({}, {"torch_dtype": "bfloat16"}),
            "an average beside the model": (test_training_tensors.under("ema.", SHAPES), {}),
            "wrapped by NeMo": (
                test_training_tensors.under("model._fp32_params.", {"x.weight": (4, 4)}),
                {},
            ),
        }.items()
    },
    **{
        f"policy: {name}": Fault(partial(acting, config), partial(acting, {}), {"values": True})
        for name, config in {
            "no type": {"type": ...},
            "more actions than a chunk": {"n_action_steps": 5},
            "no actions": {"n_action_steps": 0},
            "another chunk": {"chunk_size": 9},
            "a start at home": {"pretrained_path": "/home/me/base"},
        }.items()
    },
    "policy: statistics in the weights, too": Fault(
        with_buffers, partial(acting, {}), {"values": True}
    ),
    "smolvla: fewer expert layers in config.json": of_case(
        Case("CK306", config(num_expert_layers=8), ()), is_gated=False
    ),
}


WORDS = {
    "WHERE": "normal",
    "CHECKPOINT": "normal",
    "NORMAL": "normal",
    "REFERENCE": "normal",
    "RECIPE": "recipe.yaml",
    "KEY": "num_steps",
    "VALUE": "10",
    "GLOB": "teacher.**",
    "OLD": "a",
    "NEW": "b",
    "ID": "apache-2.0",
    "REPO": "me/policy",
}


@pytest.mark.parametrize("one", all_rules(), ids=lambda one: one.code)
def test_every_command_on_a_rules_page_parses(one: Rule) -> None:
    """A name alone, such as `ckpt strip`, is a command; more words are a complete command line."""
    quoted = re.findall(r"`(ckpt [^`]*)`", one.page)
    for command in [" ".join(text.split()) for text in quoted] + [one.fix] * one.fix.startswith(
        "ckpt "
    ):
        name, *arguments = [WORDS.get(word, word) for word in shlex.split(command)[1:]]
        if name == "--version":
            continue
        assert name in COMMANDS, command
        if arguments:
            parse(name, arguments)


def parse(name: str, arguments: list[str]) -> None:
    """Let click read a command line, and that of a subcommand; nothing is run."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    context = command.make_context(name, list(arguments))
    if isinstance(command, click.Group):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        inner.make_context(inner.name, rest, parent=context)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_following_the_advice_repairs_and_harms_nothing(fault: Fault, tmp_path: Path) -> None:
    assert complaints(fault, tmp_path) == []


def commands(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the commands of all findings by code."""
    return {one.code: one.remedy.argv for one in api.verify(str(folder)).findings}


def test_nothing_is_taken_from_a_runs_train_config_that_resuming_needs(tmp_path: Path) -> None:
    change = both(
        edited("config.json", num_steps=10),
        added("train_config.json", json.dumps({"dataset": {"root": "/home/me/data"}})),
    )
    folder = changed(tmp_path / "000100" / "pretrained_model", change)
    assert commands(folder)["CK742"]
    (tmp_path / "000100" / "training_state").mkdir()
    assert commands(folder)["CK742"] == ()
    (folder / "train_config.json").write_text('{"policy": {"type": "smolvla_reflow"}}')
    assert commands(folder)["CK741"] == ()


def test_neither_an_index_nor_the_file_beside_it_is_deleted_by_a_command(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", SHAPES, {"config.json": test_transformer_config.CONFIG})
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    assert commands(folder)["CK209"] == ()
    shutil.copy(folder / "model.safetensors", folder / "model-00001-of-00001.safetensors")
    assert commands(folder)["CK209"] == ()


def test_layers_that_config_json_does_not_count_are_not_stripped(tmp_path: Path) -> None:
    folder = changed(tmp_path / "m", config(num_vlm_layers=8))
    (argv,) = [one.remedy.argv for one in api.verify(str(folder)).findings if one.code == "CK306"]
    assert argv == ("ckpt", "config", str(folder), "set", "num_vlm_layers", "16")


def test_no_advice_ends_with_a_command_that_lacks_its_arguments() -> None:
    """A command is complete, or only named, in backticks."""
    bare = [
        (path.name, node.value)
        for path in sorted((ROOT / "ckpt_tools/rules/checks").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.search(r"(?<!`)\bckpt [a-z]+$", node.value)
    ]
    assert not bare
