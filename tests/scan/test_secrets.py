"""Secrets in a text are found however they are spelled, and are masked in what is printed."""

from __future__ import annotations

import base64
import json
import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckpt_tools.rules.checks import private_text
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
from tests.support.secret_samples import ALNUM, ESCAPES, KINDS, drawn

SURROUNDINGS = st.text(
    alphabet=st.characters(
        codec="utf-8", exclude_categories=("L", "N", "Cs"), exclude_characters="\\%&_+=/-@.\"'"
    ),
    max_size=30,
)


@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(sorted(ESCAPES)),
    st.integers(0, 10**6),
    SURROUNDINGS,
    SURROUNDINGS,
)
def test_a_secret_is_found_in_any_text_and_escaping(
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
def test_masked_secrets_show_at_most_four_characters(kind: str, seed: int, around: str) -> None:
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
def test_a_truncated_secret_is_masked(cut: int) -> None:
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
def test_a_secret_that_contains_a_placeholder_is_found(value: str) -> None:
    assert [secret.value for secret in secrets(f"token: {value}")] == [value]


@pytest.mark.parametrize("quote", ["> ", "# ", "    "])
def test_a_private_key_with_quoted_lines_is_found(quote: str) -> None:
    body = "\n".join(f"{quote}{drawn(line, 64)}" for line in range(4))
    assert [secret.kind for secret in secrets(f"{quote}-----BEGIN PRIVATE KEY-----\n{body}\n")] == [
        "private key"
    ]


def test_a_putty_key_is_found() -> None:
    assert secrets(f"PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{drawn(1, 48)}\n")


def test_lines_are_counted_across_chunks() -> None:
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
def test_a_secret_at_the_edge_of_a_chunk_is_found_once(
    shift: int, kind: str, escape: str, seed: int
) -> None:
    lead, value = KINDS[kind](seed)
    before = "lorem ipsum " * (WINDOW // 12 + 2)
    found = secrets(f"{before[: WINDOW + shift]} {ESCAPES[escape](lead + value)} {before}")
    assert len(found) == len(secrets(f"lorem {ESCAPES[escape](lead + value)} ipsum")) >= 1


@given(st.text(alphabet=' \\%&_/u05fx;"ab\n', max_size=400).map(lambda text: text * 40))
def test_no_decoded_variant_is_larger_than_the_text(text: str) -> None:
    assert all(
        len(view) <= len(text) + text.count("\\") + text.count("%") + text.count("&")
        for view in unescaped(text)
    )
    assert len(encoded(text)) <= 4 * len(text)
    joined, places = dense(text, (b"a",))
    assert len(joined) <= len(text) + len(places)
    assert (
        sum(len(part) for _, part in overlapping_chunks(text * 30))
        <= 30 * len(text) * (1 + OVERLAP / WINDOW) + OVERLAP + WINDOW
    )


@given(st.text(alphabet=' \\%&_/homeUsrsC:~.ad\n"', max_size=200))
def test_personal_paths_are_hidden_in_any_text(text: str) -> None:
    assert all(isinstance(home, str) for home in homes(text))
    assert (
        list(homes(hidden(text))) == [] or "\\" in text or "%" in text or "~" in text or ":" in text
    )


def test_secret_kinds_have_their_article() -> None:
    spelled = {
        kind: private_text._with_article(kind)
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


def test_at_most_ten_thousand_secrets_are_returned() -> None:
    generator = random.Random(3)  # noqa: S311 - secrets that open nothing
    text = "\n".join(f"hf_{''.join(generator.choices(ALNUM, k=34))}" for _ in range(12_000))
    assert len(secrets(text)) == MOST


@given(st.lists(st.text("abc", min_size=1, max_size=30), max_size=5), st.text("abcd", max_size=60))
def test_no_prefix_or_suffix_of_a_known_secret_remains(values: list[str], text: str) -> None:
    left = re.sub("…|\\([0-9]+ characters\\)", "#", Known(values).cut(text))
    for value in values:
        size = min(max(5, min(8, len(value) // 3)), len(value))
        assert value[:size] not in left.split("#") or size > len(text)
    assert Known(()).cut(text) == text


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
def test_placeholders_and_look_alikes_are_not_secrets(harmless: str) -> None:
    assert secrets(harmless) == ()


@given(st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_text_can_be_scanned(anything: str) -> None:
    assert decoded_variants(anything)[0] == anything
    assert mask(anything) is not None
    secrets(anything)
