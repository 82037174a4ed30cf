"""Rules about what files contain: pickles, JSON, types unlike the name."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.errors import FormatError
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.scan import file_types
from ckpt_tools.strict_json.parse import escape, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry
    from ckpt_tools.strict_json.parse import Json

_supply_chain = partial(rule, needs=Need.FILES, supply_chain=True)

_PICKLES = (
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".pck", ".p", ".dill", ".cloudpickle"),
    *(".joblib", ".pt2", ".ptl", ".mar", ".nemo", ".t7"),
)
_KERAS = (".h5", ".hdf5", ".keras")
_MAX_IMPORTS = 5
_TEXT = "text"
_IMAGES = {
    ".png": file_types.PNG,
    ".jpg": file_types.JPEG,
    ".jpeg": file_types.JPEG,
    ".gif": file_types.GIF,
    ".webp": file_types.WEBP,
}
_EXPECTED: dict[str, tuple[str, ...]] = {
    **{suffix: (image,) for suffix, image in _IMAGES.items()},
    ".mp4": (file_types.MP4,),
    ".model": (file_types.SENTENCEPIECE, _TEXT),
    ".spm": (file_types.SENTENCEPIECE, _TEXT),
    ".pdf": (file_types.PDF,),
    ".gguf": (file_types.GGUF,),
    ".npy": (file_types.NUMPY,),
    ".h5": (file_types.HDF5,),
    ".hdf5": (file_types.HDF5,),
    ".keras": (file_types.ZIP, file_types.HDF5),
    **dict.fromkeys(
        (
            *("", ".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".csv", ".tsv", ".jinja"),
            *(".tiktoken", ".bpe", ".html", ".svg", ".rst", ".cff", ".bib", ".toml", ".ini"),
            *(".cfg", ".log", ".xml", ".gitattributes", ".gitignore", ".ipynb"),
        ),
        (_TEXT,),
    ),
}
_UNDER_OWN_NAME: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((".zip", ".npz", ".whl", ".jar", ".bin", ".ckpt", ".pt2"), (file_types.ZIP,)),
    **dict.fromkeys((".pt", ".pth"), (file_types.ZIP, file_types.TAR)),
    **dict.fromkeys((".gz", ".tgz"), (file_types.GZIP,)),
    **dict.fromkeys((".exe", ".dll"), (file_types.PE,)),
    **dict.fromkeys((".sh", ".py"), (file_types.SCRIPT,)),
    ".tar": (file_types.TAR,),
    ".bz2": (file_types.BZ2,),
    ".xz": (file_types.XZ,),
    ".lzma": (file_types.LZMA,),
    ".zst": (file_types.ZSTD,),
    ".lz4": (file_types.LZ4,),
    ".7z": (file_types.SEVEN,),
    ".rar": (file_types.RAR,),
    ".so": (file_types.ELF,),
    ".dylib": (file_types.MACHO,),
    ".wasm": (file_types.WASM,),
}
"""Archives and programs under their own names, which other rules check."""

_NOT_UTF8 = 10
"""One character in this many may be in another encoding, as in old license texts."""

_UINT64 = 1 << 64


@_supply_chain("CK802", "pickle-name", Severity.ERROR)
def pickle_name(subject: Subject) -> Iterator[Violation]:
    """A file has the name of a pickle.

    `torch.load`, `joblib.load` and `pickle.load` run what such a file says. A scanner cannot
    distinguish a harmless one from a hostile one, so it is not rated: it is not uploaded. Keras
    files (.h5, .keras) may contain Python code in Lambda layers and are treated alike. CK803 is
    about content, whatever the name.

    Save the tensors as safetensors and leave the file out. Optimizer and trainer state belong
    beside the checkpoint, not in it.

    Bad:

        optimizer.pt
        pytorch_model.bin

    Good:

        model.safetensors
    """
    for entry in subject.entries or ():
        name = entry.path.lower()
        if entry.is_file and name.endswith((*_PICKLES, *_KERAS)):
            yield Violation(
                "has the name of a Keras file, which may contain code"
                if name.endswith(_KERAS)
                else "has the name of a pickle, which runs code when it is loaded",
                entry.path,
                next="save the tensors as safetensors and leave this file out",
            )


@_supply_chain("CK803", "pickle-content", Severity.ERROR)
def pickle_content(subject: Subject) -> Iterator[Violation]:
    """A file is a pickle, or contains one, whatever it is called.

    A pickle is a program. It runs when it is loaded, under any name, in a zip (PyTorch), a tar, a
    NumPy array of objects, or compressed (joblib); scanners have been evaded with 7z archives,
    archives in archives, long strings before the program, and pickles that break off after they
    have run. So an archive that is not inspected counts as a pickle, and so do opcodes without end.
    What the opcodes import is named where it can be read, but a pickle is never rated safe by it:
    names can be assembled at run time. A text or a file of weights counts if it would import and
    call something: words and lengths are opcodes too, and a text that spells a list of numbers is
    harmless.

    Leave the file out, or save its tensors as safetensors. Never load it to find out what it is.

    Bad:

        logo.png that starts with the opcodes cposix, system

    Good:

        model.safetensors
    """
    for entry in subject.entries or ():
        if entry.pickle:
            names = ", ".join(entry.imports[:_MAX_IMPORTS])
            more = ", …" * (len(entry.imports) > _MAX_IMPORTS)
            imports = f"; it imports {names}{more}" if names else ""
            yield Violation(
                f"is {entry.pickle}{imports}; it is never rated safe",
                entry.path,
                next="save the tensors as safetensors and leave this file out",
            )


@_supply_chain("CK812", "json-not-strict", Severity.ERROR)
def json_not_strict(subject: Subject) -> Iterator[Violation]:
    """A JSON file is not strict JSON.

    Python accepts NaN, Infinity, repeated keys (and uses the last), a byte order mark in some
    places and integers of any size. Other readers reject the file, or read something else in it,
    and a file that two readers read differently can show one thing to a reviewer and another to a
    loader. Integers of more than 64 bits are allowed if a double represents them exactly, such as
    1000000000000000019884624838656, which transformers writes for "no limit" as model_max_length:
    every reader reads the same.

    Write it again with a strict writer: `json.dumps(..., allow_nan=False)`.

    Bad:

        {"loss": NaN}
        {"a": 1, "a": 2}

    Good:

        {"loss": null}
    """
    for entry in subject.entries or ():
        if entry.text is not None and entry.path.lower().endswith(".json"):
            fault, pointer = _json_fault(entry.text, utf8=entry.utf8)
            if fault:
                yield Violation(fault, entry.path, pointer, "write it again as strict JSON")


def _json_fault(text: str, *, utf8: bool) -> tuple[str, str]:
    """Return the fault and its JSON pointer; both are "" for strict JSON."""
    if not utf8:
        return "is not UTF-8", ""
    if text.startswith("\ufeff"):
        return "starts with a byte order mark", ""
    try:
        value = parse(text)
    except FormatError as error:
        lead = "" if error.what.startswith("is ") else "is not strict JSON: "
        return f"{lead}{error.what}", ""
    return _huge_integer(value) if re.search(r"[0-9]{19}", text) else ("", "")


def _huge_integer(value: Json) -> tuple[str, str]:
    stack: list[tuple[str, Json]] = [("", value)]
    while stack:
        pointer, part = stack.pop()
        if isinstance(part, int) and not -_UINT64 // 2 <= part < _UINT64 and not _is_double(part):
            return "contains an integer of more than 64 bits, which other readers round", pointer
        if isinstance(part, dict):
            stack += ((f"{pointer}/{escape(key)}", item) for key, item in part.items())
        elif isinstance(part, list):
            stack += ((f"{pointer}/{index}", item) for index, item in enumerate(part))
    return "", ""


def _is_double(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


@_supply_chain("CK821", "content-unlike-name", Severity.ERROR)
def content_unlike_name(subject: Subject) -> Iterator[Violation]:
    """A file's content is not what its name says.

    A name decides who inspects a file and how; its content decides what it does. A program called
    logo.png or LICENSE, an archive behind an image, a model in another format called
    tokenizer.model pass every check that relies on names. So a file with a known suffix must start
    as such files do, text files must be text, and a program or an archive is rejected under any
    name but its own. An image of another format than its suffix says is a note: viewers go by the
    content.

    Give the file its own name, or leave it out.

    Bad:

        an ELF program called logo.png

    Good:

        a PNG image called logo.png
    """
    for entry in subject.entries or ():
        if entry.is_file and entry.size and not entry.unread:
            fault, severity = _content_fault(entry, _suffix(entry.path))
            if fault:
                remedy = "give it its own name, or leave it out"
                yield Violation(fault, entry.path, "", remedy, severity)


def _suffix(path: str) -> str:
    name = path.lower().rpartition("/")[2]
    if name.startswith("tokenizer.model"):
        return ".model"
    dot = name.rfind(".")
    suffix = name[dot:] if dot >= 0 else ""
    return "" if suffix[1:].isdigit() else suffix


def _content_fault(entry: Entry, suffix: str) -> tuple[str, Severity | None]:
    """Return the fault and its severity if it differs from the rule's; ("", None) for none."""
    expected, own = _EXPECTED.get(suffix, ()), _UNDER_OWN_NAME.get(suffix, ())
    actual = entry.file_type
    if actual not in expected and suffix not in _IMAGES and _is_text(entry):
        actual = _TEXT
    if entry.is_zip and actual != file_types.ZIP and file_types.ZIP not in (*expected, *own):
        return f"is {actual or 'data'}, followed by a zip archive", None
    if expected and actual not in expected:
        is_image = suffix in _IMAGES and actual in file_types.IMAGES
        what = f"is {actual or 'of an unknown type'}, but its name says {expected[0]}"
        return what, Severity.NOTE if is_image else None
    is_runnable = actual in file_types.PROGRAMS | file_types.ARCHIVES
    return f"is {actual}" * (not expected and is_runnable and actual not in own), None


def _is_text(entry: Entry) -> bool:
    text = entry.text
    if text is None or entry.file_type == file_types.SCRIPT or "\0" in text:
        return False
    return entry.utf8 or text.count("\ufffd") * _NOT_UTF8 <= len(text)
