"""Secrets in text: tokens, keys, passwords, by the forms that their issuers give them; and text with the secrets in it made unreadable.

Every kind has words without which it does not occur, so that most texts cost a few searches. Patterns take time that is linear in the text: what is
repeated without bound stands at their ends. What is shown of a secret are its first four characters at most, and never more than a third.
"""

from __future__ import annotations

import re
from functools import cache
from math import log2
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.rules.views import encoded, views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SHOWN = 4


class Secret(NamedTuple):
    """A secret of some kind ("GitHub token") and the line it stands on, 0 where it is hidden in an escape."""

    kind: str
    value: str
    line: int = 0


class _Kind(NamedTuple):
    """A form of secrets: its words (in lower case for `folded`), its expression (group `s` is the secret, else all), and what a match must be beside."""

    name: str
    words: tuple[str, ...]
    expression: str
    folded: bool = False
    holds: Callable[[re.Match[str]], bool] = lambda _: True


def secrets(text: str) -> tuple[Secret, ...]:
    """Return the secrets in `text`, each once, also those behind escapes and one level of base64."""
    found: dict[tuple[str, str], Secret] = {}
    unescaped = views(text)
    for number, view in enumerate((*unescaped, *map(encoded, unescaped))):
        for kind, value, start in _in(view):
            line = view.count("\n", 0, start) + 1 if number == 0 and (kind, value) not in found else 0
            found.setdefault((kind, value), Secret(kind, value, line))
    return tuple(found.values())


def redacted(value: str) -> str:
    """Return what may be shown of a secret."""
    return f"{value[: min(SHOWN, len(value) // 3)]}… ({len(value):,} characters)"


def mask(text: str, known: Iterable[str] = ()) -> str:
    """Return `text` with its secrets redacted, and every piece of the secrets `known` that is longer than may be shown."""
    for value in known:
        text = _without(text, value)
    found = secrets(text)
    for secret in found:
        text = text.replace(secret.value, redacted(secret.value))
    return f"(redacted, {len(text):,} characters)" if found and secrets(text) else text


def _without(text: str, value: str) -> str:
    """Cut a secret out of `text`, also one that was cut short at its end or at its start."""
    size = min(max(SHOWN + 1, min(2 * SHOWN, len(value) // 3)), len(value))
    for piece, grow in ((value[:size], 1), (value[-size:], -1)):
        while piece in text and piece:
            whole = piece
            while len(whole) < len(value):
                longer = value[: len(whole) + 1] if grow > 0 else value[-len(whole) - 1 :]
                if longer not in text:
                    break
                whole = longer
            text = text.replace(whole, redacted(value) if size > SHOWN else "…")
    return text


# --- the kinds -------------------------------------------------------------------------------------------------------------

_PLACEHOLDER = (
    r"x{5}|\*{3}|\.{3}|example|your[_-]|yourtoken|placeholder|redacted|change_?me|dummy|insert[_-]|my[_-]?(?:token|secret|key|password)|abcdefgh|12345678|0{8}"
)
_COMMON = frozenset(("pass", "password", "passwd", "pwd", "pw", "secret", "token", "xxx", "user", "username", "key", "apikey", "null", "none"))
_DISTINCT = 5
_ENTROPY = 3.0


def _is_real(value: str) -> bool:
    """Whether a value is none of those that stand for one."""
    few = len(value) > 2 * _DISTINCT and len(set(value)) <= _DISTINCT
    return not few and value.lower() not in _COMMON and not _compiled(_PLACEHOLDER, fold=True).search(value)


def _is_random(match: re.Match[str]) -> bool:
    """Whether what is assigned looks drawn rather than named: letters and digits, and much of it."""
    value = match["s"]
    if match.string[match.end() : match.end() + 1] in ("(", "["):
        return False
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    cases = any(map(str.isupper, value)) and any(map(str.islower, value))
    drawn = letters > 0 and (digits > 2 or (digits > 0 and cases))  # noqa: PLR2004 - names have a digit or two: resnet50
    return drawn and sum(-value.count(sign) / len(value) * log2(value.count(sign) / len(value)) for sign in set(value)) >= _ENTROPY


def _is_drawn(match: re.Match[str]) -> bool:
    """Whether a match ends in something that has digits and letters, and is no end of a longer word."""
    value, before = match[0], match.string[max(0, match.start() - 1) : match.start()]
    return any(map(str.isdigit, value[4:])) and any(map(str.isalpha, value[4:])) and not before.isalnum()


def _is_mixed(match: re.Match[str]) -> bool:
    """Whether a value has letters and digits; and where it is glued to a word (task-…), both cases, which names and digests do not have."""
    value = match["s"]
    glued = match.string[max(0, match.start() - 1) : match.start()].isalnum()
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed and (not glued or (any(map(str.isupper, value)) and any(map(str.islower, value))))


def _is_password(match: re.Match[str]) -> bool:
    return not match["s"].startswith(("$", "<", "{", "*", "[")) and _is_real(match["s"])


def _is_not_digest(match: re.Match[str]) -> bool:
    return not _compiled(r"(?:commit|sha1?|revision|digest|hash|version)[\"':= ]*$", fold=True).search(match[0][: match.start("s") - match.start()])


def _has_body(match: re.Match[str]) -> bool:
    """Whether a key follows its first line: most of a line of base64."""
    body = re.sub(r"[\s\"',+\\]", "", match.string[match.end() : match.end() + 300])
    return _compiled(r"[A-Za-z0-9/=]{40}").search(body) is not None


def _has_head(match: re.Match[str]) -> bool:
    """Whether the first part of a JWT stands before its second."""
    before = match.string[max(0, match.start() - 4000) : match.start()][::-1]
    run = _compiled(r"[A-Za-z0-9_-]*").match(before)
    return run is not None and run[0].find("Jye") > 2 * SHOWN - 1


_ASSIGNED = (
    r"(?:api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?secret|secret|token|password|passwd|passphrase|credential|secret[_-]?key)"
    r"[\"']?\s{0,4}(?::|=|=>)\s{0,4}(?:bearer\s)?[\"']?(?P<s>[A-Za-z0-9+/_~=-]{16,})"
)
_KINDS = (
    _Kind("Hugging Face token", ("hf_", "api_org_"), r"(?:hf_|api_org_)[A-Za-z0-9]{30,}"),
    _Kind("GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}"),
    _Kind(
        "GitLab token", ("gl", "GR1348941"), r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_-]{20,}|GR1348941[A-Za-z0-9_-]{20,}", holds=_is_drawn
    ),
    _Kind("npm token", ("npm_",), r"npm_[A-Za-z0-9]{36,}"),
    _Kind("PyPI token", ("pypi-",), r"pypi-AgE[A-Za-z0-9_-]{40,}"),
    _Kind("Weights & Biases key", ("wandb_v",), r"wandb_v[0-9]_[A-Za-z0-9_]{30,}"),
    _Kind("Weights & Biases key", ("wandb",), r"wandb[^\r]{0,120}?(?<![0-9a-f])(?P<s>[0-9a-f]{40})(?![0-9a-f])", folded=True, holds=_is_not_digest),
    _Kind("AWS key", ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"), r"(?:A[KS]IA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}", holds=_is_drawn),
    _Kind("Azure storage key", ("accountkey=",), r"AccountKey=(?P<s>[A-Za-z0-9+/]{80,}={0,2})", folded=True),
    _Kind("SendGrid key", ("SG.",), r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _Kind("Telegram token", (":AA",), r"(?<![0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    _Kind("Mailchimp key", ("-us",), r"(?<![0-9a-z])[0-9a-f]{32}-us[0-9]{1,2}"),
    _Kind("Twilio key", ("SK",), r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    _Kind("Square secret", ("sq0csp-",), r"sq0csp-[A-Za-z0-9_-]{43}"),
    _Kind("Stripe key", ("_live_",), r"[sr]k_live_[A-Za-z0-9]{20,}"),
    _Kind("API key (sk-)", ("sk-",), r"sk-(?:proj|svcacct|admin|ant-[a-z0-9]{1,12}|or-v1|lf)-(?P<s>[A-Za-z0-9_-]{20,})", holds=_is_mixed),
    _Kind("API key (sk-)", ("sk-",), r"(?P<s>sk-[A-Za-z0-9]{20,})", holds=_is_mixed),
    _Kind("Slack token", ("xox", "xapp-"), r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
    _Kind("Slack webhook", ("hooks.slack.com",), r"hooks\.slack\.com/(?:services|workflows)/(?P<s>[A-Za-z0-9_/]{20,})"),
    _Kind("Google key", ("AIza", "ya29.", "GOCSPX-"), r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}"),
    _Kind("JSON web token", (".eyJ",), r"\.(?P<s>eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{8,})", holds=_has_head),
    _Kind("private key", ("PRIVATE KEY",), r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----", holds=_has_body),
    _Kind("password in a URL", ("://",), r"://[^\s:/@\"'<>]{0,100}:(?P<s>[^\s/@\"'<>]{3,200})@[A-Za-z0-9\[]", holds=_is_password),
    _Kind("presigned URL", ("signature=",), r"(?:X-(?:Amz|Goog)-|[?&])Signature=(?P<s>[A-Za-z0-9%+/=_~-]{32,})", folded=True),
    _Kind("presigned URL", ("sig=",), r"[?&]sig=(?P<s>[A-Za-z0-9%+/=_-]{24,})", folded=True),
    _Kind("secret that is assigned", ("key", "secret", "token", "passw", "passphrase", "credential"), _ASSIGNED, folded=True, holds=_is_random),
    _Kind("password", ("passw",), r"passw(?:or)?d[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?P<s>[A-Za-z0-9+/_~=!#%^&*-]{8,15})", folded=True, holds=_is_random),
)


def _in(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, secret, where it starts) of what stands in `text` as it is."""
    folded = text.lower()
    for kind in _KINDS:
        if any(word in (folded if kind.folded else text) for word in kind.words):
            for match in _compiled(kind.expression, fold=kind.folded).finditer(text):
                value = match["s"] if "s" in match.re.groupindex else match[0]
                if _is_real(value) and kind.holds(match):
                    yield kind.name, value, match.start()


@cache
def _compiled(expression: str, *, fold: bool = False) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE if fold else 0)
