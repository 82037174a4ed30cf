"""The saved checkpoint is a normal SmolVLA one, the same bytes in every mode, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.averaging import WeightAverage
from lerobot_policy_smolvla_reflow.errors import UncleanCheckpointError
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.teacher import VLM_PREFIX
from safetensors.torch import load_file
from torch import Tensor

from lerobot_policy_smolvla_reflow import ReflowError, verify_saved
from tests.core.support import make_batch, save_teacher, smolvla_config

MakeStudent = Callable[..., SmolVLAReflowPolicy]
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def trained(
    student: SmolVLAReflowPolicy, steps: int = 2, rate: float = 1e-3
) -> SmolVLAReflowPolicy:
    torch.manual_seed(0)
    optimizer = student.config.get_optimizer_preset().build(student.get_optim_params())
    assert isinstance(optimizer, torch.optim.Optimizer)
    for group in optimizer.param_groups:
        group["lr"] = rate
    student.train()
    for _ in range(steps):
        student.forward(make_batch())[0].backward()
        optimizer.step()
        optimizer.zero_grad()
        student.update()
    return student.eval()


def profile(folder: Path) -> dict[str, tuple[torch.dtype, torch.Size]]:
    return {
        name: (tensor.dtype, tensor.shape) for name, tensor in load_file(folder / WEIGHTS).items()
    }


def test_names_dtypes_shapes_and_config_keys_are_the_teachers(
    make_student: MakeStudent, teacher_folder: Path, tmp_path: Path
) -> None:
    trained(make_student()).save_pretrained(tmp_path)
    assert profile(tmp_path) == profile(teacher_folder)
    expected, saved = (
        json.loads((folder / CONFIG).read_text()) for folder in (teacher_folder, tmp_path)
    )
    assert list(saved) == list(expected)
    assert saved == expected
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, CONFIG}
    assert (tmp_path / WEIGHTS).stat().st_size == (teacher_folder / WEIGHTS).stat().st_size


def test_stock_lerobot_loads_it_strictly_and_acts_the_same(
    make_student: MakeStudent, tmp_path: Path
) -> None:
    student = trained(make_student())
    student.save_pretrained(tmp_path)
    stock = SmolVLAPolicy.from_pretrained(tmp_path, strict=True)
    noise = torch.randn(3, 10, 8)
    assert torch.equal(
        stock.predict_action_chunk(make_batch(), noise),
        student.predict_action_chunk(make_batch(), noise),
    )


def test_a_student_of_an_f32_vlm_acts_in_memory_as_it_will_when_loaded(
    tiny_vlm: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    teacher = save_teacher(tmp_path / "t", smolvla_config(tiny_vlm, load_vlm_weights=False))
    student = trained(make_student(teacher))
    student.save_pretrained(tmp_path / "s")
    assert profile(tmp_path / "s") == profile(teacher)
    stock, noise = SmolVLAPolicy.from_pretrained(tmp_path / "s", strict=True), torch.randn(3, 10, 8)
    assert torch.equal(
        stock.predict_action_chunk(make_batch(), noise),
        student.predict_action_chunk(make_batch(), noise),
    )


def test_sharing_the_vlm_saves_the_same_bytes(make_student: MakeStudent, tmp_path: Path) -> None:
    for share_vlm in (False, True):
        trained(make_student(share_vlm=share_vlm)).save_pretrained(tmp_path / str(share_vlm))
    for name in (WEIGHTS, CONFIG):
        assert (tmp_path / "True" / name).read_bytes() == (tmp_path / "False" / name).read_bytes()


def test_saving_twice_saves_the_same_bytes(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student()
    for _ in range(2):
        student.save_pretrained(tmp_path / "a")
    student.save_pretrained(tmp_path / "b")
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()


def test_weights_gathered_in_f32_are_saved_in_the_teachers_dtypes(
    make_student: MakeStudent, tmp_path: Path
) -> None:
    student = trained(make_student())
    student.save_pretrained(tmp_path / "plain")
    student.save_pretrained(
        tmp_path / "gathered",
        state_dict={name: tensor.float() for name, tensor in student.state_dict().items()},
    )
    assert (tmp_path / "plain" / WEIGHTS).read_bytes() == (
        tmp_path / "gathered" / WEIGHTS
    ).read_bytes()


def test_a_student_can_be_the_next_teacher(make_student: MakeStudent, tmp_path: Path) -> None:
    trained(make_student()).save_pretrained(tmp_path / "one")
    second = trained(make_student(tmp_path / "one"))
    second.save_pretrained(tmp_path / "two")
    assert profile(tmp_path / "two") == profile(tmp_path / "one")
    assert (tmp_path / "two" / WEIGHTS).read_bytes() != (tmp_path / "one" / WEIGHTS).read_bytes()


# --- nothing unclean is put in place --------------------------------------------------------------


def broken(student: SmolVLAReflowPolicy, how: str) -> dict[str, Tensor]:
    state = dict(student.state_dict())
    name = "model.state_proj.weight"
    match how:
        case "nan":
            state[name] = torch.full_like(state[name], float("nan"))
        case "missing":
            del state[name]
        case "extra":
            state["teacher.model.state_proj.weight"] = state[name].clone()
        case "vlm":
            state = {key: tensor for key, tensor in state.items() if not key.startswith(VLM_PREFIX)}
    return state


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            "nan",
            (
                "model.state_proj.weight holds NaN or infinity, so training has diverged; resume "
                "from "
                "an earlier checkpoint"
            ),
        ),
        ("missing", "missing tensor model.state_proj.weight"),
        ("extra", "unexpected tensor teacher.model.state_proj.weight"),
        ("vlm", "and [0-9]+ more"),
    ],
)
def test_an_unclean_state_is_not_saved(
    make_student: MakeStudent, tmp_path: Path, how: str, words: str
) -> None:
    student = make_student()
    student.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UncleanCheckpointError, match=words):
        student.save_pretrained(tmp_path, state_dict=broken(student, how))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_teacher_registered_by_mistake_is_caught(
    make_student: MakeStudent, tmp_path: Path
) -> None:
    student = make_student()
    assert student._teacher is not None
    student.teacher = student._teacher.policy
    with pytest.raises(UncleanCheckpointError, match=r"unexpected tensor teacher\."):
        student.save_pretrained(tmp_path)


def test_an_unclean_config_is_not_saved(
    make_student: MakeStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_student()
    monkeypatch.setattr(type(student.config), "saved_config", lambda self: self)
    with pytest.raises(
        UncleanCheckpointError,
        match=r"config.json has type 'smolvla_reflow'; config.json use_reflow: rejects.*; "
        r"config.json teacher_model_path: rejects",
    ):
        student.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_wrong_dtype_is_a_fault(make_student: MakeStudent, tmp_path: Path) -> None:
    student = make_student()
    student.save_pretrained(tmp_path)
    expected = {
        name: (torch.float32, tuple(tensor.shape)) for name, tensor in student.state_dict().items()
    }
    assert any(
        "is BF16" in fault and "instead of F32" in fault
        for fault in verify_saved.faults(tmp_path, expected)
    )


def test_files_are_readable_like_any_other(make_student: MakeStudent, tmp_path: Path) -> None:
    make_student().save_pretrained(tmp_path)
    (tmp_path / "plain").write_text("")
    assert (tmp_path / WEIGHTS).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_peft_is_refused(make_student: MakeStudent) -> None:
    with pytest.raises(ReflowError, match=r"`policy.use_peft`: .* remove --peft.\*"):
        make_student().wrap_with_peft(peft_cli_overrides={})


def test_the_model_card_is_smolvlas(
    make_student: MakeStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelCard, "validate", lambda self: None)  # the Hub does it, online
    card = make_student().generate_model_card("user/set", "smolvla_reflow", None, None)
    assert "reflow" not in str(card)
    assert card.data.to_dict()["base_model"] == "lerobot/smolvla_base"


# --- the weight average ---------------------------------------------------------------------------


def test_the_average_follows_its_formula() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.bfloat16))
    frozen = torch.nn.Parameter(torch.tensor([1.0]), requires_grad=False)
    average = WeightAverage([("w", parameter), ("frozen", frozen)], 0.9)
    for value in (2.0, 3.0):
        with torch.no_grad():
            parameter.fill_(value)
        average.update([("w", parameter), ("frozen", frozen)])
    assert average.weights.keys() == {"w"}
    torch.testing.assert_close(
        average.weights["w"], torch.tensor([0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 3])
    )


def test_the_average_is_what_is_saved_and_it_is_outside_the_module_tree(
    make_student: MakeStudent, teacher_folder: Path, tmp_path: Path
) -> None:
    student = trained(make_student(ema_decay=0.5), steps=3)
    student.save_pretrained(tmp_path)
    saved = load_file(tmp_path / WEIGHTS)
    assert profile(tmp_path) == profile(teacher_folder)
    assert student._average is not None
    for name, average in student._average.weights.items():
        assert torch.equal(saved[name], average.to(saved[name].dtype))
    assert any(
        not torch.equal(saved[name], tensor) for name, tensor in student.state_dict().items()
    )
