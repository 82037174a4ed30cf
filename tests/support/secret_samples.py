"""Generated secrets of every kind, and the ways in which a text may escape them.

They are drawn by a seeded generator: Hypothesis shrinks to AAAA, which is a placeholder.
"""

from __future__ import annotations

import base64
import random
import string
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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
