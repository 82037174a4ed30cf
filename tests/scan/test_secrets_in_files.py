"""Secrets in files of every type are found, and no report contains them."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import shutil
import zlib
from typing import TYPE_CHECKING

import pytest

from ckpt_tools.api._gate import gate
from ckpt_tools.api._verify import verify
from ckpt_tools.report.formats import github, junit, markdown, sarif, text
from ckpt_tools.report.json import findings as findings_json
from ckpt_tools.report.pages import verdict as verdict_page
from ckpt_tools.scan.folder import single
from ckpt_tools.scan.secrets import secrets
from tests.support.cases import NORMAL
from tests.support.gated import CARD, NOTHING, with_metadata
from tests.support.secret_samples import KINDS, drawn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_many_secrets_of_one_kind_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    (folder / "README.md").write_text(CARD)
    (folder / "vocab.txt").write_text("\n".join(f"hf_{drawn(seed, 34)}" for seed in range(57)))
    outputs = [
        finding.what
        for finding in gate(str(folder), settings=NOTHING).refused
        if finding.code == "CK810"
    ]
    assert len(outputs) == 21
    assert "contains 37 more secrets of this kind: Hugging Face token" in outputs


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "UTF-16 without a mark": ("notes.md", lambda plain: plain.decode().encode("utf-16-le")),
    "UTF-16, big": ("notes.md", lambda plain: plain.decode().encode("utf-16-be")),
    "UTF-32 without a mark": ("notes.md", lambda plain: plain.decode().encode("utf-32-le")),
    "UTF-16 in a licence": ("LICENSE", lambda plain: plain.decode().encode("utf-16-le")),
    "UTF-16 with a mark": ("notes.md", lambda plain: plain.decode().encode("utf-16")),
    "after a sign": ("LICENSE", lambda plain: b"\x01" + plain),
    "Exif": ("a.jpg", lambda plain: b"\xff\xd8\xff\xe1\0\x40Exif\0\0" + plain),
    "after the end": ("a.png", lambda plain: picture() + plain),
    "far after the start": ("a.png", lambda plain: picture() + bytes(17 << 20) + plain),
    "wide in a picture": ("a.png", lambda plain: picture() + plain.decode().encode("utf-16-le")),
    "gzip": ("a.png", gzip.compress),
    "bz2": ("a.png", bz2.compress),
    "xz": ("a.png", lzma.compress),
    "a compressed comment": (
        "a.png",
        lambda plain: b"\x89PNG\r\n\x1a\n" + bytes(17) + b"zTXtComment\0\0" + zlib.compress(plain),
    ),
    "sentencepiece": ("tokenizer.model", lambda plain: b"\x0a\x0e\0" + plain),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_secret_is_found_in_every_file_encoding(name: str, tmp_path: Path) -> None:
    value = f"hf_{drawn(5, 34)}"
    path, spelled = ENCODINGS[name]
    (tmp_path / path).write_bytes(spelled(value.encode()))
    (entry,) = single(str(tmp_path / path))
    assert value in {secret.value for text, _ in entry.texts for secret in secrets(text)}


@pytest.mark.parametrize("location", ["type", "key", "state_file", "broken"])
def test_no_output_of_verify_contains_the_secret(location: str, tmp_path: Path) -> None:
    value = f"hf_{drawn(9, 34)}"
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    path = folder / ("policy_preprocessor.json" if location == "state_file" else "config.json")
    document = json.loads(path.read_text())
    if location == "type":
        document["type"] = value
    elif location == "key":
        document[value] = {value: value}
        document["input_features"][value] = {"type": value, "shape": [1]}
    else:
        document["steps" if location == "state_file" else "a"] = [
            {"registry_name": value, "state_file": f"{value}.safetensors"}
        ]
    path.write_text(json.dumps(document) + (f'"{value}": {value}' if location == "broken" else ""))
    seen = verify(str(folder), settings=NOTHING)
    assert seen.findings
    page = verdict_page.page(seen)
    outputs = [
        text.render(page),
        markdown.render(page),
        json.dumps(findings_json.document(seen)),
        *(one.render([seen]) for one in (junit, sarif, github)),
    ]
    assert not any(value[5:15] in one for one in outputs)


def picture(comment: str = "") -> bytes:
    """A PNG of noise with a comment."""
    generator = random.Random(7)  # noqa: S311 - noise
    chunks = (
        (b"IHDR", bytes(13)),
        (b"tEXt", b"Comment\0" + comment.encode("latin-1")),
        (b"IDAT", generator.randbytes(300_000)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + kind + data + bytes(4) for kind, data in chunks
    )


def test_noise_and_a_plain_comment_contain_no_secret(tmp_path: Path) -> None:
    (tmp_path / "loss.png").write_bytes(picture("Software: matplotlib version 3.11"))
    (entry,) = single(str(tmp_path / "loss.png"))
    assert entry.strings
    assert "matplotlib" in entry.strings
    assert secrets(entry.strings) == ()


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize(
    "location", ["README.md", "config.json", "train_config.json", "metadata", "name", "picture"]
)
def test_no_output_of_gate_contains_the_secret(number: int, location: str, tmp_path: Path) -> None:
    kind = sorted(KINDS)[number]
    if (
        number % 3
        != ["README.md", "config.json", "train_config.json", "metadata", "name", "picture"].index(
            location
        )
        % 3
    ):
        return
    lead, value = KINDS[kind](number)
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    (folder / "README.md").write_text(
        CARD + (f"\n{lead}{value}" if location == "README.md" else "")
    )
    if location.endswith(".json"):
        document = json.loads((folder / location).read_text())
        (folder / location).write_text(
            json.dumps({**document, "teacher_model_path": f"{lead}{value}"})
        )
    elif location == "metadata":
        (folder / "extra.safetensors").write_bytes(with_metadata(f"{lead}{value}"))
    elif location == "picture":
        (folder / "loss.png").write_bytes(picture(f"{lead}{value}"))
    elif location == "name":
        (folder / f"{(lead + value).replace('/', '')}.md").write_text("")
    verdict = gate(str(folder), settings=NOTHING)
    page = verdict_page.page(verdict)
    outputs = [
        text.render(page),
        markdown.render(page),
        json.dumps(findings_json.document(verdict)),
        *(one.render([verdict]) for one in (junit, sarif, github)),
    ]
    assert location == "name" or any(finding.code == "CK810" for finding in verdict.refused)
    plain = value.partition("@")[0].rpartition(".eyJ")[2]
    assert not any(plain[5 : 5 + len(plain) // 3] in one for one in outputs)
