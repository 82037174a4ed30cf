"""Secrets are found wherever they stand and however they are spelled, and what is printed of them could not be used.

The secrets are drawn by a seeded generator: Hypothesis shrinks to AAAA, which stands for a secret and is none.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
import string
import urllib.parse
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckpt_tools.api.gating import gate
from ckpt_tools.report import github, junit, markdown, sarif, text, verdict_page, verification_json
from ckpt_tools.rules.secrets import mask, redacted, secrets
from ckpt_tools.rules.views import views
from ckpt_tools.store.listing import single
from tests.rules.cases import NORMAL
from tests.rules.gated import CARD, NOTHING, with_metadata

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
        if any(map(str.isdigit, made)) and any(map(str.islower, made)) == any(map(str.islower, alphabet)):
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
    "presigned": lambda seed: ("https://b.s3.amazonaws.com/x?X-Amz-Signature=", drawn(seed, 64, HEX)),
    "SAS": lambda seed: ("https://a.blob.core.windows.net/c?sv=2024&sig=", drawn(seed, 43)),
    "assigned": lambda seed: ('"api_key": "', drawn(seed, 32)),
    "password": lambda seed: ("password: ", drawn(seed, 20)),
}
ESCAPES: dict[str, Callable[[str], str]] = {
    "none": str,
    "JSON": lambda plain: "".join(f"\\u{ord(letter):04x}" for letter in plain),
    "some of JSON": lambda plain: "".join(letter if ord(letter) % 3 else f"\\u{ord(letter):04X}" for letter in plain).replace("/", "\\/"),
    "twice": lambda plain: "".join(f"\\\\u{ord(letter):04x}" for letter in plain),
    "URL": lambda plain: "".join(f"%{ord(letter):02X}" for letter in plain),
    "quoted": urllib.parse.quote,
    "base64": lambda plain: base64.b64encode(plain.encode()).decode(),
    "base64 for URLs": lambda plain: base64.urlsafe_b64encode(plain.encode()).decode().rstrip("="),
    "HTML": lambda plain: "".join(f"&#{ord(letter)};" for letter in plain),
}
AROUND = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("L", "N", "Cs"), exclude_characters="\\%&_+=/-@.\"'"), max_size=30)


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(ESCAPES)), st.integers(0, 10**6), AROUND, AROUND)
def test_a_secret_is_found_in_any_text_and_spelling(kind: str, escape: str, seed: int, before: str, after: str) -> None:
    lead, value = KINDS[kind](seed)
    spelled = f"{before} {ESCAPES[escape](lead + value)} {after}"
    assert any(value.startswith(secret.value) or secret.value in value for secret in secrets(spelled)), spelled


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10**6), st.text(alphabet=f"{ALNUM} \n", max_size=40))
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


def picture(comment: str = "") -> bytes:
    """A PNG of noise with a comment."""
    generator = random.Random(7)  # noqa: S311 - noise
    chunks = (b"IHDR", bytes(13)), (b"tEXt", b"Comment\0" + comment.encode("latin-1")), (b"IDAT", generator.randbytes(300_000)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(len(data).to_bytes(4) + kind + data + bytes(4) for kind, data in chunks)


def test_noise_and_a_plain_comment_hold_no_secret(tmp_path: Path) -> None:
    (tmp_path / "loss.png").write_bytes(picture("Software: matplotlib version 3.11"))
    (entry,) = single(str(tmp_path / "loss.png"))
    assert entry.strings
    assert "matplotlib" in entry.strings
    assert secrets(entry.strings) == ()


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("place", ["README.md", "config.json", "train_config.json", "metadata", "name", "picture"])
def test_no_output_of_the_gate_holds_the_secret(number: int, place: str, tmp_path: Path) -> None:
    kind = sorted(KINDS)[number]
    if number % 3 != ["README.md", "config.json", "train_config.json", "metadata", "name", "picture"].index(place) % 3:
        return
    lead, value = KINDS[kind](number)
    folder = tmp_path / "it"
    shutil.copytree(NORMAL, folder)
    (folder / "README.md").write_text(CARD + (f"\n{lead}{value}" if place == "README.md" else ""))
    if place.endswith(".json"):
        document = json.loads((folder / place).read_text())
        (folder / place).write_text(json.dumps({**document, "teacher_model_path": f"{lead}{value}"}))
    elif place == "metadata":
        (folder / "extra.safetensors").write_bytes(with_metadata(f"{lead}{value}"))
    elif place == "picture":
        (folder / "loss.png").write_bytes(picture(f"{lead}{value}"))
    elif place == "name":
        (folder / f"{(lead + value).replace('/', '')}.md").write_text("")
    verdict = gate(str(folder), settings=NOTHING)
    page = verdict_page.page(verdict)
    told = [text.render(page), markdown.render(page), json.dumps(verification_json.document(verdict)), *(one.render(verdict) for one in (junit, sarif, github))]
    assert place == "name" or any(finding.code == "CK810" for finding in verdict.refused)
    plain = value.partition("@")[0].rpartition(".eyJ")[2]
    assert not any(plain[5 : 5 + len(plain) // 3] in one for one in told)


def test_a_private_key_is_found_across_lines_and_in_json() -> None:
    body = "\n".join(drawn(line, 64) for line in range(4))
    key = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    for spelled in (key, json.dumps({"key": key}), json.dumps(json.dumps(key)), key.replace("\n", "\r\n"), base64.encodebytes(key.encode()).decode()):
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
    ],
)
def test_placeholders_and_look_alikes_are_no_secrets(harmless: str) -> None:
    assert secrets(harmless) == ()


@given(st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_looked_through(anything: str) -> None:
    assert views(anything)[0] == anything
    assert mask(anything) is not None
    secrets(anything)
