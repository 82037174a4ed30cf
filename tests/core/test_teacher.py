"""The teacher: loaded once, frozen, outside the module tree; a message for each unusable one."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.loading import all_finite, load_policy
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from lerobot_policy_smolvla_reflow.teacher import VLM_PREFIX
from safetensors.torch import load_file, save_file
from torch import Tensor

from lerobot_policy_smolvla_reflow import ReflowError
from tests.core.support import make_batch, save_teacher, smolvla_config, vlm_folder

MakeStudent = Callable[..., SmolVLAReflowPolicy]


def rewritten(teacher: Path, out: Path, change: Callable[[dict[str, Tensor]], None]) -> Path:
    shutil.copytree(teacher, out)
    tensors = load_file(out / "model.safetensors")
    change(tensors)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    return out


def test_teacher_and_stock_policy_are_equal_in_weights_dtypes_and_actions(
    teacher_folder: Path,
) -> None:
    stock, loaded = (
        SmolVLAPolicy.from_pretrained(teacher_folder),
        load_policy(str(teacher_folder))[0],
    )
    expected = stock.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == expected[name].dtype, name
        assert torch.equal(tensor, expected[name]), name
    noise = torch.randn(3, 10, 8)
    assert torch.equal(
        loaded.predict_action_chunk(make_batch(), noise),
        stock.predict_action_chunk(make_batch(), noise),
    )


def test_a_teacher_built_without_vlm_weights_runs_in_the_dtypes_it_was_trained_in(
    tiny_vlm: Path, tmp_path: Path
) -> None:
    folder = save_teacher(tmp_path / "t", smolvla_config(tiny_vlm, load_vlm_weights=False))
    stock, loaded = SmolVLAPolicy.from_pretrained(folder), load_policy(str(folder))[0]
    assert {name: tensor.dtype for name, tensor in loaded.state_dict().items()} == {
        name: tensor.dtype for name, tensor in stock.state_dict().items()
    }


def test_the_student_starts_with_the_teachers_weights_in_storage_of_its_own(
    make_student: MakeStudent,
) -> None:
    student = make_student()
    assert student._teacher is not None
    teacher = student._teacher.policy.state_dict()
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, teacher[name]), name
        assert tensor.data_ptr() != teacher[name].data_ptr(), name


def test_sharing_the_vlm_shares_its_storage_and_nothing_else(make_student: MakeStudent) -> None:
    student = make_student(share_vlm=True)
    assert student._teacher is not None
    teacher = student._teacher.policy.state_dict()
    for name, tensor in student.state_dict().items():
        assert (tensor.data_ptr() == teacher[name].data_ptr()) == name.startswith(VLM_PREFIX), name


def test_only_the_teachers_vlm_weights_are_read(
    teacher_folder: Path,
    tiny_vlm: Path,
    tmp_path: Path,
    make_student: MakeStudent,
    capfd: pytest.CaptureFixture[str],
) -> None:
    bare = tmp_path / "vlm"
    shutil.copytree(tiny_vlm, bare)
    (bare / "model.safetensors").unlink()
    make_student(vlm_model_name=str(bare))
    assert "Loading" not in capfd.readouterr().out


def test_creating_a_student_does_not_use_the_random_generator(make_student: MakeStudent) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    make_student()
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("share_vlm", [False, True])
def test_the_teacher_is_outside_the_module_tree(
    make_student: MakeStudent, teacher_folder: Path, share_vlm: bool
) -> None:
    student = make_student(share_vlm=share_vlm)
    assert student.state_dict().keys() == load_file(teacher_folder / "model.safetensors").keys()
    owned = {id(parameter) for parameter in student.parameters()}
    assert student._teacher is not None
    outside = [
        parameter
        for name, parameter in student._teacher.policy.named_parameters()
        if not (share_vlm and name.startswith(VLM_PREFIX))
    ]
    assert outside
    assert not any(id(parameter) in owned for parameter in outside)
    assert not any("teacher" in name for name, _ in student.named_modules())


def test_the_teacher_is_frozen_and_stays_in_eval_mode(make_student: MakeStudent) -> None:
    student = make_student()
    student.train()
    assert student._teacher is not None
    assert not any(parameter.requires_grad for parameter in student._teacher.policy.parameters())
    assert not any(module.training for module in student._teacher.policy.modules())
    assert any(module.training for module in student.modules())


def test_training_does_not_change_the_teacher_or_the_vlm(
    make_student: MakeStudent, batch: dict[str, Tensor]
) -> None:
    student = make_student()
    assert student._teacher is not None
    before = {name: tensor.clone() for name, tensor in student._teacher.policy.state_dict().items()}
    optimizer = torch.optim.SGD(student.get_optim_params(), lr=0.1)
    student.forward(batch)[0].backward()
    optimizer.step()
    moved = {
        name
        for name, tensor in student.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    assert moved
    assert not any(name.startswith(VLM_PREFIX) for name in moved)
    assert all(
        torch.equal(tensor, before[name])
        for name, tensor in student._teacher.policy.state_dict().items()
    )


def test_the_teacher_follows_its_student(make_student: MakeStudent) -> None:
    student = make_student().to(torch.float64)
    assert student._teacher is not None
    assert {parameter.dtype for parameter in student._teacher.policy.parameters()} == {
        torch.float64
    }
    student.to("meta")
    assert {parameter.device.type for parameter in student._teacher.policy.parameters()} == {"meta"}


def test_copying_a_student_does_not_copy_its_teacher(make_student: MakeStudent) -> None:
    student = make_student()
    copied = copy.deepcopy(student)
    assert copied._teacher is student._teacher
    assert copied.model.state_proj.weight.data_ptr() != student.model.state_proj.weight.data_ptr()


def test_the_stored_dtypes_are_known(teacher_folder: Path) -> None:
    stored = {
        name: tensor.dtype
        for name, tensor in load_file(teacher_folder / "model.safetensors").items()
    }
    assert load_policy(str(teacher_folder))[1] == stored


# --- teachers that cannot be used -----------------------------------------------------------------


def test_a_teacher_inside_the_teacher_is_refused(
    teacher_folder: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    def add(tensors: dict[str, Tensor]) -> None:
        tensors.update(
            {f"teacher.{name}": tensor.clone() for name, tensor in list(tensors.items())[:3]}
        )

    with pytest.raises(
        ReflowError,
        match=r"`policy.teacher_model_path`: .* has 3 unexpected tensors.*another teacher",
    ):
        make_student(rewritten(teacher_folder, tmp_path / "t", add))


def test_a_teacher_without_its_vlm_is_refused(
    teacher_folder: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    def drop(tensors: dict[str, Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(VLM_PREFIX)]:
            del tensors[name]

    with pytest.raises(
        ReflowError,
        match=r"`policy.teacher_model_path`: .* is missing \d+ of \d+ tensors, such as "
        r"model.vlm_with_expert.vlm.* pass a complete checkpoint",
    ):
        make_student(rewritten(teacher_folder, tmp_path / "t", drop))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_value_anywhere_is_found(dtype: torch.dtype, bad: float) -> None:
    tensor = torch.zeros(37, 5, dtype=dtype)
    assert all_finite(tensor)
    assert all_finite(torch.empty(0, dtype=dtype))
    for place in (0, 100, 184):
        spoiled = tensor.clone()
        spoiled.view(-1)[place] = bad
        assert not all_finite(spoiled)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_teacher_with_nan_weights_is_refused(
    teacher_folder: Path, tmp_path: Path, make_student: MakeStudent, bad: float
) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        tensors["model.state_proj.weight"][0, 0] = bad

    with pytest.raises(
        ReflowError,
        match=r"NaN or infinity in model.state_proj.weight; pass a checkpoint from before",
    ):
        make_student(rewritten(teacher_folder, tmp_path / "t", spoil))


def test_a_teacher_on_another_vlm_is_refused(
    teacher_folder: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    vlm_folder.TEXT["other"] = vlm_folder.TEXT["tiny"] | {
        "hidden_size": 96,
        "num_attention_heads": 6,
    }
    for table in (vlm_folder.VISION, vlm_folder.IMAGE_TOKEN_ID, vlm_folder.IMAGE_TOKENS):
        table["other"] = table["tiny"]
    other = vlm_folder.make_vlm_folder(tmp_path / "vlm", "other", weights=False)
    with pytest.raises(
        ReflowError,
        match=rf"`policy.vlm_model_name`: {other} .* pass the VLM the teacher was built on",
    ):
        make_student(vlm_model_name=str(other))


def test_a_vlm_that_cannot_be_found_is_named(make_student: MakeStudent) -> None:
    with pytest.raises(
        ReflowError,
        match=r"`policy.vlm_model_name`: the config, tokenizer and processor of /no/such/vlm "
        r"cannot be read .* pass --policy.vlm_model_name=",
    ):
        make_student(vlm_model_name="/no/such/vlm")


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"x" * 100])
def test_weights_that_are_no_safetensors_file_are_refused(
    teacher_folder: Path, tmp_path: Path, make_student: MakeStudent, content: bytes
) -> None:
    shutil.copytree(teacher_folder, tmp_path / "t")
    (tmp_path / "t/model.safetensors").write_bytes(content)
    with pytest.raises(
        ReflowError, match=r"is not a safetensors file .*; pass an intact checkpoint"
    ):
        make_student(tmp_path / "t")


def test_a_teacher_without_weights_is_refused(
    teacher_folder: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    shutil.copytree(teacher_folder, tmp_path / "t")
    (tmp_path / "t/model.safetensors").unlink()
    with pytest.raises(
        ReflowError, match=r"has no model.safetensors; pass the folder that save_pretrained wrote"
    ):
        make_student(tmp_path / "t")


def test_a_vlm_that_would_run_in_another_dtype_cannot_be_shared(
    tiny_vlm: Path, tmp_path: Path, make_student: MakeStudent
) -> None:
    folder = save_teacher(tmp_path / "t", smolvla_config(tiny_vlm, load_vlm_weights=False))
    with pytest.raises(ReflowError, match=r"`policy.share_vlm`: .* remove share_vlm"):
        make_student(folder, share_vlm=True)
    assert make_student(folder)._teacher is not None
