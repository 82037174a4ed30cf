"""The steps of the example: what is made, from what, with which command."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from steps import Step  # type: ignore[import-not-found]  # beside this script
from stock import HERE, run  # type: ignore[import-not-found]  # beside this script
from tasks import REPO_ID, TASKS  # type: ignore[import-not-found]  # beside this script

BLIND, BLIND_TEACHER = "blind", "blind-teacher"
BATCH = 32
CHECKPOINT, LOG = "pretrained_model", "log.txt"
PAIRS = "--policy.pairs_path={out}/pairs"  # in place of teacher passes
TEACHER_POSITIVES = ("--policy.positives=teacher", PAIRS)
STUDENTS = {
    "grid": ("--policy.objective=grid", PAIRS),
    "reflow": ("--policy.objective=reflow", "--policy.endpoint_mass=0.75", PAIRS),
    "consistency": ("--policy.objective=consistency",),
    "drift": ("--policy.objective=drift", *TEACHER_POSITIVES),
    "snapflow": ("--policy.objective=snapflow",),
    "regression": ("--policy.objective=regression",),
    "imle": ("--policy.objective=imle", *TEACHER_POSITIVES),
    "flow": ("--policy.objective=flow", "--policy.endpoint_mass=0.75"),
}
TEACHER = (
    "--policy.type=smolvla", "--policy.load_vlm_weights=true", "--policy.num_vlm_layers=4",
    "--policy.tokenizer_max_length=8",  # the instruction is always the same
    "--policy.max_action_dim=4", "--policy.max_state_dim=4",
    "--policy.resize_imgs_with_padding=[64,64]", "--policy.train_expert_only=false",
    "--policy.freeze_vision_encoder=false", "--policy.optimizer_lr=2e-3",
    "--policy.scheduler_decay_lr=5e-5", "--policy.scheduler_warmup_steps=100",
)  # fmt: skip
STUDENT = (
    "--policy.type=smolvla_reflow", "--policy.optimizer_lr=1e-3",
    "--policy.scheduler_decay_lr=2e-5", "--policy.scheduler_warmup_steps=50",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much of everything. An interruption loses at most `save_every` steps of a training."""

    demonstrations: int
    teacher_steps: int
    student_steps: int
    draws: int
    chosen_on: int
    episodes: int
    seeds: tuple[int, ...]
    save_every: int = 200


FULL = Budget(
    demonstrations=100, teacher_steps=2000, student_steps=3000, draws=8, chosen_on=50,
    episodes=100, seeds=(0, 1, 2),
)  # fmt: skip
QUICK = Budget(
    demonstrations=12, teacher_steps=400, student_steps=200, draws=4, chosen_on=0, episodes=10,
    seeds=(0,),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is made for one task. Results are in the folder `out`, by these names.

    With `blind`, a teacher is trained on black images, too. Without `images`, nothing is rendered
    and every image is black.
    """

    out: Path
    task_name: str
    budget: Budget
    objectives: tuple[str, ...]
    blind: bool
    images: bool
    device: str
    vlm_folder: Path

    def checkpoint(self, name: str) -> Path:
        """The checkpoint of a result of training."""
        return self.out / name / CHECKPOINT

    def student(self, objective: str, seed: int) -> str:
        """The name of a student's result."""
        return f"students/{objective}-{seed}"

    def preparation(self) -> list[Step]:
        """Demonstrations, teacher and pairs."""
        return [
            Step("vlm", self._make_vlm),
            Step("demonstrations", partial(self._make_demonstrations, blank=not self.images)),
            Step(
                "teacher", partial(self._train_teacher, "demonstrations"), ("vlm", "demonstrations")
            ),
            Step("pairs", self._make_pairs, ("teacher",)),
        ]

    def blind_preparation(self) -> list[Step]:
        """A teacher that learns from the same demonstrations with black images."""
        name = "blank-demonstrations"
        return [
            Step(name, partial(self._make_demonstrations, blank=True)),
            Step(BLIND_TEACHER, partial(self._train_teacher, name), ("vlm", name)),
        ]

    def train(self, objective: str, seed: int) -> Step:
        """A student."""
        make = partial(self._train_student, objective, seed)
        reads = "pairs" if PAIRS in STUDENTS[objective] else "teacher"
        return Step(self.student(objective, seed), make, ("demonstrations", reads))

    def _make_vlm(self, work: Path) -> Path:
        result = work / "vlm"
        run(str(self.vlm_folder), (str(result), "--size=small"), work / LOG)
        return result

    def _make_demonstrations(self, work: Path, *, blank: bool) -> Path:
        result = work / "dataset"
        shutil.rmtree(result, ignore_errors=True)
        options = (f"--task={self.task_name}", f"--episodes={self.budget.demonstrations}")
        arguments = (str(result), *options, *(["--blank"] if blank else []))
        run(str(HERE / "make_demos.py"), arguments, work / LOG)
        return result

    def _make_pairs(self, work: Path) -> Path:
        result = work / "pairs"
        run(
            "lerobot_policy_smolvla_reflow.pairs_command",
            (
                f"--teacher={self.checkpoint('teacher')}", f"--out={result}",
                f"--dataset-repo-id={REPO_ID}", f"--dataset-root={self.out / 'demonstrations'}",
                f"--draws={self.budget.draws}", "--batch-size=64", f"--device={self.device}",
            ),
            work / LOG,
        )  # fmt: skip
        return result

    def _train_teacher(self, dataset: str, work: Path) -> Path:
        chunk = TASKS[self.task_name].chunk
        options = (
            *TEACHER, f"--policy.vlm_model_name={self.out / 'vlm'}",
            f"--policy.chunk_size={chunk}", f"--policy.n_action_steps={chunk}",
        )  # fmt: skip
        return self._train(work, dataset, self.budget.teacher_steps, 0, options)

    def _train_student(self, objective: str, seed: int, work: Path) -> Path:
        options = (
            *STUDENT, f"--policy.teacher_model_path={self.checkpoint('teacher')}",
            *(option.format(out=self.out) for option in STUDENTS[objective]),
        )  # fmt: skip
        return self._train(work, "demonstrations", self.budget.student_steps, seed, options)

    def _train(
        self, work: Path, dataset: str, steps: int, seed: int, options: tuple[str, ...]
    ) -> Path:
        """Train, from the last checkpoint of an interrupted run, and keep the checkpoint."""
        folder, result = work / "run", work / "result"
        last = folder / "checkpoints/last/pretrained_model"
        arguments: tuple[str, ...]
        if last.exists():
            _remove_unfinished_checkpoints(last.parent.resolve())
            arguments = ("--resume=true", f"--config_path={last}/train_config.json")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            arguments = (*self._of_every_training(folder, dataset, steps, seed), *options)
        run("lerobot.scripts.lerobot_train", arguments, work / LOG)
        shutil.rmtree(result, ignore_errors=True)
        result.mkdir()
        shutil.copytree(last, result / CHECKPOINT)
        shutil.copy(work / LOG, result / LOG)
        return result

    def _of_every_training(
        self, folder: Path, dataset: str, steps: int, seed: int
    ) -> tuple[str, ...]:
        return (
            f"--dataset.repo_id={REPO_ID}", f"--dataset.root={self.out / dataset}",
            f"--output_dir={folder}", f"--steps={steps}", f"--batch_size={BATCH}",
            f"--seed={seed}", f"--save_freq={self.budget.save_every}", "--log_freq=50",
            "--num_workers=0", "--wandb.enable=false", "--policy.push_to_hub=false",
            f"--policy.device={self.device}", f"--policy.scheduler_decay_steps={steps}",
        )  # fmt: skip


def _remove_unfinished_checkpoints(last: Path) -> None:
    """Remove checkpoints that are newer than the last complete one."""
    for folder in last.parent.iterdir():
        if not folder.is_symlink() and folder.name > last.name:
            shutil.rmtree(folder)
