"""No file holds a token, a key or a password.

What is on the Hub has been copied within minutes, and deleting it does not call it back. Training
writes its environment into configs and cards; tokens end up in URLs, in metadata, in notebooks.
Every text file is looked through, and every safetensors header, file name and link, and what can be
read in the first 16 MiB and the last one of pictures and other files, also behind escapes, one
level of base64 and gzip. What cannot be looked through is told as well. Words that stand for a
secret (hf_xxx, your_token) are none, nor is a password that is the user's name. No more than the
first four characters of a secret are ever shown, by `ckpt verify` neither.

Revoke it first, wherever it has been; then take it out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan.secrets import MOST, redacted, secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.secrets import Secret

_MANY = 20
"""Findings of one kind in one text; who has read twenty looks at the file."""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each secret, and one for each file that was not looked through."""
    for entry in subject.entries or ():
        for text, place in entry.texts:
            yield from (found._replace(path=entry.path) for found in _told(secrets(text), place))
        if entry.unread:
            yield Violation(
                f"was not looked through for secrets: {entry.unread}",
                entry.path,
                next=_LOOK,
                severity=Severity.WARNING,
            )


def _told(found: tuple[Secret, ...], place: str) -> Iterator[Violation]:
    counts: Counter[str] = Counter()
    for secret in found:
        counts[secret.kind] += 1
        if counts[secret.kind] <= _MANY:
            where = place or (f"on line {secret.line:,}" if secret.line else "behind escapes")
            yield Violation(
                f"holds {_a(secret.kind)}, {redacted(secret.value)}, {where}",
                subject=secret.kind,
                next=_REVOKE,
            )
    for kind, count in counts.items():
        if count > _MANY:
            least = "at least " if len(found) == MOST else ""
            yield Violation(
                f"holds {least}{count - _MANY:,} more secrets of this kind: {kind}",
                subject=kind,
                next=_REVOKE,
            )


def _a(kind: str) -> str:
    """Return a kind with its article, by how it is spoken: an API key, an npm token, a URL."""
    return f"{'an' if kind.startswith(_AN) else 'a'} {kind}"


_AN = ("A", "a", "npm", "NVIDIA", "xAI")
_REVOKE = "revoke it, then take it out"
_LOOK = "look at it yourself, leave it out, or make it readable and smaller"


RULE = Rule(
    code="CK810",
    name="secret",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
