"""What files hold against what they say.

Other weights, kinds of content, names, cards, and code that is named and not brought.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.api._gate import gate
from ckpt_tools.gate.verdict import Settings
from tests.support.cases import FIXTURES, Case, added, both, changed, removed, untouched
from tests.support.gated import CARD, NOTHING, carded, findings, hold_gated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cases import Change

NORMAL_WEIGHTS = (FIXTURES / "normal" / "model.safetensors").read_bytes()
TAUGHT_WEIGHTS = (FIXTURES / "reflow" / "model.safetensors").read_bytes()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
PIECES = b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\n\x0c\n\x03<s>\x15\0\0\0\0\x18\x03"
GENERIC = {"profile": "generic"}


def weights(name: str = "w") -> bytes:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + b"\0\0\x80?"


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    return stream.getvalue()


def front(*lines: str) -> str:
    return "\n".join(("---", *lines, "---", "# A policy", ""))


def card(**values: str) -> str:
    said = {"license": "apache-2.0", "library_name": "lerobot", "pipeline_tag": "robotics"} | values
    return front(*(f"{key}: {value}" for key, value in said.items()))


OTHER_INDEX = '{"weight_map": {"a": "t.safetensors"}}'
TEMPLATE = """{%- for message in messages | selectattr('role', 'equalto', 'user') -%}
{{ bos_token + '__user__' + message['content'] | trim }}{{ tools | map(attribute='name') | join }}
{%- endfor %}{%- set init = namespace(class=1) %}"""


def beside(model: str, name: str, text: str) -> Change:
    """A whole second model, and a file that is meant to excuse it."""
    return both(added(model, NORMAL_WEIGHTS), added(name, text))


def with_state() -> Change:
    """Give the preprocessor a state that LeRobot reads."""

    def change(folder: Path) -> None:
        path = folder / "policy_preprocessor.json"
        document = json.loads(path.read_text())
        document["steps"][0]["state_file"] = "state.safetensors"
        path.write_text(json.dumps(document))
        (folder / "state.safetensors").write_bytes(weights())

    return change


STRAY = frozenset({"CK819"})

CASES = {
    "a program for weights": Case(
        "CK818", added("junk.safetensors", b"\x7fELF" + bytes(60)), (untouched,), STRAY | {"CK821"}
    ),
    "bytes behind weights": Case(
        "CK818",
        added("a.safetensors", struct.pack("<Q", 2) + b"{}" + b"more"),
        (added("a.safetensors", weights()),),
        STRAY,
    ),
    "a state that is none": Case(
        "CK818",
        added("policy_preprocessor_evil.safetensors", b"garbage"),
        (added("a/b.safetensors", weights()),),
        STRAY,
    ),
    "no UTF-8": Case(
        "CK818", added("a.safetensors", struct.pack("<Q", 4) + b'{"\xff"'), (untouched,), STRAY
    ),
    "no bytes": Case("CK818", added("a.safetensors", b""), (untouched,), STRAY),
    "a copy": Case(
        "CK819",
        added("other.safetensors", NORMAL_WEIGHTS),
        (with_state(), untouched),
    ),
    "an adapter that is a model": Case(
        "CK819",
        beside("ad/adapter_model.safetensors", "ad/adapter_config.json", "{}"),
        (untouched,),
    ),
    "named by any JSON": Case(
        "CK819",
        beside("t.safetensors", "my.json", '{"steps": [{"state_file": "t.safetensors"}]}'),
        (untouched,),
        frozenset({"CK809"}),
    ),
    "named by a list": Case(
        "CK819",
        beside("old/m.safetensors", "model_index.json", '{"old": ["diffusers", "M"]}'),
        (untouched,),
    ),
    "in another's index": Case(
        "CK819",
        beside("t.safetensors", "t.safetensors.index.json", OTHER_INDEX),
        (untouched,),
        frozenset({"CK209"}),
    ),
    "another's state": Case(
        "CK819",
        both(
            added("sub/my.json", '{"state_file": "state.safetensors"}'),
            added("state.safetensors", weights()),
        ),
        (with_state(),),
    ),
    "in a folder": Case(
        "CK819",
        both(added("sub/model.safetensors", NORMAL_WEIGHTS), added("sub/config.json", "{}")),
        (untouched,),
    ),
    "a teacher": Case(
        "CK820",
        added("teacher.safetensors", TAUGHT_WEIGHTS),
        (added("teacher.safetensors", NORMAL_WEIGHTS),),
        STRAY,
    ),
    "a teacher below": Case(
        "CK820",
        added("sub/model.safetensors", TAUGHT_WEIGHTS),
        (added("a.safetensors", weights("model.teacherless")),),
        STRAY,
    ),
    "an ELF picture": Case(
        "CK821",
        added("logo.png", b"\x7fELF" + bytes(60)),
        (added("logo.png", PNG), added("logo.jpg", b"\xff\xd8\xff\xe0" + bytes(9))),
    ),
    "a GGUF picture": Case(
        "CK821",
        added("logo.png", b"GGUF" + bytes(60)),
        (added("a.webp", b"RIFF\0\0\0\0WEBPVP8 "), added("a.gif", b"GIF89a")),
    ),
    "zstd": Case(
        "CK821",
        added("logo.png", b"\x28\xb5\x2f\xfdxxxx"),
        (added("empty.png", b""),),
        frozenset({"CK803"}),
    ),
    "LZ4": Case("CK821", added("a.gif", b"\x04\x22M\x18xxxx"), (untouched,), frozenset({"CK803"})),
    "no film": Case("CK821", added("a.mp4", b"\0\1\2"), (added("a.mp4", b"\0\0\0\x20ftypisom"),)),
    "a zip behind a picture": Case(
        "CK821",
        added("logo.png", PNG + zipped()),
        (added("logo.png", PNG + b"PK\x05\x06" + bytes(18)),),
    ),
    "a zip for a licence": Case(
        "CK821",
        added("LICENSE", zipped()),
        (added("LICENSE", "Apache"), added("LICENSE", "© Añé".encode("latin-1") + b"a" * 99)),
    ),
    "ONNX": Case(
        "CK821",
        added("tokenizer.model", b"\x08\x07\x12\x07pytorch"),
        (added("tokenizer.model", PIECES), added("tokenizer.model", "IQ== 0\n")),
    ),
    "a script": Case(
        "CK821",
        added("vocab.txt", "#!/usr/bin/python\nimport os\n"),
        (added("vocab.txt", "#!\n#\n"), added("merges.txt", "#version: 0.2\n")),
    ),
    "a program in a text": Case(
        "CK821",
        added("notes.md", b"\x7fELF" + bytes(60)),
        (added("notes.md", "MZ"), added("notes.md", "BZh, PK, GGUF")),
    ),
    "NUL in JSON": Case(
        "CK821",
        added("n.json", b'{"a": 1}\0'),
        (added("n.json", '{"a": "\\u0000"}'),),
        frozenset({"CK812"}),
    ),
    "a licence by its name": Case(
        "CK804",
        added("LICENSE.onnx", b"text"),
        tuple(
            added(name, "text")
            for name in (
                "LICENSE",
                "LICENSE-MIT",
                "LICENSE_2.0.txt",
                "licence.rst",
                "NOTICE.txt",
                "CITATION.cff",
                "a/COPYING",
            )
        ),
    ),
    "GGUF by its name": Case(
        "CK804",
        added("LICENSE-model.gguf", b"GGUF"),
        (added("vocab.bpe", "a b"), added("source.spm", PIECES)),
    ),
    "a jar": Case("CK804", added("NOTICE.jar", zipped()), (untouched,), frozenset({"CK821"})),
    "SVG": Case("CK804", added("images/a.svg", "<svg/>"), (untouched,)),
    "requirements": Case("CK804", added("requirements.txt", "torch"), (untouched,)),
    "letters' case": Case(
        "CK822",
        added("Config.json", "{}"),
        (added("sub/Config.json", "{}"), added("config2.json", "{}")),
    ),
    "a control character": Case(
        "CK823",
        added("a\x1b[31m\nPASS.md", "x"),
        (added("é 模型 👍.md", "x"), added("❤\ufe0f.md", "x")),
    ),
    "a direction": Case("CK823", added("\u202egnp.exe.md", "x"), (untouched,)),
    "no width": Case("CK823", added("a/\u200b.md", "x"), (untouched,)),
    "a filler": Case("CK823", added("\u3164/a.md", "x"), (untouched,)),
    "a template": Case(
        "CK808",
        added("chat_template.jinja", "{{ cycler.__init__.__globals__.os.popen('id').read() }}"),
        (added("chat_template.jinja", TEMPLATE), added("n.md", "{{ x.__class__ }}")),
    ),
    "a template below": Case(
        "CK808",
        added("additional_chat_templates/a.jinja", "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}"),
        (added("a/b.jinja", "{{ '__start__' }}"),),
    ),
    "a template in a config": Case(
        "CK808",
        added("tokenizer_config.json", json.dumps({"chat_template": "{{ ''.__class__.__mro__ }}"})),
        (
            added("tokenizer_config.json", json.dumps({"chat_template": TEMPLATE})),
            added("t.json", '{"a": "x.__class__"}'),
        ),
    ),
    "one template of several": Case(
        "CK808",
        added(
            "tokenizer_config.json",
            json.dumps(
                {"chat_template": [{"name": "a", "template": TEMPLATE + "{{ x|attr('a' ~ 'b') }}"}]}
            ),
        ),
        (
            added(
                "tokenizer_config.json",
                json.dumps({"chat_template": [{"name": "a", "template": TEMPLATE}]}),
            ),
        ),
    ),
    "spelling": Case(
        "CK822",
        both(added("cafe\u0301.md", "x"), added("caf\u00e9.md", "x")),
        (added("caf\u00e9.md", "x"), both(added("Sub/a.md", ""), added("subs/a.md", ""))),
    ),
    "folders": Case(
        "CK822", both(added("Sub/a.md", "x"), added("sub/b.md", "x")), (added("sub/sub/a.md", "x"),)
    ),
    "a licence that is none": Case(
        "CK813",
        added("README.md", card(license="???")),
        (added("README.md", card(license="[mit, apache-2.0]")),),
    ),
    "a licence to fill in": Case(
        "CK813",
        added("README.md", card(license="[More Information Needed]")),
        (added("README.md", card(license="other")),),
    ),
    "another library": Case(
        "CK813",
        added("README.md", card(library_name="diffusers")),
        (added("README.md", card(base_model="lerobot/smolvla_base")),),
    ),
    "another task": Case("CK813", added("README.md", card(pipeline_tag="nonsense")), (untouched,)),
    "a title to fill in": Case(
        "CK813",
        added("README.md", CARD.replace("A policy", "{{ model_id }}")),
        (added("README.md", CARD + "```\n# {{ x }}\n```\n"), added("README.md", CARD + "{{ x }}")),
    ),
    "Hydra": Case(
        "CK808",
        added("h.json", '{"_target_": "os.system"}'),
        (added("h.json", '{"target": "os.system"}'), added("h.json", '{"a": "_target_"}')),
    ),
    "pipelines": Case(
        "CK808",
        added("c.json", '{"custom_pipelines": {"x": {"impl": "evil.P"}}}'),
        (added("c.json", '{"custom_pipelines": {}}'),),
    ),
    "modules": Case(
        "CK808",
        added("modules.json", '[{"idx": 0, "path": "", "type": "evil_pkg.Evil"}]'),
        (
            added(
                "modules.json",
                '[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]',
            ),
            added("m.json", '[{"type": "evil_pkg.Evil"}]'),
        ),
    ),
    "activations": Case(
        "CK808",
        added("c.json", '{"activation_function": "evil.F"}'),
        (
            added("c.json", '{"activation_function": "torch.nn.modules.activation.Tanh"}'),
            added("c.json", '{"activation_function": "gelu_new"}'),
        ),
    ),
    "a pipeline's class": Case(
        "CK808",
        added("model_index.json", '{"_class_name": ["my_pipe", "P"]}'),
        (added("model_index.json", '{"_class_name": "StableDiffusionPipeline"}'),),
    ),
    "Keras' Lambda": Case(
        "CK808",
        added("k.json", '{"config": [{"class_name": "Lambda", "config": {}}]}'),
        (added("k.json", '{"class_name": "Dense", "name": "Lambda"}'),),
    ),
    "an adapter's library": Case(
        "CK808",
        added(
            "adapter_config.json",
            '{"auto_mapping": {"base_model_class": "X", "parent_library": "evil_pkg.mod"}}',
        ),
        (
            added(
                "adapter_config.json",
                '{"auto_mapping": {"parent_library": "transformers.models.bert"}}',
            ),
            added("c.json", '{"auto_mapping": null}'),
        ),
    ),
    "YAML": Case(
        "CK808",
        added("c.yaml", "a:\n  trust_remote_code: true\n"),
        (added("c.yaml", "trust_remote_code: false  # no\nnote: auto_map is bad\n"),),
        options=GENERIC,
    ),
    "YAML's map": Case(
        "CK808",
        added("c.yml", 'a: {x: 1}\n"auto_map": {AutoModel: x.Y}\n'),
        (added("c.yml", "auto_map: {}\n"),),
        options=GENERIC,
    ),
    "YAML's tag": Case(
        "CK808",
        added("c.yml", "a: !!python/object/apply:os.system [id]\n"),
        (added("c.yml", "a: !!str python\n"),),
        options=GENERIC,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rule_finds_its_fault_and_no_near_miss(name: str, tmp_path: Path) -> None:
    hold_gated(CASES[name], tmp_path)


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
    assert [finding.code for finding in gate(str(pipeline), settings=NOTHING).refused] == ["CK818"]
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
