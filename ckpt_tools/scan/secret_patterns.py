"""The kinds of secrets, by the forms that their issuers give them, and what only looks like one.

Every kind has words in lower case without which it does not occur, so that most texts cost one
search for all of them. Expressions take time that is linear in the text: what is repeated without
bound stands at their ends. Those that are folded are asked of the text in lower case.
"""

from __future__ import annotations

import re
from functools import cache
from math import log2
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Hit(NamedTuple):
    """Where a kind's expression matched in `text`.

    From `first`, with the secret from `start` to `end`.
    """

    text: str
    first: int
    start: int
    end: int

    @property
    def value(self) -> str:
        """Return the secret."""
        return self.text[self.start : self.end]

    @property
    def lead(self) -> str:
        """Return what the expression matched before the secret."""
        return self.text[self.first : self.start]

    def before(self, length: int) -> str:
        """Return what stands before the match."""
        return self.text[max(0, self.first - length) : self.first]


class Kind(NamedTuple):
    """A form of secrets: its words, its expression (group `s` is the secret, else all.

    Where `leads`, it starts with a word), what a match must be.
    """

    name: str
    words: tuple[str, ...]
    expression: str
    folded: bool = False
    leads: bool = False
    holds: Callable[[Hit], bool] = lambda _: True


@cache
def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """Return the expression, compiled once."""
    return re.compile(expression, flags)


# --- what stands for a secret ---------------------------------------------------------------------

_STANDS = (
    r"x{3,}|\*{3,}|\.{3,}|0{4,}|example|sample|yours?|token|"
    r"placeholder|redacted|removed|change_?me|dummy|insert|fake|secret|key|passw(?:or)?d|goes|here|api|my"
)
_COMMON = frozenset(
    (
        "pass",
        "password",
        "passwd",
        "pwd",
        "pw",
        "secret",
        "token",
        "xxx",
        "user",
        "username",
        "key",
        "apikey",
        "null",
        "none",
    )
)
_ISSUED = r"^[A-Za-z]{2,6}[_-](?=.{16})"
_AWS = (20, 40)
_DISTINCT = 5
_STEPS = 6
"""Characters that follow each other in the alphabet, as 1234 and abcd do, and nobody draws."""


def is_real(value: str) -> bool:
    """Whether a value is none of those that stand for one.

    Most of it is drawn, not words for a secret or the alphabet.
    """
    few = len(value) > 2 * _DISTINCT and len(set(value)) <= _DISTINCT
    if (
        few
        or value.lower() in _COMMON
        or (len(value) in _AWS and value.endswith(("EXAMPLE", "EXAMPLEKEY")))
    ):
        return False
    body = compiled(_ISSUED).sub("", value).lower()
    signs = sum(map(str.isalnum, body)) or 1
    words = sum(len(word.strip("_")) for word in compiled(_STANDS).findall(body))
    return max(words, words + _stepped(compiled(_STANDS).sub(" ", body))) < signs / 2


def _stepped(body: str) -> int:
    """Return how many characters stand in runs of the alphabet or of the digits."""
    total = run = 1
    total = 0
    for left, right in zip(body, f"{body[1:]}\0", strict=True):
        if right.isalnum() and left.isalnum() and ord(right) - ord(left) in (0, 1):
            run += 1
            continue
        total += run if run >= min(_STEPS, len(body)) else 0
        run = 1
    return total


# --- what a match must be -------------------------------------------------------------------------

_ENTROPY = 3.0
_NAMELIKE = 3.0
_DIGEST = r"(?:commit|sha-?[0-9]{0,3}|revision|rev|digest|hash|version|checksum|md5)\b[^\n]{0,20}$"


def is_drawn(value: str) -> bool:
    """Whether a value looks drawn rather than named: letters and digits, and much of it."""
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    drawn = letters > 0 and (digits > 2 or (digits > 0 and _has_cases(value)))  # noqa: PLR2004 - names have a digit or two: resnet50
    return (
        drawn
        and sum(
            -value.count(sign) / len(value) * log2(value.count(sign) / len(value))
            for sign in set(value)
        )
        >= _ENTROPY
    )


def _is_assigned(hit: Hit) -> bool:
    """Whether what is assigned is drawn, and no call, no name such as SmolVLM2-500M-Video and no digest."""
    if hit.text[hit.end : hit.end + 1] in ("(", "[") or not is_drawn(hit.value):
        return False
    spoken = "passw" in hit.lead.lower() or "passphrase" in hit.lead.lower()
    return (spoken or not _is_name(hit.value)) and not _follows_digest(hit)


def _is_name(value: str) -> bool:
    """Whether a value is made of words and numbers with signs between them.

    What is drawn changes between letters and digits at every second place.
    """
    parts = compiled(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+").findall(value)
    return compiled(r"[a-zA-Z0-9][/._-]+[a-zA-Z0-9]").search(value) is not None and sum(
        map(len, parts)
    ) >= _NAMELIKE * len(parts)


def _follows_digest(hit: Hit) -> bool:
    """Whether a run of hexadecimal digits is said to be a digest or a commit."""
    hexadecimal = compiled(r"[0-9a-f]+").fullmatch(hit.value) is not None
    return (
        hexadecimal
        and compiled(_DIGEST, re.IGNORECASE).search(f"{hit.before(40)}{hit.lead}"[-60:]) is not None
    )


def _is_issued(hit: Hit) -> bool:
    """Whether a match ends in something that has digits and letters, and is no end of a longer word."""
    rest = hit.value[4:]
    return (
        any(map(str.isdigit, rest)) and any(map(str.isalpha, rest)) and not hit.before(1).isalnum()
    )


def _is_mixed(hit: Hit) -> bool:
    """Whether a value has letters and digits.

    And where it is glued to a word (task-…), both cases, which names and digests do not have.
    """
    mixed = any(map(str.isdigit, hit.value)) and any(map(str.isalpha, hit.value))
    return mixed and (not hit.before(1).isalnum() or _has_cases(hit.value))


def _has_cases(value: str) -> bool:
    return any(map(str.isupper, value)) and any(map(str.islower, value))


def _is_password(hit: Hit) -> bool:
    """Whether what stands in a URL is a password.

    No variable, and not the user's name again, as in root:root.
    """
    user = hit.lead.removeprefix("://").removesuffix(":")
    return (
        not hit.value.startswith(("$", "<", "{", "*", "[", "%"))
        and hit.value.lower() != user.lower()
    )


def _is_login(hit: Hit) -> bool:
    return not hit.value.startswith(("$", "<", "{", "*", "[")) and (
        " login" in hit.lead.replace("\n", " ") or any(map(str.isdigit, hit.value))
    )


def _is_discord(hit: Hit) -> bool:
    """Whether the id of a bot stands before the rest of its token."""
    run = compiled(r"[A-Za-z0-9_-]*").match(hit.before(40)[::-1])
    head = run[0][::-1] if run else ""
    return (
        23 <= len(head) <= 29 and head[0] in "MNO" and _has_cases(hit.value) and is_drawn(hit.value)  # noqa: PLR2004 - names have a digit or two: resnet50
    )


def _is_private_part(hit: Hit) -> bool:
    """Whether a member "d" belongs to a JSON web key."""
    return "kty" in hit.text[max(0, hit.first - 3000) : hit.end + 3000]


def _is_of_wandb(hit: Hit) -> bool:
    """Whether a key stands beside the word wandb, and is said to be no commit."""
    near = f"{hit.before(160)}{hit.lead}{hit.text[hit.end : hit.end + 80]}".lower()
    return "wandb" in near and not _follows_digest(hit)


def _has_body(hit: Hit) -> bool:
    """Whether a key follows its first line.

    Most of a line of base64, also where the lines are quoted or commented out.
    """
    body = re.sub(r"[\s\"',+\\>#*|]", "", hit.text[hit.end : hit.end + 300].partition("-----")[0])
    return compiled(r"[A-Za-z0-9/=]{40}").search(body) is not None


def _has_head(hit: Hit) -> bool:
    """Whether the first part of a JWT stands before its second."""
    run = compiled(r"[A-Za-z0-9_-]*").match(hit.before(4000)[::-1])
    return run is not None and run[0].find("Jye") > 7  # noqa: PLR2004 - characters of a header, at least


# --- the kinds ------------------------------------------------------------------------------------

_ASSIGNED = (
    r"(?:(?:(?<=api)|(?<=access)|(?<=private)|(?<=secret)|(?<=api[_-])|(?<=access[_-])|(?<=private[_-])|(?<=secret[_-]))key"
    r"|secret|token|password|passwd|passphrase|credential)"
    r"[\"']?\s{0,4}(?::|=|=>)\s{0,4}(?:bearer\s)?[\"']?(?P<s>[a-z0-9+/_~=.-]{16,})"
)
_WANDB = r"(?:key|login|token|passw(?:or)?d|secret|wandb)[^a-z0-9]{1,12}(?:(?:relogin|cloud|key)[^a-z0-9]{1,4})?(?P<s>(?<![0-9a-f])[0-9a-f]{40})(?![0-9a-f])"
_KAGGLE = (
    r"(?:username[\"']\s{0,4}:\s{0,4}[\"'][^\"'\s]{1,60}[\"']\s{0,4},\s{0,16}[\"']key|kaggle[_-]?key)[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<s>[0-9a-f]{32})(?![0-9a-f])",
    r"[\"']key[\"']\s{0,4}:\s{0,4}[\"'](?P<s>[0-9a-f]{32})[\"']\s{0,4},\s{0,16}[\"']username[\"']",
)
_NETRC = r"machine\s{1,9}\S{1,200}\s{1,9}(?:(?:login|account)\s{1,9}\S{1,100}\s{1,9}){0,2}password\s{1,9}(?P<s>[^\s\"',]{6,200})"
KINDS = (
    Kind(
        "Hugging Face token",
        ("hf_", "api_org_"),
        r"hf_(?:oauth|jwt)_[A-Za-z0-9._-]{20,}|(?:hf_|api_org_)[A-Za-z0-9]{30,}",
    ),
    Kind(
        "GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}",
    ),
    Kind(
        "GitLab token",
        (
            "glpat-",
            "gldt-",
            "glft-",
            "glsoat-",
            "glrt-",
            "glcbt-",
            "glimt-",
            "glptt-",
            "glagent-",
            "gloas-",
            "gr1348941",
        ),
        r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_-]{20,}|GR1348941[A-Za-z0-9_-]{20,}",
        holds=_is_issued,
    ),
    Kind("npm token", ("npm_",), r"npm_[A-Za-z0-9]{36,}"),
    Kind("PyPI token", ("pypi-",), r"pypi-AgE[A-Za-z0-9_-]{40,}"),
    Kind("Weights & Biases key", ("wandb_v",), r"wandb_v[0-9]_[A-Za-z0-9_]{30,}"),
    Kind("Weights & Biases key", ("wandb",), _WANDB, folded=True, holds=_is_of_wandb),
    Kind("Kaggle key", ("username", "kaggle"), _KAGGLE[0], folded=True),
    Kind("Kaggle key", ("username",), _KAGGLE[1], folded=True),
    Kind(
        "AWS key",
        ("akia", "asia", "abia", "acca", "a3t"),
        r"(?:A[KS]IA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}",
        holds=_is_issued,
    ),
    Kind(
        "Azure storage key",
        ("accountkey=",),
        r"accountkey=(?P<s>[a-z0-9+/]{80,}={0,2})",
        folded=True,
    ),
    Kind("SendGrid key", ("sg.",), r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    Kind("Telegram token", (":aa",), r"(?<![0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    Kind("Mailchimp key", ("-us",), r"(?<![0-9a-z])[0-9a-f]{32}-us[0-9]{1,2}"),
    Kind("Mailgun key", ("key-",), r"key-(?<![A-Za-z0-9_]key-)[0-9a-f]{32}(?![0-9a-z])"),
    Kind("Twilio key", ("sk",), r"SK(?<![A-Za-z0-9]SK)[0-9a-f]{32}(?![A-Za-z0-9])"),
    Kind("Square secret", ("sq0csp-",), r"sq0csp-[A-Za-z0-9_-]{43}"),
    Kind("Stripe key", ("_live_",), r"[sr]k_live_[A-Za-z0-9]{20,}"),
    Kind(
        "API key (sk-)",
        ("sk-",),
        r"sk-(?:proj|svcacct|admin|ant-[a-z0-9]{1,12}|or-v1|lf)-(?P<s>[A-Za-z0-9_-]{20,})",
        holds=_is_mixed,
    ),
    Kind("API key (sk-)", ("sk-",), r"(?P<s>sk-[A-Za-z0-9]{20,})", holds=_is_mixed),
    Kind("Groq key", ("gsk_",), r"gsk_[A-Za-z0-9]{40,}", holds=_is_issued),
    Kind("NVIDIA key", ("nvapi-",), r"nvapi-[A-Za-z0-9_-]{40,}", holds=_is_issued),
    Kind("Replicate token", ("r8_",), r"r8_[A-Za-z0-9]{37,}", holds=_is_issued),
    Kind("xAI key", ("xai-",), r"xai-[A-Za-z0-9]{60,}", holds=_is_issued),
    Kind("Perplexity key", ("pplx-",), r"pplx-[A-Za-z0-9]{40,}", holds=_is_issued),
    Kind("Fireworks key", ("fw_",), r"fw_[A-Za-z0-9]{20,}", holds=_is_issued),
    Kind("RunPod key", ("rpa_",), r"rpa_[A-Za-z0-9]{30,}", holds=_is_issued),
    Kind("Databricks token", ("dapi",), r"dapi[0-9a-f]{32}(?![0-9a-z])", holds=_is_issued),
    Kind(
        "DigitalOcean token",
        ("dop_v1_", "doo_v1_", "dor_v1_"),
        r"do[por]_v1_[0-9a-f]{64}",
        holds=_is_issued,
    ),
    Kind(
        "Docker token",
        ("dckr_pat_", "dckr_oat_"),
        r"dckr_[po]at_[A-Za-z0-9_-]{24,}",
        holds=_is_issued,
    ),
    Kind(
        "Shopify token",
        ("shpat_", "shpca_", "shppa_", "shpss_"),
        r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
        holds=_is_issued,
    ),
    Kind("Notion token", ("ntn_",), r"ntn_[A-Za-z0-9]{40,}", holds=_is_issued),
    Kind("Linear key", ("lin_api_",), r"lin_api_[A-Za-z0-9]{32,}", holds=_is_issued),
    Kind("Terraform token", (".atlasv1.",), r"\.atlasv1\.[A-Za-z0-9_=-]{60,}"),
    Kind(
        "Slack token",
        ("xoxa", "xoxb", "xoxe", "xoxo", "xoxp", "xoxr", "xoxs", "xapp-"),
        r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}",
    ),
    Kind(
        "Slack webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/(?:services|workflows)/(?P<s>[A-Za-z0-9_/]{20,})",
    ),
    Kind(
        "Discord webhook",
        ("/api/webhooks/",),
        r"/api/webhooks/[0-9]{15,21}/(?P<s>[A-Za-z0-9_-]{50,})",
    ),
    Kind(
        "Discord token", (".",), r"\.[A-Za-z0-9_-]{6}\.(?P<s>[A-Za-z0-9_-]{27,})", holds=_is_discord
    ),
    Kind(
        "Google key",
        ("aiza", "ya29.", "gocspx-"),
        r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
    ),
    Kind(
        "JSON web token",
        (".eyj",),
        r"\.(?P<s>eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{8,})",
        holds=_has_head,
    ),
    Kind(
        "JSON web key",
        ('kty"', "kty'"),
        r"[\"']d[\"']\s{0,4}:\s{0,4}[\"'](?P<s>[A-Za-z0-9_-]{40,})",
        holds=_is_private_part,
    ),
    Kind(
        "private key",
        ("private key",),
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        holds=_has_body,
    ),
    Kind(
        "private key (PuTTY)", ("private-lines",), r"Private-Lines:\s?[0-9]{1,4}", holds=_has_body
    ),
    Kind("private key (age)", ("age-secret-key-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    Kind(
        "password in a URL",
        ("://",),
        r"://[^\s:/@\"'<>]{0,100}:(?P<s>[^\s/@\"'<>]{3,200})@[A-Za-z0-9\[]",
        holds=_is_password,
    ),
    Kind(
        "token in a URL",
        ("://",),
        r"://(?P<s>[A-Za-z0-9_-]{20,200})@[A-Za-z0-9\[]",
        holds=lambda hit: is_drawn(hit.value) and not _is_name(hit.value),
    ),
    Kind(
        "presigned URL",
        ("signature=",),
        r"(?:x-(?:amz|goog)-|[?&])signature=(?P<s>[a-z0-9%+/=_~-]{32,})",
        folded=True,
    ),
    Kind("presigned URL", ("sig=",), r"[?&]sig=(?P<s>[a-z0-9%+/=_-]{24,})", folded=True),
    Kind("password in netrc", ("machine",), _NETRC, holds=_is_login),
    Kind(
        "authorization",
        ("authorization",),
        r"authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:bearer|basic|token)\s{1,4}(?P<s>[a-z0-9+/_~=.-]{12,})",
        folded=True,
        holds=lambda hit: _has_cases(hit.value) or is_drawn(hit.value),
    ),
    Kind(
        "secret that is assigned",
        ("key", "secret", "token", "passw", "passphrase", "credential"),
        _ASSIGNED,
        folded=True,
        leads=True,
        holds=_is_assigned,
    ),
    Kind(
        "password",
        ("passw",),
        r"passw(?:or)?d[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<s>[a-z0-9+/_~=!#%^&*-]{8,15})",
        folded=True,
        holds=_is_assigned,
    ),
)
"""The more particular first: what two of them find is of the first kind."""
