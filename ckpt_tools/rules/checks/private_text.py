"""Rules about what is private in files: secrets, and paths of people's machines."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.scan.home_paths import hidden, homes
from ckpt_tools.scan.secrets import MOST, redacted, secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject

_supply_chain = partial(rule, needs=Need.FILES, supply_chain=True)

_MANY = 20
"""Findings of one kind in one file. After twenty, the file has to be read anyway."""

_ARTICLE_AN = ("A", "a", "npm", "NVIDIA", "xAI")


@_supply_chain("CK810", "secret", Severity.ERROR)
def secret(subject: Subject) -> Iterator[Violation]:
    """A file contains a token, a key or a password.

    What is on the Hub is copied within minutes, and deleting it does not recall the copies.
    Training writes its environment into configs and cards; tokens end up in URLs, in metadata, in
    notebooks. The gate scans every text file, safetensors header, file name and link, and the
    printable text in the first 16 MiB and the last one of images and other files, also behind
    escapes, one level of base64 and gzip. Files that cannot be scanned are reported. Placeholders
    (hf_xxx, your_token) do not count, nor does a password that equals the user name. At most the
    first four characters of a secret are ever shown, also by `ckpt verify`.

    Revoke it first, wherever it has been; then remove it.

    Bad:

        "hub_token": "hf_…" with a real token in train_config.json

    Good:

        "hub_token": null
    """
    for entry in subject.entries or ():
        for text, location in entry.texts:
            for found in _secrets(text, location):
                yield found._replace(path=entry.path)
        if entry.unread:
            yield Violation(
                f"was not scanned for secrets: {entry.unread}",
                entry.path,
                next="review it, leave it out, or make it readable and smaller",
                severity=Severity.WARNING,
            )


def _secrets(text: str, location: str) -> Iterator[Violation]:
    found, remedy = secrets(text), "revoke it, then remove it"
    counts: Counter[str] = Counter()
    for one in found:
        counts[one.kind] += 1
        if counts[one.kind] <= _MANY:
            where = location or (f"on line {one.line:,}" if one.line else "behind escapes")
            what = f"contains {_with_article(one.kind)}, {redacted(one.value)}, {where}"
            yield Violation(what, subject=one.kind, next=remedy)
    for kind, count in counts.items():
        if count > _MANY:
            least = "at least " * (len(found) == MOST)
            what = f"contains {least}{count - _MANY:,} more secrets of this kind: {kind}"
            yield Violation(what, subject=kind, next=remedy)


def _with_article(kind: str) -> str:
    """Return a kind with its article, by its sound: an API key, an npm token, a URL."""
    return f"{'an' if kind.startswith(_ARTICLE_AN) else 'a'} {kind}"


@_supply_chain("CK811", "personal-path", Severity.WARNING)
def personal_path(subject: Subject) -> Iterator[Violation]:
    """A file contains a path into a user's home.

    Training writes absolute paths into train_config.json and cards: they reveal a user's name and
    how a machine is laid out, and lead nowhere on other machines. Homes under mounts (/mnt/c, /nfs)
    count, and so do /scratch/NAME, /media/NAME and ~NAME. Names that images and instructions use
    (user, ubuntu, runner, …) do not. The name is not shown here either.

    Write the name of a repository on the Hub instead, or a relative path; `ckpt sanitize` removes
    the path of a teacher. Suppress what must stay in ckpt.toml.

    Bad:

        "output_dir": "/home/…/run"

    Good:

        "output_dir": "outputs/run"
    """
    for entry in subject.entries or ():
        found = {home for text, _ in entry.texts for home in homes(text)}
        for home in sorted(found)[:_MANY]:
            shown = hidden(home)
            remedy = "write a repository on the Hub or a relative path instead"
            yield Violation(f'contains a personal path: "{shown}"', entry.path, shown, remedy)
