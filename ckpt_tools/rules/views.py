"""A text as it reads when its escapes are undone: what a program would see in it, and so what a secret in it looks like. Linear in the text's length."""

from __future__ import annotations

import binascii
import re

ROUNDS = 3
"""A JSON text in a JSON string has its escapes escaped once more."""

_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))"
_PERCENT = r"%([2-7][0-9a-fA-F]|0[aAdD])"
_ENTITY = r"&(?:#x([0-9a-fA-F]{1,4})|#([0-9]{1,5})|(amp|quot|lt|gt));"
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "/": "/", '"': '"', "'": "'", "\\": "\\"}
_NAMED = {"amp": "&", "quot": '"', "lt": "<", "gt": ">"}
_WRAPPED = r"(?<=[A-Za-z0-9+/]{60})(?:\r?\n)(?=[A-Za-z0-9+/])"
_BASE64 = r"[A-Za-z0-9+/_-]{24,}"
_STANDARD = str.maketrans("-_", "+/")


def views(text: str) -> tuple[str, ...]:
    """Return `text` and what it becomes each time its escapes are undone: those of JSON and programming languages, of URLs, of HTML."""
    found = [text]
    for _ in range(ROUNDS):
        plain = _plain(found[-1])
        if plain == found[-1]:
            break
        found.append(plain)
    return tuple(found)


def encoded(text: str) -> str:
    """Return what the runs of base64 in `text` spell, a line each, "" where there are none; a run that starts late is read at each of four places."""
    if "\n" in text:
        text = re.sub(_WRAPPED, "", text)
    lines = (_decoded(run[start:]) for run in re.findall(_BASE64, text) for start in range(4))
    return "\n".join(line for line in lines if line)


def _decoded(run: str) -> str:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    try:
        data = binascii.a2b_base64(whole.translate(_STANDARD) + "=" * (-len(whole) % 4))
    except ValueError:
        return ""
    return data.decode("latin-1")


def _plain(text: str) -> str:
    if "\\" in text:
        text = re.sub(_ESCAPE, _unescaped, text, flags=re.DOTALL)
    if "%" in text:
        text = re.sub(_PERCENT, lambda match: chr(int(match[1], 16)), text)
    return re.sub(_ENTITY, _character, text) if "&" in text else text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _LETTERS.get(match[3], match[0])


def _character(match: re.Match[str]) -> str:
    if match[3]:
        return _NAMED[match[3]]
    return chr(int(match[1], 16) if match[1] else int(match[2]))
