"""Save tiny models with their libraries, and ask what each library would write: one process.

    python ask_models.py WORKSHOP

leaves in WORKSHOP a folder for each of `MODELS`, and `answers.json`: `names`, by model how what its
library would write differs from its file, `ties`, and `refused`, the sentences for configs that
are not built.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from ckpt_tools.probes import guard

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "real")]

LIBRARIES = {
    **dict.fromkeys(("llama-tied", "mixtral", "bert", "paligemma", "smolvlm"), "transformers"),
    "dit": "diffusers",
    "timm-resnet": "timm",
}
LLAMA: dict[str, Any] = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
REFUSED: dict[str, dict[str, Any]] = {
    "remote code": {
        "model_type": "acme", "architectures": ["Acme"], "auto_map": {"AutoModel": "acme.Acme"},
    },
    "an unknown class": {"model_type": "acme", "architectures": ["Acme"]},
    "an absurd width": LLAMA | {"hidden_size": 1 << 50, "num_attention_heads": 1},
    "absurdly many layers": LLAMA | {"num_hidden_layers": 1 << 40},
    "a width of text": LLAMA | {"hidden_size": "wide"},
}  # fmt: skip


def answer(library: str, folder: Path, held: dict[str, list[int]]) -> dict[str, Any]:
    """Return the probe's answer, as its command gives it."""
    probe = importlib.import_module("ckpt_tools.probes.__main__")
    request = {"do": "list", "library": library, "folder": str(folder), "held": held, "seconds": 20}
    found: dict[str, Any] = probe.answer(request)
    return found


def held_in(folder: Path) -> dict[str, list[Any]]:
    """Return dtype and shape of every tensor in a folder, by name."""
    safe_open = importlib.import_module("safetensors").safe_open
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dictionary
                part = file.get_slice(name)
                found[name] = [part.get_dtype(), *part.get_shape()]
    return found


def main(workshop: Path) -> None:
    """Save and ask."""
    guard.isolate(most_memory=guard.MOST_MEMORY)
    saved = importlib.import_module("save_models")
    answers: dict[str, dict[str, Any]] = {"names": {}, "ties": {}, "refused": {}}
    for name, library in LIBRARIES.items():
        saved.MODELS[name](workshop / name)
        found, held = answer(library, workshop / name, {}), held_in(workshop / name)
        answers["names"][name] = [
            found["tensors"] == held,
            sorted(found["tensors"].keys() ^ held.keys()),
        ]
        answers["ties"][name] = found["ties"]
    older = {"decoder.weight": [96, 32], "embeddings.position_ids": [1, 512], "nothing": [1]}
    answers["reads"] = answer("transformers", workshop / "bert", older)["reads"]
    for name, config in REFUSED.items():
        folder = workshop / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        answers["refused"][name] = answer("transformers", folder, {}).get("refused")
    (workshop / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
