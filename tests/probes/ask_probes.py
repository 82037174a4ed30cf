"""Make tiny policies, and answer for each what the probes find: one process, for many answers.

    python ask_probes.py WORKSHOP

leaves in WORKSHOP what make_policies.py makes, changed copies below `bad/`, and `answers.json`:
`names`, by policy how what the library would write differs from its file; `loads`, by checkpoint
the problems of loading it and acting; `missing`, what is not on this machine for the others.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ckpt_tools.probes import guard

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable

    type Change = Callable[[dict[str, Any]], object]

NAN = float("nan")
WEIGHT = "model.encoder.layers.0.linear1.weight"


def retyped(kind: str) -> Callable[[dict[str, Any]], None]:
    """Return what gives config.json another type."""
    return lambda config: config.update(type=kind)


def nothing(_: dict[str, Any]) -> None:
    """Change nothing."""


def renamed(tensors: dict[str, Any]) -> None:
    """Give a tensor another name, as of a release with other modules."""
    tensors[f"old.{WEIGHT}"] = tensors.pop(WEIGHT)


BAD: dict[str, tuple[str, Change, Change]] = {
    "a tensor missing": ("act", lambda held: held.pop(WEIGHT), nothing),
    "a tensor more": ("act", lambda held: held.update(more=held[WEIGHT].clone()), nothing),
    "another shape": ("act", lambda held: held.update({WEIGHT: held[WEIGHT][1:].clone()}), nothing),
    "an absurd width": ("act", nothing, lambda config: config.update(dim_model=1 << 40)),
    "an action of NaN": ("act", lambda held: held["model.action_head.bias"].fill_(NAN), nothing),
    "hiding, intact": ("act", nothing, retyped("hiding")),
    "hiding, a tensor missing": ("act", lambda held: held.pop(WEIGHT), retyped("hiding")),
    "hiding, a tensor renamed": ("act", renamed, retyped("hiding")),
    "forgetful": ("act", nothing, retyped("forgetful")),
    "no such type": ("act", nothing, retyped("acme")),
    "a base that is not here": (
        "multi_task_dit", nothing,
        lambda config: config.update(vision_encoder_name="example/other-clip"),
    ),
}  # fmt: skip


def changed(workshop: Path, name: str) -> Path:
    """Return a changed copy of a policy."""
    files = importlib.import_module("safetensors.torch")
    kind, weights, config = BAD[name]
    folder = workshop / "bad" / name
    shutil.copytree(workshop / kind, folder)
    held = files.load_file(folder / "model.safetensors")
    weights(held)
    files.save_file(held, folder / "model.safetensors")
    value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config(value)
    (folder / "config.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def differences(folder: Path) -> dict[str, list[str]]:
    """Return how what LeRobot would write for a config differs from what it wrote."""
    probe = importlib.import_module("ckpt_tools.probes.lerobot_policies")
    state = importlib.import_module("ckpt_tools.probes.state")
    answer = state.answer(probe.tensors(str(folder), {}))["tensors"]
    with importlib.import_module("safetensors").safe_open(
        folder / "model.safetensors", framework="pt"
    ) as file:
        held = {
            name: [file.get_slice(name).get_dtype(), *file.get_slice(name).get_shape()]
            for name in file.keys()  # noqa: SIM118 - not a dictionary
        }
    return {
        "missing": sorted(answer.keys() - held.keys()),
        "more": sorted(held.keys() - answer.keys()),
        "unlike": sorted(
            name for name in answer.keys() & held.keys() if answer[name] != held[name]
        ),
    }


def main(workshop: Path) -> None:
    """Make and answer."""
    guard.isolate(most_memory=None)
    make = importlib.import_module("make_policies")
    load: Any = importlib.import_module("ckpt_tools.probes.load")
    importlib.import_module("torch").set_num_threads(1)
    make.make(workshop)
    answers: dict[str, dict[str, Any]] = {"names": {}, "loads": {}, "missing": {}}
    for kind in make.POLICIES:
        answers["names"][kind] = differences(workshop / kind)
    folders = {kind: workshop / kind for kind in (*make.POLICIES, "act-lora")}
    folders |= {name: changed(workshop, name) for name in BAD}
    for name, folder in folders.items():
        try:
            answers["loads"][name] = load.problems(str(folder))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answers["missing"][name] = guard.missing_in(error) or repr(error)
    load._compare = lambda *_: None  # the guard, broken
    answers["loads"]["forgetful, not compared"] = load.problems(str(folders["forgetful"]))
    (workshop / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
