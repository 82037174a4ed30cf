"""Rules about a reference, a lockfile and metadata: each on a bad checkpoint and on near misses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.spec import spec_of, write_spec
from ckpt_tools.rules.checks.metadata import LIMIT
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.registry import rule_of
from tests.support.cases import (
    FIXTURES,
    NORMAL,
    Case,
    both,
    changed,
    config,
    edited,
    hold,
    make,
    tensors,
    untouched,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ckpt_tools.rules.finding import Finding

BIAS = "model.state_proj.bias"
HEAD = "model.vlm_with_expert.vlm.lm_head.weight"
AGAINST_NORMAL = {"reference": str(NORMAL)}

type Blobs = dict[str, Any]


def without_bias(found: Blobs) -> Blobs:
    return {name: blob for name, blob in found.items() if name != BIAS}


def with_average(found: Blobs) -> Blobs:
    return {**found, "ema.weight": make.blob("ema", Dtype.F32, (2,))}


def renamed(found: Blobs) -> Blobs:
    return {name.replace("state_proj", "state_projection"): blob for name, blob in found.items()}


def as_teacher(found: Blobs) -> Blobs:
    return {**found, **make.under("teacher.", found)}


def f32_vlm(found: Blobs) -> Blobs:
    wide: Blobs = make.f32_vlm(found)
    return wide


def longer(found: Blobs) -> Blobs:
    return found | {BIAS: make.blob("longer", Dtype.F32, (5,))}


def retyped(found: Blobs) -> Blobs:
    return found | {BIAS: make.blob("retyped", Dtype.BF16, found[BIAS].shape)}


def noted(**metadata: str) -> Any:
    return tensors(dict, metadata)


MISSING = frozenset({"CK305"})
UNEXPECTED = frozenset({"CK306"})
CASES = (
    Case("CK501", tensors(without_bias), (untouched, tensors(as_teacher)), MISSING, AGAINST_NORMAL),
    Case(
        "CK501",
        tensors(with_average),
        (tensors(lambda found: make.under("_orig_mod.", found)),),
        UNEXPECTED,
        AGAINST_NORMAL,
    ),
    Case("CK501", tensors(renamed), (config(chunk_size=50),), MISSING | UNEXPECTED, AGAINST_NORMAL),
    Case(
        "CK502",
        tensors(f32_vlm),
        (untouched, tensors(without_bias)),
        frozenset({"CK308"}),
        AGAINST_NORMAL,
    ),
    Case("CK502", tensors(retyped), (tensors(longer),), frozenset({"CK308"}), AGAINST_NORMAL),
    Case(
        "CK503",
        tensors(longer),
        (untouched, tensors(retyped)),
        frozenset({"CK307"}),
        AGAINST_NORMAL,
    ),
    Case(
        "CK504",
        config(min_period=0.04),
        (
            untouched,
            config(device="cpu", optimizer_lr=1.0),
            config(use_reflow=False),
            config(teacher_model_path=None),
            edited("train_config.json", seed=7),
        ),
        options=AGAINST_NORMAL,
    ),
    Case("CK505", noted(format="pt"), (untouched, tensors(dict, {})), options=AGAINST_NORMAL),
    Case(
        "CK611",
        noted(notes="\x1b[2J"),
        (untouched, noted(notes="two\nlines\tand a tab"), noted(notes="größer als 模型")),
    ),
    Case("CK611", noted(notes="x" * (LIMIT + 1)), (noted(notes="x" * LIMIT),)),
    Case("CK611", tensors(dict, {"odd\u202e": ""}), (untouched,)),
    Case("CK612", noted(format="tf"), (untouched, noted(format="pt"), noted(formats="tf"))),
)


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)]
)
def test_a_rule_finds_its_fault_and_no_near_miss(case: Case, tmp_path: Path) -> None:
    hold(case, tmp_path)


@pytest.mark.parametrize(
    "change",
    [without_bias, with_average, retyped, longer],
    ids=["missing", "extra", "dtype", "shape"],
)
def test_ck511_compares_a_checkpoint_with_its_lockfile(change: Any, tmp_path: Path) -> None:
    lockfile = tmp_path / "normal.spec.json"
    write_spec(spec_of(api.read(str(NORMAL))), str(lockfile))
    companions = frozenset({"CK305", "CK306", "CK307", "CK308"})
    near = (
        untouched,
        tensors(lambda found: dict(reversed(found.items()))),
        config(num_steps=9),
        noted(format="pt"),
    )
    hold(Case("CK511", tensors(change), near, companions, {"spec": str(lockfile)}), tmp_path)


# --- words ----------------------------------------------------------------------------------------


def of(code: str, folder: Path, **options: Any) -> list[Finding]:
    rule = rule_of(code)
    assert rule is not None
    return list(api.verify(str(folder), rules=[rule], **options).findings)


def test_a_shared_vlm_has_other_names_than_in_the_reference() -> None:
    (finding,) = of("CK501", FIXTURES / "shared-vlm", reference=str(NORMAL))
    assert (
        finding.what
        == "345 tensors under `model._teacher_model.` that the reference has under the root"
    )
    assert finding.severity is Severity.ERROR


def test_missing_and_extra_tensors_are_separate_findings(tmp_path: Path) -> None:
    folder = changed(tmp_path / "x", tensors(lambda found: with_average(without_bias(found))))
    missing, extra = of("CK501", folder, reference=str(NORMAL))
    assert (missing.severity, missing.subject) == (Severity.ERROR, BIAS)
    assert missing.what.startswith(
        "1 tensor, 16 bytes of the reference missing (projections): stock LeRobot loads the"
        " checkpoint, but only warns and initializes these at random"
    )
    assert (extra.severity, extra.what, extra.subject) == (
        Severity.WARNING,
        "1 tensor, 8 bytes that the reference does not have (other)",
        "ema.weight",
    )


def test_a_missing_tensor_that_the_loader_does_not_read_is_a_note() -> None:
    (finding,) = of("CK501", NORMAL, reference=str(FIXTURES / "lerobot-0.3"))
    assert finding.severity is Severity.NOTE
    assert "6 tensors, 144 bytes of the reference missing (normalization buffers)" in finding.what


def test_another_vlm_name_is_a_warning(tmp_path: Path) -> None:
    (finding,) = of(
        "CK504",
        changed(tmp_path / "x", config(vlm_model_name="/models/" + "x" * 99)),
        reference=str(NORMAL),
    )
    assert finding.severity is Severity.WARNING
    assert finding.subject == "/vlm_model_name"
    assert finding.what.startswith('is "/models/xxx')
    assert finding.what.endswith(
        '…", but "HuggingFaceTB/SmolVLM2-500M-Video-Instruct" in the reference'
    )


def test_decisive_config_values_are_one_finding_each() -> None:
    found = of("CK504", FIXTURES / "reflow", reference=str(NORMAL))
    assert [finding.subject for finding in found] == [
        "/load_vlm_weights",
        "/teacher_model_path",
        "/use_reflow",
    ]
    assert found[0].what == "is false, but true in the reference"


def test_dtypes_that_differ_are_one_finding_per_pair() -> None:
    (finding,) = of("CK502", FIXTURES / "f32-vlm", reference=str(NORMAL))
    assert finding.what == (
        "199 tensors, 9,072 bytes in F32, but BF16 in the reference (vision tower,"
        " connector, lm_head)"
    )


def test_aliases_do_not_count_as_metadata(tmp_path: Path) -> None:
    change = both(noted(**{"ema/head~": BIAS}))
    assert of("CK505", changed(tmp_path / "x", change), reference=str(NORMAL)) == []
    (finding,) = of("CK505", changed(tmp_path / "y", noted(a="1", b="2")), reference=str(NORMAL))
    assert (
        finding.what == '2 metadata values unlike the reference\'s, the first "1" instead of absent'
    )
    assert finding.subject == "__metadata__/a"


def test_a_long_metadata_value_is_reported_by_its_size_only(tmp_path: Path) -> None:
    (finding,) = of("CK611", changed(tmp_path / "x", noted(**{"k" * 500: "v" * (LIMIT + 5)})))
    assert (
        finding.what == "1 metadata value longer than 1,048,576 characters, the longest 1,048,581"
    )
    assert len(finding.subject) < 120


def test_without_a_reference_or_a_lockfile_these_rules_are_skipped() -> None:
    verification = api.verify(str(NORMAL))
    skipped = {skip.code: skip.reason for skip in verification.skipped}
    assert {code: skipped[code] for code in ("CK501", "CK505")} == dict.fromkeys(
        ("CK501", "CK505"), "no reference checkpoint (use `--reference`)"
    )
    assert skipped["CK511"] == "no lockfile (use `--spec`)"
