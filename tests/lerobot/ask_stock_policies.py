"""Make checkpoints of stock policies with stock LeRobot, wrong ones of them, and ask it of each.

    python ask_stock_policies.py WORKSHOP

leaves in WORKSHOP: `good/TYPE` (act, diffusion, vqbet, tdmpc: tiny, with weights), `files/TYPE`
(config.json and processors of every other type that builds offline), `bad/NAME` for each of `BAD`,
`vlm/fresh` and `vlm/trained`, and `answers.json`: by the name of a bad one, at which stage LeRobot
fails (config, policy, processors, inference, "" for none), and how many actions a chunk has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
asked = importlib.import_module("ask_policy_rules")
tiny = importlib.import_module("tiny_policies")

if TYPE_CHECKING:
    from collections.abc import Callable

type Change = Callable[[Path], None]

CAMERA, STATE, DIMS, PIXELS = tiny.CAMERA, tiny.STATE, tiny.DIMS, tiny.PIXELS
SETTINGS: dict[str, dict[str, Any]] = dict(tiny.SETTINGS)
if importlib.util.find_spec("diffusers") is None:  # LeRobot's diffusion policy needs it
    del SETTINGS["diffusion"]
PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"


def shaped(*size: int) -> Change:
    """Give the action another shape in config.json."""
    return asked.document(
        "config.json", lambda value: value["output_features"]["action"].update(shape=list(size))
    )


def renamed(old: str, new: str) -> Change:
    """Rename an observation in the preprocessor."""
    step = "rename_observations_processor"
    return asked.step(PRE, step, lambda item: item["config"].update(rename_map={old: new}))


def with_buffers(folder: Path) -> None:
    """Keep the statistics among the weights, as LeRobot 0.3 did, and no processors."""
    held = asked.read_tensors(folder / "model.safetensors")
    for owner, feature in (
        ("normalize_inputs", "observation_state"),
        ("normalize_targets", "action"),
        ("unnormalize_outputs", "action"),
    ):
        for kind in ("mean", "std"):
            held[f"{owner}.buffer_{feature}.{kind}"] = asked.numbers(*(tiny.NUMBERS[kind],) * DIMS)
    held["normalize_inputs.buffer_observation_image.mean"] = asked.numbers(0.5, 0.5, 0.5)
    held["normalize_inputs.buffer_observation_image.std"] = asked.numbers(0.2, 0.2, 0.2)
    (folder / "model.safetensors").unlink()
    asked.write_tensors(folder / "model.safetensors", held)
    for path in folder.glob("policy_*"):
        path.unlink()


def without_statistics(kind: str) -> Change:
    """Remove a statistic of the state from the preprocessor's file."""

    def change(folder: Path) -> None:
        (path,) = folder.glob("policy_preprocessor_step_*")
        held = asked.read_tensors(path)
        asked.write_tensors(path, {key: held[key] for key in held if key != f"{STATE}.{kind}"})

    return change


BAD: dict[str, tuple[str, Change]] = {
    "untouched": ("act", lambda _: None),
    "no type": ("act", asked.config(type=...)),
    "type of LeRobot 0.5": ("act", asked.config(type="sac")),
    "type of nobody": ("act", asked.config(type="acme")),
    "field of nobody": ("act", asked.config(flavour="mild")),
    "action of another width": ("act", shaped(7)),
    "chunk of another size": ("act", asked.config(chunk_size=9)),
    "more actions than the chunk": ("act", asked.config(n_action_steps=9)),
    "ensembling several actions": ("act", asked.config(temporal_ensemble_coeff=0.01)),
    "more actions than the horizon": (
        "tdmpc",
        asked.config(n_action_steps=6, n_action_repeats=1),
    ),
    "more actions than are left": ("diffusion", asked.config(n_action_steps=8)),
    "no processors": ("act", asked.removed(PRE, POST)),
    "no min of the state": ("vqbet", without_statistics("min")),
    "no renaming": ("act", asked.without(PRE, "rename_observations_processor")),
    "no unnormalizer": ("act", asked.without(POST, "unnormalizer_processor")),
    "camera renamed away": ("act", renamed(CAMERA, "observation.images.top")),
    "camera nobody reads": ("act", renamed("observation.images.wrist", "observation.other")),
    "statistics among the weights": ("act", with_buffers),
}


def save(kind: str, folder: Path, settings: dict[str, Any], *, weights: bool) -> None:
    """Save a policy, or its JSON files alone, as stock LeRobot does."""
    torch = importlib.import_module("torch")
    factory = importlib.import_module("lerobot.policies.factory")
    config = tiny.config(kind, **settings)
    if weights:
        factory.get_policy_class(kind)(config).save_pretrained(folder)
    else:
        config.save_pretrained(folder)
        save_file = importlib.import_module("safetensors.torch").save_file
        save_file({"model.some.weight": torch.randn(4, 4)}, folder / "model.safetensors")
    tiny.save_processors(config, folder)


class Tokenizer:
    """Stands for every tokenizer, which would come from the Hub."""

    bos_token_id, eos_token_id, pad_token_id, vocab_size = 1, 2, 0, 100

    @classmethod
    def from_pretrained(cls, *_: object, **__: object) -> Tokenizer:
        """Return one."""
        return cls()

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: self


def behaviour(kind: str, folder: Path) -> dict[str, Any]:
    """Return what stock LeRobot does with a checkpoint."""
    torch = importlib.import_module("torch")
    own = importlib.import_module("lerobot.configs.policies").PreTrainedConfig
    factory = importlib.import_module("lerobot.policies.factory")
    stage = "config"
    try:
        config = own.from_pretrained(str(folder))
        stage = "policy"
        policy = factory.get_policy_class(kind).from_pretrained(str(folder), config=config)
        stage = "processors"
        overrides = {
            "device_processor": {"device": "cpu"},
            "rename_observations_processor": {
                "rename_map": _rename_map(folder),
            },
        }
        before, after = factory.make_pre_post_processors(
            config, pretrained_path=str(folder), preprocessor_overrides=overrides
        )
        stage = "inference"
        batch = before(
            {CAMERA: torch.full((1, 3, PIXELS, PIXELS), 0.5), STATE: torch.ones(1, DIMS)}
        )
        torch.manual_seed(1)
        action = after(policy.select_action(batch))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"stage": stage, "error": f"{type(error).__name__}: {str(error)[:200]}"}
    left = len(policy._queues["action"]) if kind == "diffusion" else None
    return {
        "stage": "", "left": left, "action": [str(round(one, 4)) for one in action[0].tolist()]
    }  # fmt: skip


def _rename_map(folder: Path) -> object:
    steps = json.loads((folder / PRE).read_text(encoding="utf-8"))["steps"]
    return next(
        (step["config"].get("rename_map", {}) for step in steps if "rename" in str(step)), {}
    )


def make_vlms(workshop: Path) -> None:
    """Save a tiny VLM as its config makes it, and the same after a few steps in BF16."""
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    save_file = importlib.import_module("safetensors.torch").save_file
    settings = importlib.import_module("tiny_vlm").CONFIG
    torch.manual_seed(0)
    vlm = transformers.SmolVLMForConditionalGeneration(transformers.SmolVLMConfig(**settings))
    vlm = vlm.to(torch.bfloat16)

    def keep(name: str) -> None:
        folder = workshop / "vlm" / name
        folder.mkdir(parents=True)
        held = {
            f"model.vlm_with_expert.vlm.{key}": value.clone()
            for key, value in vlm.state_dict().items()
        }
        save_file(held, folder / "model.safetensors")
        (folder / "config.json").write_text('{"type": "smolvla"}', encoding="utf-8")

    keep("fresh")
    optimizer = torch.optim.AdamW(vlm.parameters(), lr=1e-3)
    text, vision = vlm.model.text_model, vlm.model.vision_model
    for _ in range(40):
        tokens = torch.randint(10, 200, (4, 8))
        image = torch.randn(4, 3, 32, 32, dtype=torch.bfloat16)
        seen = vision(pixel_values=image).last_hidden_state.float().square().mean()
        logits = vlm.lm_head(text(input_ids=tokens).last_hidden_state).float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()) + seen
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    keep("trained")


def main(workshop: Path) -> None:
    """Make and ask."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    importlib.import_module("lerobot.policies")
    for kind, settings in SETTINGS.items():
        save(kind, workshop / "good" / kind, settings, weights=True)
    make_vlms(workshop)
    answers: dict[str, Any] = {}
    for name, (kind, change) in BAD.items():
        if kind not in SETTINGS:
            continue
        folder = asked.varied(workshop / "good" / kind, workshop / "bad" / name, change)
        answers[name] = behaviour(kind, folder)
    old = str(workshop / "bad" / "statistics among the weights")
    sys.argv = ["migrate", "--pretrained-path", old]
    with contextlib.suppress(ConnectionError):  # checking the model card, its last step, is online
        runpy.run_module("lerobot.processor.migrate_policy_normalization", run_name="__main__")
    answers["migrated"] = behaviour("act", Path(f"{old}_migrated"))
    for auto in (transformers.AutoTokenizer, transformers.AutoProcessor):
        auto.from_pretrained = Tokenizer.from_pretrained
    known = importlib.import_module("lerobot.configs.policies").PreTrainedConfig.get_known_choices()
    answers["types"], built = sorted(known), []
    answers["fields"] = {
        kind: sorted(field.name for field in dataclasses.fields(config) if field.init)
        for kind, config in known.items()
    }
    for kind in sorted(set(known) - set(SETTINGS) - {"smolvla", "smolvla_reflow"}):
        folder = workshop / "files" / kind
        folder.mkdir(parents=True)
        try:
            save(kind, folder, {}, weights=False)
        except Exception:  # noqa: BLE001 - it needs the Hub, or this robot does not suit it
            shutil.rmtree(folder)
        else:
            built.append(kind)
    answers["built"] = built
    (workshop / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
