"""Faults of a student's checkpoint, in copies of the normal fixture, with all their causes."""

from __future__ import annotations

import json
import shutil
import struct
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from tests.support.cases import FIXTURES, NORMAL, both, config, edited, make, removed, tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.cases import Change

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
PRE_STATE, POST_STATE = (
    "policy_preprocessor_step_5_normalizer_processor.safetensors",
    "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
)


class Fault(NamedTuple):
    """A change, the causes that it has, and the start of the command that repairs it, or ""."""

    change: Change
    causes: frozenset[str]
    command: str


def fixture(name: str) -> Change:
    """The content of another fixture."""

    def change(folder: Path) -> None:
        shutil.rmtree(folder)
        shutil.copytree(FIXTURES / name, folder)

    return change


def statistics(update: Callable[[str, list[float]], list[float]], *files: str) -> Change:
    """Other numbers: `update` takes the name of a statistic and its numbers."""

    def change(folder: Path) -> None:
        for file in files:
            blobs = make.statistics()
            for name, blob in blobs.items():
                count = len(blob.data) // 4
                blobs[name] = blob._replace(
                    data=struct.pack(
                        f"<{count}f", *update(name, list(struct.unpack(f"<{count}f", blob.data)))
                    )
                )
            make.write_safetensors(folder / file, blobs, None)

    return change


def steps(
    file: str, update: Callable[[list[dict[str, object]]], list[dict[str, object]]]
) -> Change:
    """Other steps of a processor."""

    def change(folder: Path) -> None:
        document = json.loads((folder / file).read_text())
        edited(file, steps=update(document["steps"]))(folder)

    return change


def mode(wanted: str) -> Callable[[list[dict[str, object]]], list[dict[str, object]]]:
    """Steps that normalize in another way."""

    def update(listed: list[dict[str, object]]) -> list[dict[str, object]]:
        for step in listed:
            settings = step["config"]
            if isinstance(settings, dict) and "norm_map" in settings:
                settings["norm_map"] |= {"STATE": wanted, "ACTION": wanted}
        return listed

    return update


def _shifted(_name: str, numbers: list[float]) -> list[float]:
    return [number * 3 + 1 for number in numbers]


def _flat(name: str, numbers: list[float]) -> list[float]:
    return [0.0, *numbers[1:]] if name == "observation.state.std" else numbers


def _stored(dtype: Dtype) -> Change:
    """The head's weights in another dtype."""
    name = "model.action_out_proj.weight"

    def update(held: dict[str, Any]) -> dict[str, Any]:
        blob = held[name]
        return held | {
            name: blob._replace(
                dtype=dtype, data=bytes(range(1, 1 + prod(blob.shape))) * (dtype.bits // 8)
            )
        }

    return tensors(update)


def _cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])


def _trained_for_one_step(folder: Path) -> None:
    policy = {"type": "smolvla_reflow", "objective": "grid", "num_steps": 1}
    (folder / "train_config.json").write_text(json.dumps({"policy": policy}))


_MAPPING = {"VISUAL": "IDENTITY", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"}
_COPY, _SANITIZE, _CONFIG = "cp ", "ckpt sanitize ", "ckpt config "


def _fault(change: Change, causes: str, command: str) -> Fault:
    return Fault(change, frozenset(causes.split()), command)


FAULTS = {
    "VLM stored in F32": _fault(fixture("f32-vlm"), "stored-dtypes", _SANITIZE),
    "as the fork saves it": _fault(
        fixture("reflow"), "reflow-fields vlm-built-in-f32 teacher-inside stored-dtypes", _SANITIZE
    ),
    "VLM shared with the teacher": _fault(
        fixture("shared-vlm"), "reflow-fields weights-missing teacher-inside", _SANITIZE
    ),
    "shards": _fault(fixture("sharded"), "weights-not-found", _SANITIZE),
    "processors of LeRobot 0.3": _fault(fixture("lerobot-0.3"), "processors-broken", _COPY),
    "load_vlm_weights false": _fault(config(load_vlm_weights=False), "vlm-built-in-f32", _CONFIG),
    "load_vlm_weights absent": _fault(config(load_vlm_weights=...), "vlm-built-in-f32", _CONFIG),
    "load_vlm_weights a word": _fault(config(load_vlm_weights="maybe"), "config-refused", _CONFIG),
    "use_cache false": _fault(config(use_cache=False), "use-cache", _CONFIG),
    "more Euler steps": _fault(config(num_steps=50), "num-steps", _CONFIG),
    "a student for one step": _fault(_trained_for_one_step, "too-many-steps", _CONFIG),
    "no Euler step": _fault(config(num_steps=0), "config-refused", _CONFIG),
    "fewer actions of a chunk": _fault(config(n_action_steps=5), "action-steps", _CONFIG),
    "compiled": _fault(config(compile_model=True), "compile-model", _CONFIG),
    "on the CPU": _fault(config(device="cpu"), "device", _CONFIG),
    "larger pictures": _fault(
        config(resize_imgs_with_padding=[1024, 1024]), "more-to-compute", _CONFIG
    ),
    "longer chunks": _fault(config(chunk_size=100), "config-differs", _CONFIG),
    "another scale of time": _fault(config(min_period=0.1), "config-differs", _CONFIG),
    "an unknown field": _fault(config(flux_capacitor=1), "config-refused", _CONFIG),
    "the plugin's type": _fault(config(type="smolvla_reflow"), "config-refused", _SANITIZE),
    "statistics of another dataset": _fault(
        statistics(_shifted, PRE_STATE, POST_STATE), "other-statistics", _COPY
    ),
    "statistics of another dataset on the way out": _fault(
        statistics(_shifted, POST_STATE), "statistics-disagree", _COPY
    ),
    "a joint that never moved": _fault(
        statistics(_flat, PRE_STATE, POST_STATE), "statistics-broken", _COPY
    ),
    "no denormalisation": _fault(steps(POST, lambda listed: listed[1:]), "not-denormalised", _COPY),
    "another mode in the processors": _fault(
        both(steps(PRE, mode("MIN_MAX")), steps(POST, mode("MIN_MAX"))), "not-normalised", _COPY
    ),
    "another mode in config.json": _fault(
        config(normalization_mapping=_MAPPING), "config-differs", _CONFIG
    ),
    "another mode everywhere": _fault(
        both(
            config(normalization_mapping=_MAPPING),
            steps(PRE, mode("MIN_MAX")),
            steps(POST, mode("MIN_MAX")),
        ),
        "other-mode config-differs",
        _COPY,
    ),
    "no preprocessor": _fault(removed(PRE, PRE_STATE), "processors-broken", _COPY),
    "no statistics": _fault(removed(POST_STATE), "processors-broken", _COPY),
    "a tensor missing": _fault(
        tensors(lambda held: {name: held[name] for name in list(held)[1:]}), "weights-missing", ""
    ),
    "a head of fewer bits": _fault(_stored(Dtype.BF16), "weights-rounded", ""),
    "a head of integers": _fault(_stored(Dtype.I8), "weights-misread", ""),
    "a teacher inside": _fault(
        tensors(lambda held: held | make.under("teacher.", held)), "teacher-inside", _SANITIZE
    ),
    "a teacher under another name": _fault(
        tensors(lambda held: held | make.under("guide.", held)), "unexpected-tensors", ""
    ),
    "everything under a prefix": _fault(
        tensors(lambda held: make.under("policy.", held)), "weights-missing", ""
    ),
    "the type of another policy": _fault(config(type="act"), "config-refused", _CONFIG),
    "the type of another policy, and fields of training": _fault(
        config(type="act", use_reflow=True), "config-refused reflow-fields", _CONFIG
    ),
    "cut short": _fault(_cut, "unreadable", ""),
}


def broken(name: str, folder: Path) -> Path:
    """Copy the normal fixture and put a fault into it."""
    shutil.copytree(NORMAL, folder)
    FAULTS[name].change(folder)
    return folder
