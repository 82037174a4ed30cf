"""Runs inside one release of transformers: saves models anew, or tries which spellings it reads.

A program of its own. Arguments: a JSON file with a list of jobs; it writes the answers beside it,
as NAME.answer.json. A job is {"do": "make" | "resave" | "read", ...}. Every value of a toy model is
drawn at random, so that a tensor is known by its bytes under any name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")

type Json = dict[str, Any]


def main(path: str) -> None:
    """Do the jobs of a file."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with open(path, encoding="utf-8") as file:
        jobs = json.load(file)
    answers = [_answer(job) for job in jobs]
    with open(f"{path}.answer.json", "w", encoding="utf-8") as file:
        json.dump({"version": transformers.__version__, "answers": answers}, file)


def _answer(job: Json) -> Json:
    try:
        done: Json = {"make": make, "resave": resave, "read": read}[job["do"]](job)
    except Exception as error:  # noqa: BLE001 - whatever an old release raises is the answer
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return done


def make(job: Json) -> Json:
    """Build a model with random weights, and save it in the folder `into`."""
    kind = getattr(transformers, job["architecture"])
    torch.manual_seed(0)
    model = kind(kind.config_class(**job["config"]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return _saved(model, job["into"]) | _pretrained(model, job["into"], "new")


def resave(job: Json) -> Json:
    """Load the model in `source`, and save it in the folder `into`; also as a new model's values.

    A release may give a model that it has loaded other names than one that it has built.
    """
    model, _ = _loaded(job)
    new = type(model)(model.config)
    new.load_state_dict(model.state_dict())
    new = new.to(torch.float32)
    return _saved(model, job["into"]) | _pretrained(new, job["into"], "new")


def _pretrained(model: Any, into: str, form: str) -> Json:
    """Save a model with save_pretrained, and return the digests by name."""
    folder = os.path.join(into, form)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    return {form: _digests(folder)}


def _saved(model: Any, into: str) -> Json:
    """Save a model with save_pretrained, and its state_dict, and return the digests by name."""
    found = _pretrained(model, into, "save_pretrained")
    folder = os.path.join(into, "state_dict")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    kept = {tensor.data_ptr(): name for name, tensor in reversed(model.state_dict().items())}
    state = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if kept[tensor.data_ptr()] == name
    }
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    model.config.save_pretrained(folder)  # some releases look for it although they are given one
    return found | {"state_dict": _digests(folder)}


def _digests(folder: str) -> dict[str, str]:
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    return {name: _digest(tensor) for name, tensor in sorted(tensors.items())}


def _digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.float().numpy().tobytes()).hexdigest()[:16]


def _loaded(job: Json) -> tuple[Any, Json]:
    kind = getattr(transformers, job["architecture"])
    config = kind.config_class.from_pretrained(job["config_from"])
    loaded: tuple[Any, Json] = kind.from_pretrained(
        job["source"], config=config, output_loading_info=True
    )
    return loaded


def read(job: Json) -> Json:
    """Load a file, and say whether every tensor came to its place with its values."""
    model, info = _loaded(job)
    whole = sum(float(one.detach().double().abs().sum()) for one in model.parameters())
    return {
        "missing": sorted(map(str, info["missing_keys"])),
        "unexpected": sorted(map(str, info["unexpected_keys"])),
        "mismatched": len(info["mismatched_keys"]),
        "sum": whole,
    }


if __name__ == "__main__":
    main(sys.argv[1])
