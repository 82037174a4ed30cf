"""Secrets are found wherever they are and however they are spelled.

What is printed of them could not be used. The secrets are drawn by a seeded generator: Hypothesis
shrinks to AAAA, which stands for a secret and is none.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import random
import re
import shutil
import string
import urllib.parse
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckpt_tools.api._gate import gate
from ckpt_tools.api._verify import verify
from ckpt_tools.report.formats import github, junit, markdown, sarif, text
from ckpt_tools.report.json import findings as findings_json
from ckpt_tools.report.pages import verdict as verdict_page
from ckpt_tools.rules.checks import file_content
from ckpt_tools.scan.folder import single
from ckpt_tools.scan.home_paths import hidden, homes
from ckpt_tools.scan.redact import Known
from ckpt_tools.scan.secrets import MOST, mask, redacted, secrets
from ckpt_tools.scan.unescape import (
    OVERLAP,
    WINDOW,
    decoded_variants,
    dense,
    encoded,
    overlapping_chunks,
    unescaped,
)
from tests.support.cases import NORMAL
from tests.support.gated import CARD, NOTHING, with_metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
URLSAFE = f"{ALNUM}-_"


def drawn(seed: int, length: int, alphabet: str = ALNUM) -> str:
    generator = random.Random(seed)  # noqa: S311 - secrets that open nothing
    while True:
        made = "".join(generator.choice(alphabet) for _ in range(length))
        if any(map(str.isdigit, made)) and any(map(str.islower, made)) == any(
            map(str.islower, alphabet)
        ):
            return made


def jwt(seed: int) -> str:
    return f"eyJ{drawn(seed, 30)}.eyJ{drawn(seed + 1, 60)}.{drawn(seed + 2, 43, URLSAFE)}"


KINDS: dict[str, Callable[[int], tuple[str, str]]] = {
    "Hugging Face": lambda seed: ("", f"hf_{drawn(seed, 34)}"),
    "wandb, old": lambda seed: ('"wandb_api_key": "', drawn(seed, 40, HEX)),
    "wandb, new": lambda seed: ("", f"wandb_v1_{drawn(seed, 77)}"),
    "GitHub": lambda seed: ("", f"ghp_{drawn(seed, 36)}"),
    "GitHub, fine": lambda seed: ("", f"github_pat_{drawn(seed, 22)}_{drawn(seed + 1, 59)}"),
    "GitHub, OAuth": lambda seed: ("", f"gho_{drawn(seed, 36)}"),
    "AWS": lambda seed: ("", f"AKIA{drawn(seed, 16, string.ascii_uppercase + string.digits)}"),
    "AWS secret": lambda seed: ("aws_secret_access_key = ", drawn(seed, 40)),
    "OpenAI": lambda seed: (" ", f"sk-{drawn(seed, 48)}"),
    "OpenAI, project": lambda seed: ("sk-proj-", drawn(seed, 60)),
    "Slack": lambda seed: ("", f"xoxb-{drawn(seed, 12, string.digits)}-{drawn(seed, 24)}"),
    "Google": lambda seed: ("", f"AIza{drawn(seed, 35)}"),
    "JWT": lambda seed: ("", jwt(seed)),
    "URL": lambda seed: ("https://ada:", f"{drawn(seed, 20)}@example.com/x"),
    "presigned": lambda seed: (
        "https://b.s3.amazonaws.com/x?X-Amz-Signature=",
        drawn(seed, 64, HEX),
    ),
    "SAS": lambda seed: ("https://a.blob.core.windows.net/c?sv=2024&sig=", drawn(seed, 43)),
    "assigned": lambda seed: ('"api_key": "', drawn(seed, 32)),
    "password": lambda seed: ("password: ", drawn(seed, 20)),
    "Hugging Face, OAuth": lambda seed: ("", f"hf_oauth_{drawn(seed, 60)}"),
    "Hugging Face, JWT": lambda seed: ("", f"hf_jwt_{drawn(seed, 60)}"),
    "bearer": lambda seed: ("Authorization: Bearer ", drawn(seed, 40)),
    "basic": lambda seed: (
        "Authorization: Basic ",
        base64.b64encode(f"ada:{drawn(seed, 17)}".encode()).decode(),
    ),
    "Kaggle": lambda seed: ('{"username":"ada","key":"', f'{drawn(seed, 32, HEX)}"}}'),
    "netrc": lambda seed: ("machine github.com login ada password ", drawn(seed, 14)),
    "netrc of wandb": lambda seed: (
        "machine api.wandb.ai\n  login user\n  password ",
        drawn(seed, 40, HEX),
    ),
    "wandb login": lambda seed: ("wandb login ", drawn(seed, 40, HEX)),
    "wandb, assigned": lambda seed: ('wandb.login(key="', drawn(seed, 40, HEX)),
    "Groq": lambda seed: ("", f"gsk_{drawn(seed, 52)}"),
    "NVIDIA": lambda seed: ("", f"nvapi-{drawn(seed, 64)}"),
    "Replicate": lambda seed: ("", f"r8_{drawn(seed, 37)}"),
    "xAI": lambda seed: ("", f"xai-{drawn(seed, 80)}"),
    "Perplexity": lambda seed: ("", f"pplx-{drawn(seed, 48)}"),
    "Fireworks": lambda seed: ("", f"fw_{drawn(seed, 24)}"),
    "RunPod": lambda seed: ("", f"rpa_{drawn(seed, 40)}"),
    "Databricks": lambda seed: (" ", f"dapi{drawn(seed, 32, HEX)}"),
    "DigitalOcean": lambda seed: ("", f"dop_v1_{drawn(seed, 64, HEX)}"),
    "Docker": lambda seed: ("", f"dckr_pat_{drawn(seed, 27)}"),
    "Shopify": lambda seed: ("", f"shpat_{drawn(seed, 32, HEX)}"),
    "Notion": lambda seed: ("", f"ntn_{drawn(seed, 46)}"),
    "Linear": lambda seed: ("", f"lin_api_{drawn(seed, 40)}"),
    "Mailgun": lambda seed: (" ", f"key-{drawn(seed, 32, HEX)}"),
    "Terraform": lambda seed: (drawn(seed + 1, 14), f".atlasv1.{drawn(seed, 64)}"),
    "Discord": lambda seed: (f"MTA{drawn(seed + 1, 23)}.G{drawn(seed + 2, 5)}.", drawn(seed, 38)),
    "Discord, hook": lambda seed: (
        "https://discord.com/api/webhooks/123456789012345678/",
        drawn(seed, 68),
    ),
    "age": lambda seed: (
        "",
        f"AGE-SECRET-KEY-1{drawn(seed, 58, string.ascii_uppercase + string.digits)}",
    ),
    "JSON web key": lambda seed: ('{"kty":"OKP","crv":"Ed25519","d":"', f'{drawn(seed, 43)}"}}'),
    "URL, token only": lambda seed: ("https://", f"{drawn(seed, 30)}@github.com/x"),
}
ESCAPES: dict[str, Callable[[str], str]] = {
    "none": str,
    "JSON": lambda plain: "".join(f"\\u{ord(letter):04x}" for letter in plain),
    "some of JSON": lambda plain: "".join(
        letter if ord(letter) % 3 else f"\\u{ord(letter):04X}" for letter in plain
    ).replace("/", "\\/"),
    "twice": lambda plain: "".join(f"\\\\u{ord(letter):04x}" for letter in plain),
    "URL": lambda plain: "".join(f"%{ord(letter):02X}" for letter in plain),
    "quoted": urllib.parse.quote,
    "base64": lambda plain: base64.b64encode(plain.encode()).decode(),
    "base64 for URLs": lambda plain: base64.urlsafe_b64encode(plain.encode()).decode().rstrip("="),
    "HTML": lambda plain: "".join(f"&#{ord(letter)};" for letter in plain),
    "HTML, padded": lambda plain: "".join(f"&#x00{ord(letter):X};" for letter in plain),
    "HTML, named": lambda plain: (
        plain.replace("_", "&lowbar;")
        .replace(":", "&colon;")
        .replace(".", "&period;")
        .replace("=", "&equals;")
    ),
    "Markdown": lambda plain: "".join(
        f"\\{letter}" if letter in string.punctuation else letter for letter in plain
    ),
    "long": lambda plain: "".join(f"\\U{ord(letter):08x}" for letter in plain),
    "octal": lambda plain: "".join(f"\\{ord(letter):03o}" for letter in plain),
    "braces": lambda plain: "".join(f"\\u{{{ord(letter):x}}}" for letter in plain),
}
AROUND = st.text(
    alphabet=st.characters(
        codec="utf-8", exclude_categories=("L", "N", "Cs"), exclude_characters="\\%&_+=/-@.\"'"
    ),
    max_size=30,
)


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(sorted(ESCAPES)),
    st.integers(0, 10**6),
    AROUND,
    AROUND,
)
def test_a_secret_is_found_in_any_text_and_spelling(
    kind: str, escape: str, seed: int, before: str, after: str
) -> None:
    lead, value = KINDS[kind](seed)
    spelled = f"{before} {ESCAPES[escape](lead + value)} {after}"
    assert any(
        value.startswith(secret.value) or secret.value in value for secret in secrets(spelled)
    ), spelled


@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 10**6),
    st.text(alphabet=f"{ALNUM} \n", max_size=40),
)
def test_what_is_masked_shows_at_most_four_characters(kind: str, seed: int, around: str) -> None:
    lead, value = KINDS[kind](seed)
    plain = value.partition("@")[0]
    shown = mask(f"{around} {lead}{value} {around}")
    pieces = [plain[start : start + 12] for start in range(4, len(plain) - 12)]
    assert kind == "JWT" or not any(piece in shown for piece in pieces)


@given(st.text(min_size=1, max_size=200))
def test_never_more_than_a_third_is_shown(value: str) -> None:
    shown = redacted(value).partition("…")[0]
    assert len(shown) <= min(4, len(value) // 3)
    assert value.startswith(shown)


@pytest.mark.parametrize("cut", [10, 20, 30])
def test_a_secret_that_a_rule_cut_short_is_masked_too(cut: int) -> None:
    value = f"hf_{drawn(1, 34)}"
    assert value[5:cut] not in mask(f"is {value[:cut]}…", (value,))
    assert value[-cut:-2] not in mask(f"is …{value[-cut:]}", (value,))


@pytest.mark.parametrize(
    "value",
    [
        "hf_AbC7dExxxxxJ2kLmN4pQrS6tUvW8xYz1234",
        "hf_AbC7dEexample2kLmN4pQrS6tUvW8xYz12",
        "hf_AbC7dE12345678kLmN4pQrS6tUvW8xYz1",
    ],
)
def test_a_placeholder_inside_excuses_no_secret(value: str) -> None:
    assert [secret.value for secret in secrets(f"token: {value}")] == [value]


@pytest.mark.parametrize("quote", ["> ", "# ", "    "])
def test_a_private_key_is_found_where_its_lines_are_quoted(quote: str) -> None:
    body = "\n".join(f"{quote}{drawn(line, 64)}" for line in range(4))
    assert [secret.kind for secret in secrets(f"{quote}-----BEGIN PRIVATE KEY-----\n{body}\n")] == [
        "private key"
    ]


def test_a_key_of_putty_is_found() -> None:
    assert secrets(f"PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{drawn(1, 48)}\n")


def test_lines_are_counted_through_windows() -> None:
    value = [f"hf_{drawn(seed, 34)}" for seed in range(3)]
    lines = [f"word {number}" for number in range(120_000)]
    lines[10], lines[60_000], lines[119_999] = value
    text = "\n".join(lines)
    assert len(text) > 3 * WINDOW
    assert [(secret.value, secret.line) for secret in secrets(text)] == [
        (value[0], 11),
        (value[1], 60_001),
        (value[2], 120_000),
    ]


@given(
    st.integers(-300, 300),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(sorted(ESCAPES)),
    st.integers(0, 10**6),
)
@settings(max_examples=30, deadline=None)
def test_a_secret_at_the_edge_of_a_window_is_found_once(
    shift: int, kind: str, escape: str, seed: int
) -> None:
    lead, value = KINDS[kind](seed)
    before = "lorem ipsum " * (WINDOW // 12 + 2)
    found = secrets(f"{before[: WINDOW + shift]} {ESCAPES[escape](lead + value)} {before}")
    assert len(found) == len(secrets(f"lorem {ESCAPES[escape](lead + value)} ipsum")) >= 1


@given(st.text(alphabet=' \\%&_/u05fx;"ab\n', max_size=400).map(lambda text: text * 40))
def test_no_view_is_larger_than_the_text(text: str) -> None:
    assert all(
        len(view) <= len(text) + text.count("\\") + text.count("%") + text.count("&")
        for view in unescaped(text)
    )
    assert len(encoded(text)) <= 4 * len(text)
    joined, places = dense(text, ("a",))
    assert len(joined) <= len(text) + len(places)
    assert (
        sum(len(part) for _, part in overlapping_chunks(text * 30))
        <= 30 * len(text) * (1 + OVERLAP / WINDOW) + OVERLAP + WINDOW
    )


@given(st.text(alphabet=' \\%&_/homeUsrsC:~.ad\n"', max_size=200))
def test_homes_are_hidden_in_any_text(text: str) -> None:
    assert all(isinstance(home, str) for home in homes(text))
    assert (
        list(homes(hidden(text))) == [] or "\\" in text or "%" in text or "~" in text or ":" in text
    )


def test_secrets_without_number_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    (folder / "README.md").write_text(CARD)
    (folder / "vocab.txt").write_text("\n".join(f"hf_{drawn(seed, 34)}" for seed in range(57)))
    told = [
        finding.what
        for finding in gate(str(folder), settings=NOTHING).refused
        if finding.code == "CK810"
    ]
    assert len(told) == 21
    assert "contains 37 more secrets of this kind: Hugging Face token" in told


def test_kinds_have_their_article() -> None:
    spelled = {
        kind: file_content._with_article(kind)
        for kind in (
            "API key (sk-)",
            "AWS key",
            "npm token",
            "Hugging Face token",
            "secret that is assigned",
        )
    }
    assert list(spelled.values()) == [
        "an API key (sk-)",
        "an AWS key",
        "an npm token",
        "a Hugging Face token",
        "a secret that is assigned",
    ]


def test_no_more_than_ten_thousand_are_looked_for() -> None:
    generator = random.Random(3)  # noqa: S311 - secrets that open nothing
    text = "\n".join(f"hf_{''.join(generator.choices(ALNUM, k=34))}" for _ in range(12_000))
    assert len(secrets(text)) == MOST


@given(st.lists(st.text("abc", min_size=1, max_size=30), max_size=5), st.text("abcd", max_size=60))
def test_no_start_or_end_of_a_known_secret_is_left(values: list[str], text: str) -> None:
    left = re.sub("…|\\([0-9]+ characters\\)", "#", Known(values).cut(text))
    for value in values:
        size = min(max(5, min(8, len(value) // 3)), len(value))
        assert value[:size] not in left.split("#") or size > len(text)
    assert Known(()).cut(text) == text


WIDE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
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


@pytest.mark.parametrize("name", WIDE)
def test_what_is_read_of_a_file_has_the_secret(name: str, tmp_path: Path) -> None:
    value = f"hf_{drawn(5, 34)}"
    path, spelled = WIDE[name]
    (tmp_path / path).write_bytes(spelled(value.encode()))
    (entry,) = single(str(tmp_path / path))
    assert value in {secret.value for text, _ in entry.texts for secret in secrets(text)}


@pytest.mark.parametrize("place", ["type", "key", "state_file", "broken"])
def test_no_output_of_verify_holds_the_secret(place: str, tmp_path: Path) -> None:
    value = f"hf_{drawn(9, 34)}"
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    path = folder / ("policy_preprocessor.json" if place == "state_file" else "config.json")
    document = json.loads(path.read_text())
    if place == "type":
        document["type"] = value
    elif place == "key":
        document[value] = {value: value}
        document["input_features"][value] = {"type": value, "shape": [1]}
    else:
        document["steps" if place == "state_file" else "a"] = [
            {"registry_name": value, "state_file": f"{value}.safetensors"}
        ]
    path.write_text(json.dumps(document) + (f'"{value}": {value}' if place == "broken" else ""))
    seen = verify(str(folder), settings=NOTHING)
    assert seen.findings
    page = verdict_page.page(seen)
    told = [
        text.render(page),
        markdown.render(page),
        json.dumps(findings_json.document(seen)),
        *(one.render(seen) for one in (junit, sarif, github)),
    ]
    assert not any(value[5:15] in one for one in told)


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


def test_noise_and_a_plain_comment_hold_no_secret(tmp_path: Path) -> None:
    (tmp_path / "loss.png").write_bytes(picture("Software: matplotlib version 3.11"))
    (entry,) = single(str(tmp_path / "loss.png"))
    assert entry.strings
    assert "matplotlib" in entry.strings
    assert secrets(entry.strings) == ()


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize(
    "place", ["README.md", "config.json", "train_config.json", "metadata", "name", "picture"]
)
def test_no_output_of_the_gate_holds_the_secret(number: int, place: str, tmp_path: Path) -> None:
    kind = sorted(KINDS)[number]
    if (
        number % 3
        != ["README.md", "config.json", "train_config.json", "metadata", "name", "picture"].index(
            place
        )
        % 3
    ):
        return
    lead, value = KINDS[kind](number)
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    (folder / "README.md").write_text(CARD + (f"\n{lead}{value}" if place == "README.md" else ""))
    if place.endswith(".json"):
        document = json.loads((folder / place).read_text())
        (folder / place).write_text(
            json.dumps({**document, "teacher_model_path": f"{lead}{value}"})
        )
    elif place == "metadata":
        (folder / "extra.safetensors").write_bytes(with_metadata(f"{lead}{value}"))
    elif place == "picture":
        (folder / "loss.png").write_bytes(picture(f"{lead}{value}"))
    elif place == "name":
        (folder / f"{(lead + value).replace('/', '')}.md").write_text("")
    verdict = gate(str(folder), settings=NOTHING)
    page = verdict_page.page(verdict)
    told = [
        text.render(page),
        markdown.render(page),
        json.dumps(findings_json.document(verdict)),
        *(one.render(verdict) for one in (junit, sarif, github)),
    ]
    assert place == "name" or any(finding.code == "CK810" for finding in verdict.refused)
    plain = value.partition("@")[0].rpartition(".eyJ")[2]
    assert not any(plain[5 : 5 + len(plain) // 3] in one for one in told)


def test_a_private_key_is_found_across_lines_and_in_json() -> None:
    body = "\n".join(drawn(line, 64) for line in range(4))
    key = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    for spelled in (
        key,
        json.dumps({"key": key}),
        json.dumps(json.dumps(key)),
        key.replace("\n", "\r\n"),
        base64.encodebytes(key.encode()).decode(),
    ):
        assert [secret.kind for secret in secrets(spelled)] == ["private key"]


@pytest.mark.parametrize(
    "harmless",
    [
        "hf_" + "x" * 34,
        "hf_your_token_here",
        "HF_TOKEN=<token>",
        "export HF_TOKEN=${TOKEN}",
        'token = os.environ["HF_TOKEN"]',
        "token: {{ secrets.HF_TOKEN_2024 }}",
        "hf_api and hf_hub_download(repo_id)",
        "AKIAIOSFODNN7EXAMPLE",
        "https://user:pass@host/x",
        "https://${USER}:${PASSWORD}@host/x",
        "https://host:8080/a@b",
        "sk-your-key",
        "task-0123456789abcdef0123456789abcdef",
        '"tokenizer_name": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"',
        '"bos_token": "<|begin_of_text|>"',
        '"unk_token_id": 128001',
        "password: changeme123changeme123",
        "wandb commit 0123456789abcdef0123456789abcdef01234567",
        "revision: 0123456789abcdef0123456789abcdef01234567",
        "eyJ.eyJ.abc",
        "token=get_token_from_v2(1)",
        "-----BEGIN PUBLIC KEY-----\n" + "A1b2" * 20,
        "Trained with wandb.\n\nLeRobot at 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        (
            "[wandb](https://wandb.ai/x) see"
            " https://github.com/a/b/commit/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
        ),
        (
            "wandb report; model at"
            " https://huggingface.co/x/tree/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
        ),
        "token: google/paligemma-3b-pt-224",
        "next_token=SmolVLM2-500M-Video-Instruct",
        "sha256 of token: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "secret: projects/my-proj-123/secrets/my-secret-9",
        "mysql://root:root@localhost/db",
        "rtsp://admin:admin@192.168.1.10/cam",
        "rtsp://user:1234@10.0.0.2/stream",
        "https://user:$HF_TOKEN@huggingface.co/x",
        "hf_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
        "hf_1234567890abcdefghijklmnopqrstuvwx",
        "wandb_key: 0123456789abcdef0123456789abcdef01234567",
        "Authorization: Bearer $HF_TOKEN",
        "a machine learning password manager",
    ],
)
def test_placeholders_and_look_alikes_are_no_secrets(harmless: str) -> None:
    assert secrets(harmless) == ()


@given(st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_looked_through(anything: str) -> None:
    assert decoded_variants(anything)[0] == anything
    assert mask(anything) is not None
    secrets(anything)
