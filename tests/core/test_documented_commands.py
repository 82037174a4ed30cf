"""Every documented command of training and evaluation runs as it is written, at toy size.

Placeholders become a tiny teacher and 40 frames; after its own options a command gets those that
make it small. Of two equal options LeRobot takes the last.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import draccus
import pytest
from lerobot.configs.eval import EvalPipelineConfig

from ckpt_tools import api
from tests.core.support import ROOT, WITH_TOY_WORLD, lerobot_train, python, train_arguments

pytestmark = pytest.mark.lerobot

TRAINING, FEW_STEPS = "docs/training.md", "docs/few-steps.md"
PLUGIN, SCRIPT = "lerobot_policy_smolvla_reflow/README.md", "examples/train_reflow_smolvla.sh"
DOCUMENTS = ("README.md", TRAINING, FEW_STEPS, "docs/doctor.md", PLUGIN, SCRIPT)
COMMAND = re.compile(r"^(?:\$ |# {3})(lerobot-\S+ (?:.*\\\n)*.*)$", re.MULTILINE)
TEACHER = "--policy.teacher_model_path"


def documented() -> list[tuple[str, list[str]]]:
    """Return (document, words) of every LeRobot command that a document shows in full."""
    return [
        (name, shlex.split(command.replace("\\\n", "").partition(" | ")[0]))
        for name in DOCUMENTS
        for command in COMMAND.findall((ROOT / name).read_text(encoding="utf-8"))
    ]


def different(program: str) -> list[list[str]]:
    """Return the options of the documented commands of a program, of equal ones the first.

    Where a command writes, and the environment that it evaluates in, make no difference.
    """
    found: dict[frozenset[str], list[str]] = {}
    for _, (word, *options) in documented():
        if word == program:
            told = {re.sub("DATASET", "<dataset>", option) for option in options}
            ours = ("--output_dir", "--env.", "--eval.", "--seed")
            found.setdefault(frozenset(one for one in told if not one.startswith(ours)), options)
    return list(found.values())


def has(option: str, options: list[str]) -> bool:
    """Whether some options have this one."""
    return any(one.startswith(f"{option}=") for one in options)


class Toy(NamedTuple):
    """What stands for the placeholders of the documents, and what was trained already."""

    places: dict[str, str]
    vlm: Path
    dataset: Path
    out: Path
    trained: dict[tuple[str, ...], Path]

    def filled(self, options: list[str]) -> list[str]:
        """Return options without placeholders."""
        for place, value in self.places.items():
            options = [option.replace(place, value) for option in options]
        assert not [option for option in options if re.search(r"[<>…]", option)]
        return options

    def train(self, options: list[str]) -> Path:
        """Train a step with documented options, and return the checkpoint: a normal one."""
        key = tuple(options)
        if key not in self.trained:
            out = self.out / f"run-{len(self.trained)}"
            is_new = not has("--policy.path", options) and not has(TEACHER, options)
            small = [
                f"--policy.vlm_model_name={self.vlm}", "--policy.load_vlm_weights=true",
                "--policy.num_vlm_layers=4", "--policy.resize_imgs_with_padding=[64,64]",
            ] * is_new  # fmt: skip
            rest = train_arguments(self.dataset, out, steps=1)
            lerobot_train(*self.filled(options), *small, *rest)
            self.trained[key] = out / "checkpoints/last/pretrained_model"
        assert api.read(self.trained[key]).value("config.json")["type"] == "smolvla"
        return self.trained[key]


@pytest.fixture(scope="module")
def toy(
    tiny_vlm: Path,
    dataset_root: Path,
    teacher_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Toy:
    """A tiny teacher and 40 frames, and the student of docs/training.md at the place of its run."""
    out = tmp_path_factory.mktemp("documented")
    teacher, dataset, pairs = str(teacher_folder), "local/tiny", str(out / "pairs")
    places = {"<teacher>": teacher, "lerobot/smolvla_base": teacher, "<pairs>": pairs}
    places |= {"<dataset>": dataset, "DATASET": dataset, "<out>": str(out / "evaluation")}
    return Toy(places | {"<run>": str(out / "run")}, tiny_vlm, dataset_root, out, {})


def test_every_document_shows_a_command() -> None:
    assert {name for name, _ in documented()} == {TRAINING, FEW_STEPS, PLUGIN, SCRIPT}
    programs = {words[0] for _, words in documented()}
    assert programs == {"lerobot-train", "lerobot-eval", "lerobot-reflow-pairs"}


@pytest.mark.parametrize("options", different("lerobot-train"), ids=" ".join)
def test_a_documented_training_runs(options: list[str], toy: Toy) -> None:
    if "--help" in options:
        assert TEACHER in lerobot_train(*options).stdout
        return
    if has("--policy.pairs_path", options):
        (pairs,) = different("lerobot-reflow-pairs")
        small = (f"--dataset-root={toy.dataset}", "--device=cpu", "--batch-size=8")
        command = "lerobot_policy_smolvla_reflow.pairs_command"
        python("-m", command, *toy.filled(pairs), *small)
    toy.train(options)


@pytest.mark.parametrize("options", different("lerobot-eval"), ids=" ".join)
def test_a_documented_evaluation_runs(options: list[str], toy: Toy, tmp_path: Path) -> None:
    """In an environment without a simulator: of LeRobot's own, only the options are read."""
    student = next(one for one in different("lerobot-train") if has("--policy.num_steps", one))
    run = Path(toy.places["<run>"])
    if not run.exists():
        run.symlink_to(toy.train(student).parents[2])
    others = [one for one in toy.filled(options) if not one.startswith("--policy.")]
    assert draccus.parse(EvalPipelineConfig, args=others).eval.n_episodes > 1
    small = (
        "--env.type=toy_world", "--env.discover_packages_path=toy_world", "--policy.device=cpu",
        "--eval.n_episodes=1", "--eval.batch_size=1", f"--output_dir={tmp_path}",
    )  # fmt: skip
    own = [one for one in toy.filled(options) if not one.startswith("--env.")]
    python(WITH_TOY_WORLD, "lerobot.scripts.lerobot_eval", *own, *small)
    assert (tmp_path / "eval_info.json").is_file()


def test_the_example_script_trains_with_stock_lerobot(toy: Toy, tmp_path: Path) -> None:
    """The script runs with stand-ins; its training runs as it called it."""
    for name in ("lerobot-train", "ckpt"):
        stub = tmp_path / name
        stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/$(basename "$0").words"\n')
        stub.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = [ROOT / SCRIPT, toy.places["<teacher>"], "local/tiny", tmp_path / "run"]
    subprocess.run(script, env=environment, check=True, capture_output=True)
    toy.train((tmp_path / "lerobot-train.words").read_text(encoding="utf-8").splitlines())
