"""CK8 rules on whole folders: settings, pipelines, folders left out of an upload."""

from __future__ import annotations

import gzip
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.api._gate import gate
from ckpt_tools.gate.verdict import Settings
from tests.support.cases import FIXTURES, added, both, changed, removed
from tests.support.file_contents import NORMAL_WEIGHTS, front, weights, zipped
from tests.support.gated import NOTHING, carded, findings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "lines",
    [
        ["v: !!bool x"],
        ["v: !!timestamp x"],
        ['v: !!int ""'],
        ['v: !!float ""'],
        ["v: !!python/object/apply:os.system [id]"],
        ["? [a, {b: c}]\n: d"],
        ["v: " + "[" * 9000],
        ["- " * 20_000],
        ["? " * 20_000],
        ["v: " + "{a: " * 9000],
        ["v: " + "a, " * 20_000],
        ["v: !!int " + "9" * 9000],
        ["v: 0x" + "f" * 60_000, "license: 0x" + "f" * 10],
        ["license: 2020-01-01"],
        ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))],
        ["a: &a [1]", "b: *a"],
        ["v: " + "x" * 70_000],
    ],
    ids=lambda lines: lines[0][:20],
)
def test_whatever_is_wrong_with_the_front_matter_is_a_finding_and_takes_no_time(
    lines: list[str], tmp_path: Path
) -> None:
    folder = changed(tmp_path / "it", added("README.md", front(*lines)))
    assert "CK813" in {finding.code for finding in findings(folder)}


def test_a_picture_of_another_format_is_a_note(tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", both(carded, added("a.png", b"\xff\xd8\xff\xe0" + bytes(20))))
    assert {
        (finding.code, str(finding.severity), finding.what) for finding in findings(folder)
    } == {("CK821", "note", "is a JPEG image, but its name says a PNG image")}
    assert gate(str(folder), settings=NOTHING).passes


def test_what_the_settings_allow_may_be_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    allow = Settings(allow=("*.zip", "*.gz", "*.onnx"))
    folder = changed(
        tmp_path / "it",
        both(
            carded,
            added("a.zip", zipped()),
            added("a.gz", gzip.compress(b"x")),
            added("a.onnx", b"\x08"),
        ),
    )
    assert gate(str(folder), settings=allow).passes
    (folder / "b.zip").write_bytes(b"\x7fELF" + bytes(60))
    (folder / "b.gz").write_bytes(gzip.compress(zipped()))
    assert {(finding.code, finding.path) for finding in findings(folder, allow)} == {
        ("CK821", "b.zip"),
        ("CK803", "b.gz"),
    }


def made(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        added(name, content)(folder)
    return folder


def test_the_parts_of_a_pipeline_and_several_adapters_pass_as_they_are(tmp_path: Path) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    parts: dict[str, bytes | str] = {
        f"{part}/diffusion_pytorch_model.safetensors": weights(part) for part in ("unet", "vae")
    }
    configs: dict[str, bytes | str] = {
        f"{part}/config.json": '{"_class_name": "X"}' for part in ("unet", "vae")
    }
    readme = front("license: mit")
    pipeline = made(
        tmp_path / "pipeline",
        {
            **parts,
            **configs,
            "model_index.json": json.dumps(index),
            "README.md": readme,
            "tokenizer/merges.txt": "a b\n",
        },
    )
    adapters = made(
        tmp_path / "adapters",
        {"one.safetensors": weights("a"), "two.safetensors": weights("b"), "README.md": readme},
    )
    for folder in (pipeline, adapters):
        verdict = gate(str(folder), settings=NOTHING)
        assert (verdict.profile, verdict.passes, verdict.verification.findings) == (
            "generic",
            True,
            (),
        )
    (pipeline / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"garbage")
    assert [finding.code for finding in gate(str(pipeline), settings=NOTHING).refused] == ["CK101"]
    made(adapters, {"config.json": '{"model_type": "llama"}'})
    assert "CK816" in {finding.code for finding in gate(str(adapters), settings=NOTHING).refused}


def test_a_module_of_sentence_transformers_is_referred_to_and_a_model_below_is_a_note(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(FIXTURES / "language-model", folder)
    listed = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    made(
        folder,
        {
            "README.md": front("license: mit", "pipeline_tag: sentence-similarity"),
            "modules.json": json.dumps(listed),
        },
    )
    made(folder, {"2_Dense/model.safetensors": weights(), "2_Dense/config.json": "{}"})
    assert gate(str(folder), settings=NOTHING).verification.findings == ()
    made(folder, {"draft/model.safetensors": weights(), "draft/config.json": "{}"})
    assert [(str(finding.severity), finding.path) for finding in findings(folder)] == [
        ("note", "draft/model.safetensors")
    ]
    made(folder, {"teacher.safetensors": weights()})
    assert [finding.path for finding in gate(str(folder), settings=NOTHING).refused] == [
        "teacher.safetensors"
    ]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("consolidated.safetensors", "params.json"), "CK819"),
        (("original/consolidated.00.safetensors", "original/params.json"), "CK819"),
        (("onnx/model_quantized.onnx",), "CK804"),
        (("onnx/model.onnx_data",), "CK804"),
    ],
)
def test_what_makers_publish_beside_their_weights_is_a_note(
    tmp_path: Path, files: tuple[str, ...], code: str
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(FIXTURES / "language-model", folder)
    card = front("license: mit", "pipeline_tag: text-generation")
    contents = {name: "{}" if name.endswith(".json") else weights() for name in files}
    made(folder, {"README.md": card, **contents})
    assert [(one.code, one.path, str(one.severity)) for one in findings(folder)] == [
        (code, files[0], "note")
    ]


@pytest.mark.parametrize(
    "name",
    ["consolidated.safetensors", "old/consolidated.safetensors", "model.onnx", "onnx/a/model.onnx"],
)
def test_the_same_names_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "it"
    shutil.copytree(FIXTURES / "language-model", folder)
    card = front("license: mit", "pipeline_tag: text-generation")
    made(folder, {"README.md": card, name: weights()})
    assert [one.path for one in gate(str(folder), settings=NOTHING).refused] == [name]


def test_an_export_is_refused_beside_a_policy(tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", both(carded, added("onnx/model.onnx", weights())))
    assert [one.code for one in gate(str(folder), settings=NOTHING).refused] == ["CK804"]


def test_many_files_of_other_types_in_a_folder_are_one_finding(tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", carded)
    made(folder, {f"logs/{number:02}.log.txt": "text" for number in range(20)})
    assert len(findings(folder)) == 20
    made(folder, {"logs/20.log.txt": "text", "a.txt": "text"})
    assert [(one.code, one.path, one.what) for one in findings(folder)] == [
        ("CK804", "a.txt", 'file type not allowed by profile "lerobot"'),
        (
            "CK804",
            "logs/",
            'contains 21 files not allowed by profile "lerobot", such as 00.log.txt',
        ),
    ]


def test_the_state_of_a_processor_that_cannot_be_read_is_no_finding_of_its_own(
    tmp_path: Path,
) -> None:
    folder = changed(
        tmp_path / "it", both(carded, added("policy_preprocessor.json", '{"steps": ['))
    )
    assert [one.code for one in findings(folder)] == ["CK601"]
    assert [one.code for one in findings(changed(tmp_path / "b", both(carded, lost)))] == [
        "CK723",
        "CK819",
    ]


def lost(folder: Path) -> None:
    """Take the normalizer, whose state stays, out of the processor."""
    path = folder / "policy_preprocessor.json"
    document = json.loads(path.read_text())
    document["steps"] = [step for step in document["steps"] if not step.get("state_file")]
    path.write_text(json.dumps(document))


def test_of_one_file_alone_stock_lerobot_is_spoken_of_under_its_own_profile_only(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(FIXTURES / "sharded", folder)
    carded(folder)
    assert "CK208" in {finding.code for finding in findings(folder)}
    assert "CK208" not in {finding.code for finding in findings(folder, profile="transformers")}


def test_the_weights_themselves_are_not_told_twice(tmp_path: Path) -> None:
    folder = changed(
        tmp_path / "it",
        both(
            carded,
            removed("model.safetensors"),
            added("model.safetensors", NORMAL_WEIGHTS + b"more"),
        ),
    )
    assert {finding.code for finding in findings(folder)} >= {"CK122"}
    assert "CK819" not in {finding.code for finding in findings(folder)}


@pytest.mark.parametrize("place", [".git", ".cache/huggingface", "sub/.git"])
def test_a_folder_that_no_upload_takes_along_is_one_note_whatever_is_in_it(
    place: str, tmp_path: Path
) -> None:
    inside = (
        "hooks/a.sample",
        "HEAD",
        "b.pyc",
        "c.py",
        "download/config.json.metadata",
        "d.safetensors",
    )
    folder = changed(
        tmp_path / "it",
        both(carded, *(added(f"{place}/{name}", f"{zipped()!r}", 0o777) for name in inside)),
    )
    found = findings(folder)
    assert [(finding.code, finding.path, str(finding.severity)) for finding in found] == [
        ("CK807", f"{place}/", "note")
    ]
    assert "not uploaded" in found[0].what
    assert "remove" not in found[0].next
    assert gate(str(folder), settings=NOTHING).passes


def test_what_only_resembles_a_folder_that_is_left_out_is_told_of(tmp_path: Path) -> None:
    for number, (name, told) in enumerate(
        (
            (".git", ".git"),
            (".cache/other/a.json", ".cache/"),
            (".gits/a.json", ".gits/"),
            ("huggingface/.cache/a.json", "huggingface/.cache/"),
        )
    ):
        folder = changed(
            tmp_path / f"{number}",
            both(
                carded,
                added(name, "{}"),
                *([added(".cache/huggingface/x", "")] if number == 1 else []),
            ),
        )
        assert (told, "note") not in {
            (finding.path, str(finding.severity)) for finding in findings(folder)
        }
        assert told in {finding.path for finding in findings(folder) if finding.code == "CK807"}


def test_a_pointer_of_git_lfs_is_told_to_be_fetched(tmp_path: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    folder = changed(tmp_path / "it", both(carded, added("a.safetensors", pointer)))
    (found,) = (finding for finding in findings(folder) if finding.code == "CK818")
    assert found.next.endswith("git lfs pull")
