"""Rules about shards, names, dtypes and shapes: each on a bad checkpoint and on near misses."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.rules.finding import Severity
from tests.support.cases import (
    FIXTURES,
    GOOD,
    NORMAL,
    Case,
    added,
    both,
    changed,
    config,
    hold,
    make,
    removed,
    tensors,
    untouched,
)
from tests.support.policies import BIAS, CODES, RULES, VLM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding
    from tests.support.cases import Change

EXPERT = "model.vlm_with_expert.lm_expert."
HEAD = f"{VLM}lm_head.weight"
EMBEDDING = f"{VLM}model.text_model.embed_tokens.weight"
QUERY = f"{EXPERT}layers.0.self_attn.q_proj.weight"
CROSS = f"{EXPERT}layers.1.self_attn.k_proj.weight"

type Blobs = dict[str, Any]


def findings(folder: Path, **options: Any) -> tuple[Finding, ...]:
    return api.verify(str(folder), rules=RULES, **options).findings


def of(code: str, folder: Path, **options: Any) -> list[Finding]:
    return [finding for finding in findings(folder, **options) if finding.code == code]


# --- changes of tensors ---------------------------------------------------------------------------


def moved(old: str, new: str) -> Callable[[Blobs], Blobs]:
    return lambda found: {new if name == old else name: blob for name, blob in found.items()}


def without(*prefixes: str) -> Callable[[Blobs], Blobs]:
    return lambda found: {
        name: blob for name, blob in found.items() if not name.startswith(prefixes)
    }


def more(**shapes: tuple[int, ...]) -> Callable[[Blobs], Blobs]:
    """Add tensors; double underscores in names are dots."""
    return lambda found: (
        found
        | {
            name.replace("__", "."): make.blob(name, Dtype.F32, shape)
            for name, shape in shapes.items()
        }
    )


def named(name: str) -> Callable[[Blobs], Blobs]:
    return lambda found: found | {name: make.blob(name, Dtype.F32, (2,))}


def shaped(name: str, *shape: int) -> Callable[[Blobs], Blobs]:
    return lambda found: found | {name: make.blob(name, found[name].dtype, shape)}


def typed(dtype: Dtype, *names: str) -> Callable[[Blobs], Blobs]:
    """Give tensors (all, where none is named) another dtype; the values do not matter here."""

    def change(found: Blobs) -> Blobs:
        return {
            name: blob
            if names and not name.startswith(names)
            else make.Blob(dtype, blob.shape, bytes(header.nbytes(dtype, blob.shape)))
            for name, blob in found.items()
        }

    return change


def f32_vlm(found: Blobs) -> Blobs:
    changed: Blobs = make.f32_vlm(found)
    return changed


def shards(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    for path in (FIXTURES / "sharded").glob("model*"):
        shutil.copy(path, folder)


def called(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / name)

    return change


def total_size(number: int | None) -> Change:
    """Claim another size in the index, or none."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        index["metadata"] = {} if number is None else {"total_size": number}
        path.write_text(json.dumps(index))

    return change


INDEX = json.dumps({"metadata": {}, "weight_map": {BIAS: "model-00001-of-00001.safetensors"}})
ALIASED = {HEAD: "ema.head"}
HEAD_ELSEWHERE = moved(HEAD, "ema.head")

CASES = (
    Case("CK208", shards, (untouched, added("notes.txt", "nothing"))),
    Case("CK208", called("policy.safetensors"), (removed("train_config.json"),)),
    Case(
        "CK209",
        added("model.safetensors.index.json", INDEX),
        (untouched, added("index.json", "{}")),
    ),
    Case(
        "CK210",
        both(shards, total_size(7)),
        (shards, both(shards, total_size(None))),
        frozenset({"CK208"}),
    ),
    Case(
        "CK301",
        tensors(more(model__teacher__weight=(2,))),
        (untouched, tensors(more(model__teacher_weight=(2,)))),
        frozenset({"CK306"}),
    ),
    Case(
        "CK301",
        tensors(more(_orig_mod__teacher__weight=(2,))),
        (tensors(more(teachers__weight=(2,))),),
        frozenset({"CK302", "CK306"}),
    ),
    Case(
        "CK302",
        tensors(moved(BIAS, "_orig_mod.model.state_proj.bias")),
        (tensors(more(model__modules__weight=(2,))), tensors(more(model__orig_mod__weight=(2,)))),
    ),
    Case(
        "CK303",
        tensors(named("model.state\u200b_proj.bias")),
        (tensors(named("model.state proj.bias")), tensors(named("模型.权重"))),
        frozenset({"CK306"}),
    ),
    Case("CK303", tensors(named(" model.state_proj.bias")), (untouched,), frozenset({"CK306"})),
    Case(
        "CK303",
        tensors(named("model.\u0430ction_in_proj.bias")),
        (untouched,),
        frozenset({"CK306"}),
    ),
    Case("CK303", tensors(named("model.bell\x07")), (untouched,), frozenset({"CK306"})),
    Case(
        "CK304",
        tensors(named("model.State_proj.bias")),
        (untouched, tensors(named("model.state_projs.bias"))),
        frozenset({"CK306"}),
    ),
    Case(
        "CK305",
        tensors(without(BIAS)),
        (untouched, tensors(lambda found: dict(reversed(found.items())))),
    ),
    Case("CK305", tensors(without(VLM)), (untouched,)),
    Case(
        "CK305",
        config(num_expert_layers=[16]),
        (config(num_expert_layers=16), config(num_expert_layers=0)),
        frozenset({"CK706"}),
    ),
    Case(
        "CK306",
        tensors(more(ema__weight=(2,))),
        (untouched, tensors(lambda found: found | make.buffers())),
    ),
    Case(
        "CK306", config(num_vlm_layers=8), (config(num_vlm_layers=16), config(num_vlm_layers=...))
    ),
    Case(
        "CK307", config(max_action_dim=16), (config(max_action_dim=32), config(max_action_dim=...))
    ),
    Case(
        "CK307",
        config(expert_width_multiplier=0.5),
        (config(expert_width_multiplier=0.75), config(chunk_size=50)),
    ),
    Case(
        "CK307",
        config(attention_mode="self_attn"),
        (config(attention_mode="cross_attn"),),
        frozenset({"CK308", "CK706"}),
    ),
    Case("CK307", tensors(shaped(QUERY, 4, 2)), (untouched,)),
    Case(
        "CK308",
        tensors(f32_vlm),
        (
            untouched,
            both(tensors(f32_vlm), config(load_vlm_weights=False)),
            config(load_vlm_weights=False),
        ),
    ),
    Case("CK308", tensors(typed(Dtype.F32)), (untouched,)),
    Case(
        "CK308",
        tensors(typed(Dtype.F16, f"{VLM}model.vision_model.encoder.layers.3.")),
        (tensors(named("x")),),
    ),
    Case("CK308", tensors(typed(Dtype.BF16, CROSS)), (untouched,)),
    Case(
        "CK309",
        tensors(HEAD_ELSEWHERE, ALIASED),
        (tensors(HEAD_ELSEWHERE, {"x": "y"}), tensors(dict, {HEAD: BIAS})),
        frozenset({"CK306"}),
    ),
    Case(
        "CK310",
        tensors(lambda found: found | make.buffers()),
        (untouched, tensors(named("model.normalize_inputs.mean"))),
    ),
    Case(
        "CK311",
        both(tensors(f32_vlm), config(load_vlm_weights=False)),
        (
            untouched,
            tensors(f32_vlm),
            tensors(lambda found: found | make.under("teacher.", found)),
            tensors(without(HEAD)),
        ),
        frozenset({"CK701"}),
    ),
    Case(
        "CK312",
        tensors(more(ema__weight=(0, 4))),
        (tensors(more(ema__weight=(1,))), tensors(named("scalar"))),
    ),
    Case("CK312", tensors(shaped(BIAS, 0)), (untouched,), frozenset({"CK307"})),
)


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)]
)
def test_a_rule_finds_its_fault_and_no_near_miss(case: Case, tmp_path: Path) -> None:
    hold(case, tmp_path)


# --- fixtures -------------------------------------------------------------------------------------

FOUND = {
    "reflow": ["CK311"],
    "shared-vlm": ["CK309", "CK309", "CK309", "CK309"],
    "f32-vlm": ["CK308"],
    "sharded": ["CK208"],
    "lerobot-0.3": ["CK310"],
    "language-model": [],
}


@pytest.mark.parametrize("fixture", GOOD)
@pytest.mark.parametrize(
    "options", [{}, {"reference": str(NORMAL)}], ids=["alone", "with a reference"]
)
def test_a_good_checkpoint_has_no_findings(fixture: str, options: dict[str, str]) -> None:
    assert findings(FIXTURES / fixture, **options) == ()


@pytest.mark.parametrize("fixture", FOUND)
def test_the_findings_of_every_fixture(fixture: str) -> None:
    assert [finding.code for finding in findings(FIXTURES / fixture)] == FOUND[fixture]


def test_no_rule_is_safe_without_a_fix() -> None:
    assert len(RULES) == len(CODES)
    assert all(rule.fix for rule in RULES if rule.safe)
    assert all(rule.page.count("\n\n") >= 2 for rule in RULES)


def test_a_single_file_is_not_checked_as_a_folder() -> None:
    assert of("CK208", FIXTURES / "sharded" / "model-00001-of-00003.safetensors") == []


# --- words ----------------------------------------------------------------------------------------


def test_an_f32_vlm_is_explained_by_load_vlm_weights() -> None:
    (finding,) = of("CK308", FIXTURES / "f32-vlm")
    assert finding.severity is Severity.WARNING
    assert finding.what.startswith(
        "199 tensors, 9,072 bytes in F32 instead of BF16 (vision tower, connector, lm_head):"
        " built with load_vlm_weights=false, but"
    )
    assert finding.what.endswith("config.json has load_vlm_weights true")
    assert (
        finding.next == f"ckpt sanitize {shlex.quote(str(FIXTURES / 'f32-vlm'))} --reference NORMAL"
    )


def test_f32_throughout_is_explained_by_fsdp(tmp_path: Path) -> None:
    (finding,) = of("CK308", changed(tmp_path / "x", tensors(typed(Dtype.F32))))
    assert finding.what.endswith("saved in F32 throughout, as FSDP does")
    assert finding.what.startswith("474 tensors")


def test_a_part_with_mixed_dtypes_is_reported_with_its_share(tmp_path: Path) -> None:
    (finding,) = of(
        "CK308",
        changed(
            tmp_path / "x", tensors(typed(Dtype.F16, f"{VLM}model.vision_model.encoder.layers.3."))
        ),
    )
    assert finding.what.startswith("16 tensors, ")
    assert (
        "of 197 tensors in F16 instead of BF16 (vision tower; load_vlm_weights true)"
        in finding.what
    )


def test_a_dtype_with_another_meaning_is_an_error(tmp_path: Path) -> None:
    (finding,) = of("CK308", changed(tmp_path / "x", tensors(typed(Dtype.I8, HEAD))))
    assert finding.severity is Severity.ERROR
    assert "numbers of another meaning" in finding.what


def test_a_missing_vlm_is_reported_by_part_with_its_effect(tmp_path: Path) -> None:
    found = of("CK305", changed(tmp_path / "x", tensors(without(VLM))))
    assert sorted(finding.what.split(" (")[0] for finding in found) == [
        "1 tensor missing",
        "1 tensor missing",
        "146 tensors missing",
        "197 tensors missing",
    ]
    assert all(
        "at random" in finding.what
        and finding.severity is Severity.ERROR
        and "`take`" in finding.next
        for finding in found
    )


def test_a_missing_vlm_can_be_restored_from_the_teacher(tmp_path: Path) -> None:
    change = tensors(lambda found: without(VLM)(found) | make.under("teacher.", found))
    found = of("CK305", changed(tmp_path / "x", change))
    assert len(found) == 4
    assert all("restores them" in finding.next and " byte" in finding.what for finding in found)


def test_a_lost_name_is_an_error_and_a_tied_name_a_note(tmp_path: Path) -> None:
    (lost,) = of("CK309", changed(tmp_path / "lost", tensors(HEAD_ELSEWHERE, ALIASED)))
    (tied,) = of("CK309", changed(tmp_path / "tied", tensors(without(HEAD), {HEAD: EMBEDDING})))
    assert (lost.severity, lost.subject) == (Severity.ERROR, HEAD)
    assert (tied.severity, tied.subject) == (Severity.NOTE, HEAD)
    assert "at random" in lost.what


def test_an_unknown_expectation_is_a_note(tmp_path: Path) -> None:
    (note,) = of("CK305", changed(tmp_path / "x", config(num_vlm_layers="sixteen")))
    assert note.severity is Severity.NOTE
    assert note.what == (
        "the expected tensors are unknown: num_vlm_layers in config.json must be an integer"
        " from -1 to 512"
    )


def test_wrapped_names_are_one_finding_and_not_missing_tensors(tmp_path: Path) -> None:
    found = findings(
        changed(tmp_path / "x", tensors(lambda policy: make.under("_orig_mod.", policy)))
    )
    assert [finding.code for finding in found] == ["CK302"]
    assert found[0].what == (
        "500 tensors, 87,718 bytes with `_orig_mod` in their names, from a wrapped model: a"
        " loader does not find them"
    )


def test_numbers_in_names_are_folded(tmp_path: Path) -> None:
    layers = tuple(f"{EXPERT}layers.{layer}.mlp.up_proj.weight" for layer in range(16))
    (finding,) = of("CK305", changed(tmp_path / "x", tensors(without(*layers))))
    assert finding.subject == f"{EXPERT}layers.{{0..15}}.mlp.up_proj.weight"
