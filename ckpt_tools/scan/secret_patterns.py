"""The formats of secrets, from secret_patterns.toml, and the checks that a match must pass."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from functools import cache
from math import log2
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Match(NamedTuple):
    """A match in `text` that begins at `first`, with the secret from `start` to `end`."""

    text: str
    first: int
    start: int
    end: int

    @property
    def value(self) -> str:
        """The secret."""
        return self.text[self.start : self.end]

    @property
    def lead(self) -> str:
        """The part of the match before the secret."""
        return self.text[self.first : self.start]

    def before(self, length: int) -> str:
        """Return the text before the match."""
        return self.text[max(0, self.first - length) : self.first]


class Pattern(NamedTuple):
    """One format of secrets; secret_patterns.toml describes the fields."""

    name: str
    words: tuple[str, ...]
    pattern: str
    lower: bool = False
    anchored: bool = False
    check: str = ""

    def accepts(self, match: Match) -> bool:
        """Whether a match is a secret and no placeholder."""
        passes = not self.check or _CHECKS[self.check](match)
        return passes and not _is_placeholder(match.value)


@cache
def patterns() -> tuple[Pattern, ...]:
    """Return the patterns, in order of precedence; they are read once."""
    data = pkgutil.get_data(__name__, "secret_patterns.toml") or b""
    items = tomllib.loads(data.decode())["secret"]
    return tuple(Pattern(**{**item, "words": tuple(item["words"])}) for item in items)


@cache
def places() -> dict[str, tuple[int, ...]]:
    """Return the words of all patterns, each with the indexes of its patterns."""
    found: dict[str, tuple[int, ...]] = {}
    for place, pattern in enumerate(patterns()):
        for word in pattern.words:
            found[word] = (*found.get(word, ()), place)
    return found


# --- placeholders ---------------------------------------------------------------------------------

_WORDS = (
    r"x{3,}|\*{3,}|\.{3,}|0{4,}|example|sample|yours?|token|"
    r"placeholder|redacted|removed|change_?me|dummy|insert|fake|secret|key|passw(?:or)?d|goes|"
    r"here|api|my"
)
_COMMON = frozenset(
    (
        *("pass", "password", "passwd", "pwd", "pw", "secret", "token", "xxx", "user", "username"),
        *("key", "apikey", "null", "none"),
    )
)
_PREFIX = r"^[A-Za-z]{2,6}[_-](?=.{16})"
_AWS_LENGTHS = (20, 40)
_MIN_DISTINCT = 5
_MIN_SEQUENCE = 6
"""Characters that follow each other in the alphabet, as in 1234 or abcd: random values have few."""


def _is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret: most of it is such words, or the alphabet."""
    is_repetitive = len(value) > 2 * _MIN_DISTINCT and len(set(value)) <= _MIN_DISTINCT
    is_aws_example = len(value) in _AWS_LENGTHS and value.endswith(("EXAMPLE", "EXAMPLEKEY"))
    if is_repetitive or is_aws_example or value.lower() in _COMMON:
        return True
    body = re.sub(_PREFIX, "", value).lower()
    letters = sum(map(str.isalnum, body)) or 1
    words = sum(len(word.strip("_")) for word in re.findall(_WORDS, body))
    sequences = _in_sequence(re.sub(_WORDS, " ", body))
    return words + sequences >= letters / 2


def _in_sequence(body: str) -> int:
    """Return how many characters are in runs of the alphabet or of the digits."""
    total, run = 0, 1
    for left, right in zip(body, f"{body[1:]}\0", strict=True):
        if right.isalnum() and left.isalnum() and ord(right) - ord(left) in (0, 1):
            run += 1
            continue
        total += run if run >= min(_MIN_SEQUENCE, len(body)) else 0
        run = 1
    return total


# --- checks ---------------------------------------------------------------------------------------

_ENTROPY = 3.0
_WORD_LENGTH = 3.0
_VARIABLE = ("$", "<", "{", "*", "[")
_DIGEST = r"(?:commit|sha-?[0-9]{0,3}|revision|rev|digest|hash|version|checksum|md5)\b[^\n]{0,20}$"


def _looks_random(value: str) -> bool:
    """Whether a value has letters and digits and high entropy. Names have a digit or two."""
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    if not letters or not (digits > 2 or (digits and _has_both_cases(value))):  # noqa: PLR2004 - as resnet50 has
        return False
    shares = [value.count(sign) / len(value) for sign in set(value)]
    return sum(-share * log2(share) for share in shares) >= _ENTROPY


def _has_both_cases(value: str) -> bool:
    return any(map(str.isupper, value)) and any(map(str.islower, value))


def _is_mixed(value: str) -> bool:
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def _is_name(value: str) -> bool:
    """Whether a value consists of words and numbers with signs between, as SmolVLM2-500M-Video.

    Random values change between letters and digits at every second character.
    """
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", value)
    is_joined = re.search(r"[a-zA-Z0-9][/._-]+[a-zA-Z0-9]", value) is not None
    return is_joined and sum(map(len, parts)) >= _WORD_LENGTH * len(parts)


def _follows_digest(match: Match) -> bool:
    """Whether a run of hexadecimal digits is introduced as a digest or a commit."""
    is_hexadecimal = re.fullmatch(r"[0-9a-f]+", match.value) is not None
    lead = f"{match.before(40)}{match.lead}"[-60:]
    return is_hexadecimal and re.search(_DIGEST, lead, re.IGNORECASE) is not None


def _assigned(match: Match) -> bool:
    """Whether the assigned value is random, and no call, no name and no digest."""
    is_call = match.text[match.end : match.end + 1] in ("(", "[")
    if is_call or not _looks_random(match.value) or _follows_digest(match):
        return False
    is_password = any(word in match.lead.lower() for word in ("passw", "passphrase"))
    return is_password or not _is_name(match.value)


def _issued(match: Match) -> bool:
    """Whether a match has digits and letters after its prefix, and is not the end of a word."""
    return _is_mixed(match.value[4:]) and not match.before(1).isalnum()


def _mixed(match: Match) -> bool:
    """Whether a value has letters and digits, and both cases if it is the end of a word (task-…).

    Names and digests do not have both cases.
    """
    is_separate = not match.before(1).isalnum()
    return _is_mixed(match.value) and (is_separate or _has_both_cases(match.value))


def _password(match: Match) -> bool:
    """Whether a URL has a password: not a variable, not the user name again, as in root:root."""
    user = match.lead.removeprefix("://").removesuffix(":")
    is_variable = match.value.startswith((*_VARIABLE, "%"))
    return not is_variable and match.value.lower() != user.lower()


def _login(match: Match) -> bool:
    has_login = " login" in match.lead.replace("\n", " ") or any(map(str.isdigit, match.value))
    return not match.value.startswith(_VARIABLE) and has_login


def _discord(match: Match) -> bool:
    """Whether a token follows the id of a bot."""
    run = re.match(r"[A-Za-z0-9_-]*", match.before(40)[::-1])
    bot = run[0][::-1] if run else ""
    is_bot = 23 <= len(bot) <= 29 and bot[0] in "MNO"  # noqa: PLR2004 - the lengths of ids in base64
    return is_bot and _has_both_cases(match.value) and _looks_random(match.value)


def _web_key(match: Match) -> bool:
    """Whether a member "d" belongs to a JSON web key."""
    return "kty" in match.text[max(0, match.first - 3000) : match.end + 3000]


def _wandb(match: Match) -> bool:
    """Whether a key is near the word wandb, and not introduced as a commit."""
    near = f"{match.before(160)}{match.lead}{match.text[match.end : match.end + 80]}"
    return "wandb" in near.lower() and not _follows_digest(match)


def _key_body(match: Match) -> bool:
    """Whether most of a line of base64 follows, even if the lines are quoted or commented out."""
    after = match.text[match.end : match.end + 300].partition("-----")[0]
    body = re.sub(r"[\s\"',+\\>#*|]", "", after)
    return re.search(r"[A-Za-z0-9/=]{40}", body) is not None


def _token_head(match: Match) -> bool:
    """Whether the first part of a JWT precedes its second."""
    run = re.match(r"[A-Za-z0-9_-]*", match.before(4000)[::-1])
    return run is not None and run[0].find("Jye") > 7  # noqa: PLR2004 - characters of a header, at least


_CHECKS: dict[str, Callable[[Match], bool]] = {
    "assigned": _assigned,
    "credentials": lambda match: _has_both_cases(match.value) or _looks_random(match.value),
    "discord": _discord,
    "issued": _issued,
    "key body": _key_body,
    "login": _login,
    "mixed": _mixed,
    "password": _password,
    "random": lambda match: _looks_random(match.value) and not _is_name(match.value),
    "token head": _token_head,
    "wandb": _wandb,
    "web key": _web_key,
}
