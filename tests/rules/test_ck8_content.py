"""CK8 rules about file contents: each finds its fault and accepts near misses."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support.cases import FIXTURES, Case, added, both, untouched
from tests.support.file_contents import NORMAL_WEIGHTS, card, weights, zipped
from tests.support.gated import CARD, hold_gated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cases import Change


TAUGHT_WEIGHTS = (FIXTURES / "reflow" / "model.safetensors").read_bytes()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
PIECES = b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\n\x0c\n\x03<s>\x15\0\0\0\0\x18\x03"
GENERIC = {"profile": "generic"}
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
            added(
                "adapter_config.json",
                '{"auto_mapping": {"parent_library": "lerobot.policies.act.modeling_act"}}',
            ),
            added("c.json", '{"auto_mapping": null}'),
        ),
        frozenset({"CK909"}),
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
