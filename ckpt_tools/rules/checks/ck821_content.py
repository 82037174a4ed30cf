"""Every file holds what its name says.

A name decides who looks at a file and how; its content decides what it does. A program called
logo.png or LICENSE, an archive behind a picture, a model in another format called tokenizer.model
pass everybody who goes by names. So what the gate knows by its suffix must start as such files do,
files of text must be text, and a program or an archive is refused under any name but its own. A
picture of another format than its suffix says is worth a note: viewers go by the content.

Give the file its own name, or leave it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation
from ckpt_tools.scan import file_types as magic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_TEXT = "text"
_PICTURES = {
    ".png": magic.PNG,
    ".jpg": magic.JPEG,
    ".jpeg": magic.JPEG,
    ".gif": magic.GIF,
    ".webp": magic.WEBP,
}
_KNOWN: dict[str, tuple[str, ...]] = {
    ".mp4": (magic.MP4,),
    ".model": (magic.SENTENCEPIECE, _TEXT),
    ".spm": (magic.SENTENCEPIECE, _TEXT),
    ".pdf": (magic.PDF,),
    ".gguf": (magic.GGUF,),
    ".npy": (magic.NUMPY,),
    ".h5": (magic.HDF5,),
    ".hdf5": (magic.HDF5,),
    ".keras": (magic.ZIP, magic.HDF5),
}
_TEXTS = (
    "", ".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".csv", ".tsv", ".jinja", ".tiktoken", ".bpe", ".html", ".svg", ".rst", ".cff", ".bib", ".toml",
    ".ini", ".cfg", ".log", ".xml", ".gitattributes", ".gitignore", ".ipynb",
)  # fmt: skip
_OWN: dict[str, tuple[str, ...]] = {
    ".zip": (magic.ZIP,), ".npz": (magic.ZIP,), ".whl": (magic.ZIP,), ".jar": (magic.ZIP,), ".tar": (magic.TAR,), ".gz": (magic.GZIP,), ".tgz": (magic.GZIP,),
    ".bz2": (magic.BZ2,), ".xz": (magic.XZ,), ".lzma": (magic.LZMA,), ".zst": (magic.ZSTD,), ".lz4": (magic.LZ4,), ".7z": (magic.SEVEN,), ".rar": (magic.RAR,),
    ".so": (magic.ELF,), ".exe": (magic.PE,), ".dll": (magic.PE,), ".dylib": (magic.MACHO,), ".wasm": (magic.WASM,), ".sh": (magic.SCRIPT,),
    ".py": (magic.SCRIPT,), ".pt": (magic.ZIP, magic.TAR), ".pth": (magic.ZIP, magic.TAR), ".bin": (magic.ZIP,), ".ckpt": (magic.ZIP,), ".pt2": (magic.ZIP,),
}  # fmt: skip
"""Archives and programs under their own names, which other rules judge."""

_PATCHED = 10
"""One character in so many may be of another encoding than UTF-8, as accents and signs of old licences are."""


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding for each file."""
    for entry in subject.entries or ():
        if entry.kind in ("file", "link") and entry.size and not entry.unread:
            words, severity = _fault(entry, _suffix(entry.path))
            if words:
                yield Violation(
                    words,
                    entry.path,
                    next="give it its own name, or leave it out",
                    severity=severity,
                )


def _suffix(path: str) -> str:
    name = path.lower().rpartition("/")[2]
    if name.startswith("tokenizer.model"):
        return ".model"
    dot = name.rfind(".")
    suffix = name[dot:] if dot >= 0 else ""
    return "" if suffix[1:].isdigit() else suffix


def _fault(entry: Entry, suffix: str) -> tuple[str, Severity | None]:
    """Return (what is wrong, how bad that is if not as bad as the rule says), "" for nothing."""
    held = (
        entry.file_type
        if suffix in _PICTURES or entry.file_type in _KNOWN.get(suffix, ())
        else _held(entry)
    )
    due = (
        (_PICTURES[suffix],)
        if suffix in _PICTURES
        else (_TEXT,)
        if suffix in _TEXTS
        else _KNOWN.get(suffix, ())
    )
    if entry.is_zip and held != magic.ZIP and magic.ZIP not in (*due, *_OWN.get(suffix, ())):
        return f"is {held or 'data'}, and a zip archive behind it", None
    if due and held not in due:
        is_picture = suffix in _PICTURES and held in magic.IMAGES
        return (
            f"is {held or 'of a kind that is not known'}, and its name says {due[0]}",
            Severity.NOTE if is_picture else None,
        )
    return (
        (f"is {held}", None)
        if not due and held in magic.PROGRAMS | magic.ARCHIVES and held not in _OWN.get(suffix, ())
        else ("", None)
    )


def _held(entry: Entry) -> str:
    """Return what a file is by its content, "" where nobody knows."""
    if entry.text is not None and entry.file_type != magic.SCRIPT and _is_text(entry):
        return _TEXT
    return entry.file_type


def _is_text(entry: Entry) -> bool:
    text = entry.text or ""
    return "\0" not in text and (entry.utf8 or text.count("\ufffd") * _PATCHED <= len(text))


RULE = Rule(
    code="CK821",
    name="content-unlike-name",
    severity=Severity.ERROR,
    needs=frozenset({Need.FILES}),
    check=check,
    page=__doc__,
    supply_chain=True,
)
