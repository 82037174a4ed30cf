"""The rules of the supply chain: each finds what it is for, and not what merely looks like it."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import socket
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.cases import (
    Case,
    added,
    both,
    changed,
    config,
    edited,
    removed,
    tensors,
    untouched,
)
from tests.support.gated import CARD, carded, findings, hold_gated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "hf_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xYzC"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEpAIBAAKCAQEA7bq9vX2mYt0s5dQ1wE8rT6yU4iOpLkJhGfDsAzXcVbNm12Q3"
    "\n-----END RSA PRIVATE KEY-----\n"
)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def packed(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def tarred(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("pickle")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def array(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def linked(target: str, name: str = "extra.json") -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


def bound(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(folder / "s"))


def step(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "policy_preprocessor.json"
        document = json.loads(path.read_text())
        document["steps"][0] = values
        path.write_text(json.dumps(document))

    return change


def processor(**values: Any) -> str:
    return json.dumps({"name": "mine", "steps": [values]})


def outgrown(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 50_000_000_001)


def sparse(folder: Path) -> None:
    (folder / "b.safetensors").write_bytes(b"")
    os.truncate(folder / "b.safetensors", 50_000_000_001)


UNLIKE = frozenset({"CK821"})

CASES = {
    "a pickle's name": Case(
        "CK802",
        added("optimizer.pt", b"PK"),
        (added("pt.json", "{}"), added("a.bin.json", "{}")),
        frozenset({"CK743", "CK804"}),
    ),
    "Keras": Case(
        "CK802",
        added("a/model.H5", b"\x89HDF"),
        (added("h5.txt", "a"),),
        frozenset({"CK804", "CK821"}),
    ),
    "a pickle": Case(
        "CK803",
        added("weights.png", pickle.dumps(Evil(), protocol=4)),
        (
            added("a.png", b"\x80\x02\0\0\0\0\0\0{"),
            added("b.png", b"\x89PNG\r\n\x1a\n"),
            added("empty.png", b""),
        ),
        UNLIKE,
    ),
    "a pickle of protocol 0": Case(
        "CK803",
        added("notes.md", b"cos\nsystem\n(S'true'\ntR."),
        (
            added("c.md", "cat\ndog\n"),
            added("vocab.txt", "class\nIt\n(a)\n"),
            added("n.md", "I am.\n"),
            added("i.txt", "isympy\nsympy\n"),
            added("x.md", "x^2.\n"),
        ),
    ),
    "a pickle that breaks off": Case(
        "CK803",
        added("a.png", pickle.dumps(Evil(), protocol=2)[:-1] + b"\xff"),
        (untouched,),
        UNLIKE,
    ),
    "a zip": Case(
        "CK803",
        added("a.png", packed(archive__data_pkl=b"", **{"a__data.pkl": pickle.dumps(Evil())})),
        (added("a.png", packed(a=b"text")),),
        UNLIKE,
    ),
    "a 7z": Case(
        "CK803",
        added("a.png", b"7z\xbc\xaf\x27\x1c" + bytes(40)),
        (added("a.png", b"7zip"),),
        UNLIKE,
    ),
    "a tar": Case(
        "CK803",
        added("a.png", tarred(pickle.dumps(Evil()))),
        (added("a.png", tarred(b"text")),),
        UNLIKE,
    ),
    "objects": Case(
        "CK803",
        added("a.png", array(np.array([{}], dtype=object))),
        (added("a.png", array(np.zeros(3))),),
        UNLIKE,
    ),
    "compressed": Case(
        "CK803",
        added("a.png", zlib.compress(pickle.dumps([1, 2]))),
        (added("a.png", zlib.compress(b"text")),),
        UNLIKE,
    ),
    "a type": Case(
        "CK804",
        added("model.onnx", b"\x08"),
        (added("LICENSE", "text"), added("a/chat.JINJA", "text"), added("demo.mp4", b"\0")),
    ),
    "a link out": Case(
        "CK805", linked("/etc/hostname", "host.md"), (untouched, added("link.json", "{}"))
    ),
    "a link up": Case("CK805", linked("../../x.json"), (untouched,), frozenset({"CK810"})),
    "a pipe": Case(
        "CK806", lambda folder: os.mkfifo(folder / "pipe.json"), (added("pipe", ""), untouched)
    ),
    "a socket": Case("CK806", bound, (untouched,)),
    ".env": Case(
        "CK807",
        added(".env", "A=1"),
        (added("env.json", "{}"), added(".gitattributes", "*")),
        frozenset({"CK804"}),
    ),
    "wandb": Case(
        "CK807",
        added("wandb/run/files.json", "{}"),
        (added("about_wandb.json", "{}"), added("a/wandbs/x.json", "{}")),
        frozenset({"CK743"}),
    ),
    "an editor's": Case(
        "CK807",
        added("config.json~", "{}"),
        (added("a~b.json", "{}"), added("swp.json", "{}")),
        frozenset({"CK744", "CK804"}),
    ),
    "python": Case(
        "CK808", added("modeling.py", ""), (added("py.md", "py"), untouched), frozenset({"CK804"})
    ),
    "auto_map": Case(
        "CK808",
        added("tokenizer_config.json", '{"a": {"auto_\\u006dap": {"AutoModel": "modeling.M"}}}'),
        (
            added("t.json", '{"auto_map": {}, "trust_remote_code": false}'),
            added("u.json", '{"text": "auto_map"}'),
        ),
    ),
    "a class": Case(
        "CK809",
        step(**{"class": "os.system", "config": {}}),
        (
            step(registry_name="rename_observations_processor", config={}),
            added("preprocessor_config.json", '{"size": 2}'),
        ),
        frozenset({"CK731", "CK732", "CK733"}),
    ),
    "a class elsewhere": Case(
        "CK809",
        added("my_processor.json", processor(**{"class": "a.B"})),
        (added("my_processor.json", processor(registry_name="device_processor")),),
    ),
    "an unknown step": Case(
        "CK809",
        added("x.json", processor(registry_name="mine")),
        (added("x.json", '{"steps": [1, {"name": "mine"}]}'),),
    ),
    "a state": Case(
        "CK809",
        added("x.json", processor(registry_name="device_processor", state_file="../x.safetensors")),
        (added("x.json", processor(registry_name="device_processor", state_file="x.safetensors")),),
    ),
    "a token": Case(
        "CK810",
        added("n.md", f"key {TOKEN}"),
        (
            added("n.md", "hf_" + "x" * 34),
            added("n.md", "token: <token> ${TOKEN} hf_your_token_here"),
        ),
    ),
    "a token in base64": Case(
        "CK810",
        added("n.md", base64.b64encode(f"token {TOKEN}".encode())),
        (added("n.md", base64.b64encode(b"nothing" * 9)),),
    ),
    "a key": Case(
        "CK810",
        added("n.md", json.dumps(PEM)),
        (
            added("n.md", "-----BEGIN PRIVATE KEY-----\n…"),
            added("n.md", "-----BEGIN PUBLIC KEY-----"),
        ),
    ),
    "metadata": Case(
        "CK810",
        tensors(lambda held: held, {"format": "pt", "note": TOKEN}),
        (tensors(lambda held: held, {"format": "pt"}),),
        frozenset({"CK611"}),
    ),
    "a home": Case(
        "CK811",
        edited("train_config.json", output_dir="/home/ada/run"),
        (
            edited("train_config.json", output_dir="outputs/home/ada"),
            added("n.md", "see https://x.org/home/ada and /home/user/x"),
            added("r.md", "/rootfs"),
        ),
        frozenset({"CK742"}),
    ),
    "Windows": Case(
        "CK811",
        added("n.json", '{"a": "C:\\\\Users\\\\ada\\\\x"}'),
        (added("n.json", '{"a": "C:\\\\Windows"}'), added("n.md", "Users")),
    ),
    "not strict": Case(
        "CK812",
        added("n.json", '{"a": NaN}'),
        (added("n.json", '{"a": 1e300}'), added("n.md", "NaN")),
    ),
    "repeated": Case(
        "CK812", added("n.json", '{"a": 1, "a": 2}'), (added("n.json", '{"a": {"a": 1}}'),)
    ),
    "marked": Case(
        "CK812", added("n.json", b"\xef\xbb\xbf{}"), (added("n.json", '{"\\ufeff": 1}'),)
    ),
    "UTF-16": Case("CK812", added("n.json", "{}".encode("utf-16")), (added("n.json", '"\ufffd"'),)),
    "huge": Case(
        "CK812",
        added("n.json", f'{{"a": {(1 << 64) + 1}}}'),
        (
            added("n.json", f'{{"a": {(1 << 64) - 1}}}'),
            added("tokenizer_config.json", '{"model_max_length": 1000000000000000019884624838656}'),
        ),
    ),
    "larger than any double": Case(
        "CK812", added("n.json", f'{{"a": {10**400}}}'), (added("n.json", f'{{"a": {2**80}}}'),)
    ),
    "no card": Case(
        "CK813", removed("README.md"), (untouched, added("README.md", CARD.replace("\n", "\r\n")))
    ),
    "an incomplete card": Case(
        "CK813",
        added("README.md", CARD.replace("license", "licence")),
        (added("README.md", CARD + "---\n"),),
    ),
    "a broken card": Case("CK813", added("README.md", "---\na: [\n---\n"), (untouched,)),
    "executable": Case(
        "CK814",
        added("a.json", "{}", 0o755),
        (added("a.json", "{}", 0o600), added("b/a.json", "{}")),
    ),
    "writable": Case("CK814", added("a.json", "{}", 0o666), (added("a.json", "{}", 0o664),)),
    "too large": Case(
        "CK815", sparse, (added("a.json", "{}"), untouched), frozenset({"CK818", "CK819"})
    ),
    "no weights": Case(
        "CK816", removed("model.safetensors"), (untouched, added("sub/config.json", "{}"))
    ),
    "unreadable config": Case(
        "CK816",
        both(removed("model.safetensors"), added("weights.pt", b"")),
        (config(type="smolvla"),),
        frozenset({"CK802", "CK804"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rule_finds_its_fault_and_no_near_miss(name: str, tmp_path: Path) -> None:
    hold_gated(CASES[name], tmp_path)


def test_what_a_pickle_imports_is_named_and_it_is_never_rated_safe(tmp_path: Path) -> None:
    folder = changed(
        tmp_path / "it",
        both(
            carded,
            added("a.png", pickle.dumps(Evil(), protocol=4)),
            added("b.png", pickle.dumps([1, 2, 3])),
        ),
    )
    told = {finding.path: finding.what for finding in findings(folder) if finding.code == "CK803"}
    assert "imports posix.system" in told["a.png"]
    assert all("never rated safe" in what for what in told.values())
    assert len(told) == 2


def test_a_link_inside_is_a_note_and_one_out_an_error(tmp_path: Path) -> None:
    folder = changed(
        tmp_path / "it",
        both(carded, linked("config.json", "a.json"), linked("/etc/hostname", "b.json")),
    )
    told = {
        finding.path: str(finding.severity)
        for finding in findings(folder)
        if finding.code == "CK805"
    }
    assert told == {"a.json": "note", "b.json": "error"}


def test_links_of_a_cached_snapshot_into_its_blobs_are_at_home(tmp_path: Path) -> None:
    snapshot = changed(tmp_path / "models--a--b" / "snapshots" / "00", carded)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    (snapshot / "config.json").rename(blobs / "1")
    (snapshot / "config.json").symlink_to("../../blobs/1")
    assert findings(snapshot) == ()
