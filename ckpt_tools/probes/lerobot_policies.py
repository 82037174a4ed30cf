"""LeRobot's policies and those of its plugins, by `type` of config.json."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lerobot
import safetensors.torch
import torch
from lerobot.policies import factory  # registers LeRobot's own
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.import_utils import register_third_party_plugins
from torch.nn.modules.module import _IncompatibleKeys

from ckpt_tools.probes import guard
from ckpt_tools.probes.building import refuse_remote_code, replaced, without_memory
from ckpt_tools.probes.guard import RefusedError
from ckpt_tools.probes.state import saved_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.probes.state import Held, Tensors

_PRETRAINED = {
    "pretrained_backbone_weights": None,
    "load_vlm_weights": False,
}
"""Settings that fetch weights, with the value that does not: the checkpoint has all weights."""

_AUTO = ("AutoTokenizer", "AutoProcessor", "AutoImageProcessor", "AutoVideoProcessor")


def tensors(folder: str, held: Held) -> Tensors:
    """Return what a policy with the config in `folder` saves.

    Of the names `held`, those that its own loader takes too.
    """
    config = config_of(folder)
    loads_vlm = _without_weights(config)
    config.device = "meta"
    kind = policy_class(config)
    with models_without_weights(tokenizers=False):
        policy = without_memory(lambda: kind(config))
        if loads_vlm:
            as_loaded(policy)
        found = saved_once(policy)
        if held and not found.tensors.keys() <= held.keys() <= found.tensors.keys():
            found = _with_names(found, kind, config, folder, held)
    return found


def _with_names(found: Tensors, kind: Any, config: Any, folder: str, held: Held) -> Tensors:
    """Return what is found, with what the policy's own loader does with other names."""
    given = {name: torch.empty(list(shape), device="meta") for name, shape in held.items()}
    taken = _taken(kind, config, folder, given)
    ties = {name: names[0] for names in found.ties for name in names}
    goals: dict[int, list[str]] = {}
    for name, tensor in taken.items():
        goals.setdefault(id(tensor), []).append(ties.get(name, name))
    reads = {
        name: [one for one in goals.get(id(tensor), ()) if one in found.tensors]
        for name, tensor in given.items()
        if taken and name not in found.tensors and name not in taken
    }
    meant = {one for names in reads.values() for one in names}
    spared = (found.tensors.keys() & taken.keys()) - held.keys() - meant
    return found._replace(reads=reads, spared=tuple(spared))


def _taken(
    kind: Any, config: Any, folder: str, given: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the state that a loader of the policy's own makes of a file's; empty if it has none.

    The loader runs as it is, but for reading the file, and for filling the model.
    """
    if kind.from_pretrained.__func__ is PreTrainedPolicy.from_pretrained.__func__:
        return {}
    taken: dict[str, torch.Tensor] = {}

    def fill(_model: object, state: dict[str, torch.Tensor], *_: object, **__: object) -> Any:
        taken.update(state)
        return _IncompatibleKeys([], [])

    (Path(folder) / "model.safetensors").touch()
    with (
        suppress(Exception),  # a loader that needs more than this tells nothing
        replaced(safetensors.torch, "load_file", lambda *_, **__: dict(given)),
        replaced(torch.nn.Module, "load_state_dict", fill),
    ):
        without_memory(lambda: kind.from_pretrained(folder, config=config))
    return taken


def config_of(folder: str) -> Any:
    """Return the config in `folder`. Raises RefusedError where LeRobot does not take it."""
    register_third_party_plugins()
    version = lerobot.__version__
    kind = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("type")
    if kind not in factory.PreTrainedConfig.get_known_choices():
        raise RefusedError(f"LeRobot {version} and its plugins have no policy of type {kind!r}")
    try:
        return factory.PreTrainedConfig.from_pretrained(folder)
    except ImportError:
        raise
    except Exception as error:
        if guard.missing_in(error):
            raise
        cause = error.__cause__ or error.__context__
        reason = f"{error} ({cause})" if cause else str(error)
        raise RefusedError(f"LeRobot {version} rejects config.json: {reason}") from error


def policy_class(config: Any) -> Any:
    """Return the class of the policy with this config."""
    return factory.get_policy_class(config.type)


def _without_weights(config: Any) -> bool:
    """Make the policy fetch no weights; return whether its VLM would have been loaded."""
    loads_vlm = bool(getattr(config, "load_vlm_weights", False))
    for name, value in _PRETRAINED.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return loads_vlm


def prepare(config: Any) -> bool:
    """Make the policy run eagerly on the CPU, and fetch no weights; return as above."""
    config.device = "cpu"
    for name in ("compile_model", "gradient_checkpointing"):
        if getattr(config, name, False) and config.type != "diffusion":  # its names depend on it
            setattr(config, name, False)
    return _without_weights(config)


def as_loaded(policy: torch.nn.Module) -> None:
    """Give SmolVLA's VLM the dtype that it has where it was loaded, and not built."""
    for name, parameter in policy.named_parameters():
        if ".vlm_with_expert.vlm." in name:
            parameter.data = parameter.data.to(torch.bfloat16)


@contextmanager
def models_without_weights(*, tokenizers: bool) -> Iterator[None]:
    """Build other models that a policy consists of from their configs, and fetch no weights.

    Without `tokenizers`, those that are not on this machine are replaced: names do not depend on
    them.
    """
    try:
        import transformers  # noqa: PLC0415 - LeRobot works without it
        from transformers.models.auto import auto_factory  # noqa: PLC0415 - as above
    except ImportError:
        yield
        return
    refuse_remote_code()
    auto: Any = auto_factory._BaseAutoModelClass
    changed: list[tuple[Any, Callable[[Any], Any]]]
    changed = [(transformers.PreTrainedModel, _built), (auto, _built_by_auto)]
    if not tokenizers:
        changed += [(getattr(transformers, name), _or_stand_in) for name in _AUTO]
    with ExitStack() as stack:
        for kind, make in changed:
            method: Any = classmethod(make(kind.__dict__["from_pretrained"]))
            stack.enter_context(replaced(kind, "from_pretrained", method))
        yield


def _built(_original: Any) -> Any:
    def from_pretrained(
        cls: Any, name: Any = None, *_: Any, config: Any = None, **options: Any
    ) -> Any:
        if not hasattr(config, "model_type"):
            config = cls.config_class.from_pretrained(name, **_place(options))
        return _result(cls._from_config(config, **_dtype(options)), options)

    return from_pretrained


def _built_by_auto(_original: Any) -> Any:
    def from_pretrained(
        cls: Any, name: Any = None, *_: Any, config: Any = None, **options: Any
    ) -> Any:
        if not hasattr(config, "model_type"):
            from transformers import AutoConfig  # noqa: PLC0415 - as above

            config = AutoConfig.from_pretrained(name, **_place(options))
        return _result(cls.from_config(config, **_dtype(options)), options)

    return from_pretrained


def _place(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("subfolder", "revision") if options.get(key)}


def _dtype(options: dict[str, Any]) -> dict[str, Any]:
    dtype = options.get("dtype", options.get("torch_dtype"))
    return {} if dtype in (None, "auto") else {"dtype": dtype}


def _result(model: Any, options: dict[str, Any]) -> Any:
    return (model, {}) if options.get("output_loading_info") else model


def _or_stand_in(original: Any) -> Any:
    def from_pretrained(cls: Any, name: Any = None, *rest: Any, **options: Any) -> Any:
        options.pop("trust_remote_code", None)
        try:
            return original.__get__(None, cls)(name, *rest, **options)
        except Exception as error:
            return _StandIn(str(name), error)

    return from_pretrained


class _StandIn:
    """Stands for a tokenizer that is not on this machine; its size is unknown."""

    def __init__(self, name: str, error: Exception) -> None:
        self._name, self._error = name, error

    def __len__(self) -> int:
        guard.missing[self._name] = self._error
        raise self._error

    def __getattr__(self, name: str) -> Any:
        if name in ("vocab_size", "get_vocab"):
            len(self)
        if name.startswith("__"):
            raise AttributeError(name)
        return 0 if name.endswith("_id") else self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __index__(self) -> int:
        return 0
