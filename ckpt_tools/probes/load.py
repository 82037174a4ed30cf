"""Really loads a policy, strictly, compares what was loaded with the file, and acts once.

A loader's return proves nothing: that of pi0 catches every error and returns random weights. So
every tensor of the policy is compared with the file afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import torch
from lerobot.policies import factory
from safetensors import safe_open

from ckpt_tools.probes import guard
from ckpt_tools.probes.building import replaced, without_memory
from ckpt_tools.probes.guard import RefusedError
from ckpt_tools.probes.lerobot_policies import (
    as_loaded,
    config_of,
    models_without_weights,
    policy_class,
    prepare,
)
from ckpt_tools.probes.state import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WEIGHTS, ADAPTER = "model.safetensors", "adapter_model.safetensors"
TASK = "pick up the cube"


class _UnusableError(Exception):
    """The policy does not load; the message is a sentence without its subject."""


def problems(folder: str) -> list[str]:
    """Return what keeps the checkpoint in `folder` from loading or acting; empty when it acts.

    Raises what shows that something else is not on this machine: see `guard.missing_in`.
    """
    try:
        policy = _loaded(folder)
    except _UnusableError as error:
        return [f"does not load: {error}"]
    try:
        action = _act(policy, folder)
    except Exception as error:
        _raise_if_missing(error)
        return [f"loads, but cannot act: {one_line(error)}"]
    return list(_faults(policy, action))


def one_line(error: BaseException) -> str:
    """Return the type of an exception and its message on one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:400]}" if said else type(error).__name__


def _raise_if_missing(error: Exception) -> None:
    """Raise an error that says nothing about the checkpoint."""
    is_about_other = guard.missing_in(error) or guard.refusal_in(error)
    if is_about_other or isinstance(error, ImportError):
        raise error


def _loaded(folder: str) -> Any:
    """Return the policy with the weights in `folder`. Raises _UnusableError."""
    try:
        config = config_of(folder)
    except RefusedError as error:
        raise _UnusableError(str(error)) from error
    loads_vlm = prepare(config)
    is_adapter = (Path(folder) / ADAPTER).is_file() and not (Path(folder) / WEIGHTS).is_file()
    hidden: list[BaseException] = []
    try:
        with (
            models_without_weights(tokenizers=True),
            replaced(torch.nn.Module, "load_state_dict", _noting(hidden)),
        ):
            policy = _with_adapter(config, folder) if is_adapter else _plain(config, folder)
    except _UnusableError:
        raise
    except Exception as error:
        _raise_if_missing(error)
        raise _UnusableError(one_line(error)) from error
    if hidden:
        raise _UnusableError(f"its loader hides {one_line(hidden[0])}")
    if not is_adapter:
        _compare(policy, Path(folder) / WEIGHTS)
        if loads_vlm:
            as_loaded(policy)
    return policy.eval()


def _plain(config: Any, folder: str) -> Any:
    kind = policy_class(config)
    _check_names(kind, config, folder)
    return kind.from_pretrained(folder, config=config, strict=True)


def _check_names(kind: Any, config: Any, folder: str) -> None:
    """Refuse shapes that do not fit before any weight has memory. Raises _UnusableError.

    Names are the loader's matter, which may know others.
    """
    device, config.device = config.device, "meta"
    try:
        expected = state_of(without_memory(lambda: kind(config)))
    except (RuntimeError, NotImplementedError):  # a model that cannot be built without memory
        return
    finally:
        config.device = device
    with _open(Path(folder) / WEIGHTS) as file:
        for name in file.keys():  # noqa: SIM118 - not a dictionary
            shape = file.get_slice(name).get_shape()
            if name in expected and list(expected[name].shape) != shape:
                raise _UnusableError(
                    f"size mismatch for {name}: {shape} in the file, but config.json gives "
                    f"{list(expected[name].shape)}"
                )


def _with_adapter(config: Any, folder: str) -> Any:
    """Return the base policy with the adapter, as LeRobot's factory loads it."""
    import peft  # noqa: PLC0415 - only for adapters

    settings = peft.PeftConfig.from_pretrained(folder)
    base = settings.base_model_name_or_path
    if not base:
        raise _UnusableError("adapter_config.json names no base model")
    where = _local(base)
    policy = _plain(config, where)
    _compare(policy, Path(where) / WEIGHTS)
    wrapped = peft.PeftModel.from_pretrained(policy, folder, config=settings)
    held = peft.get_peft_model_state_dict(wrapped)
    _compare_states(held, Path(folder) / ADAPTER, strict=True)
    return wrapped


def _local(name: str) -> str:
    """Return the folder of a model that a config names. Raises what says that there is none."""
    if Path(name).is_dir():
        return name
    return str(Path(huggingface_hub.hf_hub_download(repo_id=name, filename=WEIGHTS)).parent)


def _noting(hidden: list[BaseException]) -> Any:
    """Return `load_state_dict`, which notes an error that its caller may hide."""
    original = torch.nn.Module.load_state_dict

    def load_state_dict(model: torch.nn.Module, *positional: Any, **options: Any) -> Any:
        try:
            return original(model, *positional, **options)
        except Exception as error:
            hidden.append(error)
            raise

    return load_state_dict


def _open(path: Path) -> Any:
    return safe_open(path, framework="pt", device="cpu")


def _compare(policy: torch.nn.Module, path: Path) -> None:
    """Compare the loaded tensors with the file's. Raises _UnusableError."""
    _compare_states(state_of(policy), path, strict=False)


def _compare_states(state: Mapping[str, torch.Tensor], path: Path, *, strict: bool) -> None:
    """Raise _UnusableError for a tensor that is not one of the file's.

    A loader may have found it under another name, or transposed; tied names have one tensor.
    """
    with _open(path) as file:
        names = set(file.keys())
        there = {
            id(tensor)
            for name, tensor in state.items()
            if name in names and _same(tensor, file.get_tensor(name))
        }
        unlike = {name: one for name, one in state.items() if id(one) not in there}
        if unlike:
            others: defaultdict[int, list[str]] = defaultdict(list)
            for name in names:
                others[_size(file.get_slice(name).get_shape())].append(name)
            unlike = {
                name: one
                for name, one in unlike.items()
                if not any(
                    _same(one, file.get_tensor(other)) or _same(one, file.get_tensor(other).T)
                    for other in others[one.numel()]
                )
            }
    wrong = sorted(name for name in unlike if name in names)
    absent = sorted(name for name in unlike if name not in names)
    if absent:
        raise _UnusableError(
            f"{len(absent)} of {len(state)} tensors are not in the file, such as {absent[0]}"
        )
    if wrong:
        raise _UnusableError(
            f"{len(wrong)} of {len(state)} tensors are not what the file has, such as {wrong[0]}"
        )
    if strict and names - state.keys():
        raise _UnusableError(f"nothing reads {min(names - state.keys())} of the file")


def _size(shape: list[int]) -> int:
    return torch.Size(shape).numel()


def _same(loaded: torch.Tensor, stored: torch.Tensor) -> bool:
    """Whether a tensor has the stored values, in its own dtype."""
    if loaded.shape != stored.shape:
        return loaded.ndim == 0 and stored.numel() == 1 and _same(loaded.reshape(1), stored)
    cast = stored.to(loaded.dtype)
    return torch.equal(cast, loaded.detach()) or bool(
        ((cast == loaded.detach()) | (cast.isnan() & loaded.detach().isnan())).all()
    )


def _act(policy: Any, folder: str) -> torch.Tensor:
    """Return one action for gray images and zeros; the same at every call."""
    torch.manual_seed(0)
    config = policy.config
    config = getattr(policy, "base_model", policy).config if isinstance(config, dict) else config
    before, after = factory.make_pre_post_processors(
        config,
        pretrained_path=folder,
        preprocessor_overrides={"device_processor": {"device": "cpu"}},
        postprocessor_overrides={"device_processor": {"device": "cpu"}},
    )
    features = config.input_features or {}
    observation = {
        name: torch.full(tuple(feature.shape), 0.5 * (feature.type.name == "VISUAL"))
        for name, feature in features.items()
    }
    policy.reset()
    with torch.no_grad():
        action = after(policy.select_action(before({**observation, "task": TASK})))
    return torch.as_tensor(action)


def _faults(policy: Any, action: torch.Tensor) -> Iterator[str]:
    """Yield what is wrong with an action."""
    if not bool(torch.isfinite(action.float()).all()):
        yield "acts with NaN or infinity"
    feature = policy.config.action_feature
    if feature is not None and action.shape[-1] != feature.shape[0]:
        yield (
            f"its actions have {action.shape[-1]} dimensions, but its config says "
            f"{feature.shape[0]}"
        )
