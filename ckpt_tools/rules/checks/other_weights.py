"""Rules about weight files in the folder beside those that the checkpoint consists of."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.documents import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    PROCESSORS,
    WEIGHTS,
    WEIGHTS_INDEX,
)
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.errors import FormatError, HeaderNotUtf8
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import GENERIC, LEROBOT, TRANSFORMERS, is_state, profile_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.scan.json_files import lax
from ckpt_tools.storage.paths import LENGTH_BYTES
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.header import Header
    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_supply_chain = partial(rule, needs=Need.FILES, supply_chain=True)

_SUFFIX = ".safetensors"
_ORIGINAL = re.compile(r"consolidated[\w.-]*\.safetensors")
_LFS_POINTER = b"version https://git-lfs"


@_supply_chain("CK818", "other-weights-unreadable", Severity.ERROR)
def other_weights_unreadable(subject: Subject) -> Iterator[Violation]:
    """A .safetensors file that is not part of the checkpoint cannot be read as one.

    Reading a checkpoint reads the weights that belong to it. Any other file with the suffix is
    uploaded with it and passes for weights: a download that broke off, a page that says "log in", a
    program, bytes behind the last tensor that no tool shows.

    Leave the file out, or save it again. In a clone without its large files, fetch them: `git lfs
    pull`.

    Bad:

        adapter.safetensors that contains version https://git-lfs…

    Good:

        no other weight files, or readable ones
    """
    for entry in _others(subject):
        if entry.unread:
            continue  # CK810 reports it
        try:
            _decoded(entry)
        except FormatError as error:
            where = f"{error.subject}: " * bool(error.subject)
            is_pointer = entry.head.startswith(_LFS_POINTER)
            yield Violation(
                f"is not a readable safetensors file: {where}{error.what}",
                entry.path,
                error.subject,
                Remedy(("git", "lfs", "pull"), "fetch the file that it stands for: {}")
                if is_pointer
                else "leave it out, or save it again",
            )


@_supply_chain("CK819", "other-weights", Severity.WARNING)
def other_weights(subject: Subject) -> Iterator[Violation]:
    """Nothing refers to a weight file.

    A loader reads model.safetensors, the shards that an index names, the state that a processor
    names. Any other weight file is downloaded by everybody and loaded by nobody: a forgotten
    teacher, weights of an earlier run, a copy under another name. LeRobot reads nothing else, so
    under lerobot nothing else counts. Under transformers these count: an adapter beside its config,
    a file that a JSON file beside it names, and the parts of a diffusers pipeline or a
    sentence-transformers model that its list names. There a folder with its own config.json, a
    separate model, is a note, and so is consolidated.safetensors beside params.json: Mistral and
    Meta publish their own format beside that of transformers. Under generic several files are
    normal, such as LoRAs; there a file beside the weights is a note.

    Leave it out, or put it into a repository of its own.

    Bad:

        model_old.safetensors beside model.safetensors

    Good:

        model.safetensors
    """
    extra, profile = list(_others(subject)), profile_of(subject).name
    if not extra or (profile == GENERIC.name and not subject.checkpoint.weights):
        return
    if profile == GENERIC.name and subject.composition:
        return  # CK953 reports them
    index = subject.checkpoint.shard_index
    if index is not None and not index.weight_map:
        return  # CK213: shards that nothing refers to only because the index is empty
    paths = {entry.path for entry in subject.entries or ()}
    known = {WEIGHTS, *_referenced(subject, extra, paths, profile)}
    for entry in extra:
        if entry.path in known:
            continue
        folder, _, name = entry.path.rpartition("/")
        is_original = (
            bool(_ORIGINAL.fullmatch(name)) and f"{folder}/params.json".lstrip("/") in paths
        )
        is_note = profile == GENERIC.name or (
            profile == TRANSFORMERS.name and (is_original or f"{folder}/config.json" in paths)
        )
        if is_state(entry.path):
            yield from _lost_state(subject, entry, severity=Severity.NOTE if is_note else None)
            continue
        yield Violation(
            f"is a weight file of {entry.size:,} bytes "
            + ("in its maker's own format" if is_original else "that nothing refers to"),
            entry.path,
            next="leave it out, or put it into a repository of its own",
            severity=Severity.NOTE if is_note else None,
        )


def _lost_state(
    subject: Subject, entry: Entry, *, severity: Severity | None
) -> Iterator[Violation]:
    """Yield that no step has a state, unless its processor cannot be read: that says more."""
    processor = next(path for path in PROCESSORS if entry.path.startswith(path[: -len(".json")]))
    text = next((one.text for one in subject.entries or () if one.path == processor), None)
    if text is None or lax(text) is not None:
        yield Violation(
            "is the state of a step that its processor does not have",
            entry.path,
            next="copy the processor that names it from another checkpoint of the same run",
            severity=severity,
        )


@_supply_chain("CK820", "other-weights-teacher", Severity.ERROR)
def other_weights_teacher(subject: Subject) -> Iterator[Violation]:
    """Another weight file contains a teacher.

    CK301 finds a teacher among the checkpoint's own weights. A teacher in a file beside them, or in
    a subfolder, is uploaded too, and so is published even by those who may not publish it.

    Leave the file out.

    Bad:

        teacher.safetensors with tensors under teacher.

    Good:

        the teacher in a repository of its own
    """
    for entry in _others(subject):
        try:
            tensors = _decoded(entry).tensors
        except FormatError:
            continue  # CK818 reports it
        for prefix in TEACHER_PREFIXES:
            found = [tensor for tensor in tensors if unwrapped(tensor.name).startswith(prefix)]
            if found:
                nbytes = sum(tensor.nbytes for tensor in found)
                yield Violation(
                    f"contains {count(len(found), 'tensor')} under `{prefix}`, {nbytes:,} bytes",
                    entry.path,
                    found[0].name,
                    "leave it out, or publish a copy of it without these tensors",
                )


def _others(subject: Subject) -> Iterator[Entry]:
    """Yield the .safetensors files that are neither the checkpoint's weights nor a state of it."""
    read = {_plain(file.path) for file in (*subject.checkpoint.weights, *subject.checkpoint.states)}
    for entry in subject.entries or ():
        if entry.is_file and entry.path.lower().endswith(_SUFFIX) and entry.path not in read:
            yield entry


def _plain(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _decoded(entry: Entry) -> Header:
    """Return the decoded header of a weight file. Raises a FormatError."""
    length = header.header_length(entry.head[:LENGTH_BYTES], entry.size)
    if not entry.utf8:
        raise HeaderNotUtf8("the header is not UTF-8")
    payload = entry.size - LENGTH_BYTES - length
    return header.decode((entry.header or "").encode(), payload, shard=entry.path)


def _referenced(
    subject: Subject, extra: list[Entry], paths: set[str], profile: str
) -> Iterator[str]:
    """Yield the paths that a file refers to.

    Under lerobot those that LeRobot itself reads, else also adapters beside their configs, files
    that a JSON file beside them names, and files in listed folders.
    """
    if profile == LEROBOT.name:
        yield from _read_by_lerobot(subject)
        return
    folders, named = set(_listed_folders(subject)), set(_named(subject))
    for entry in extra:
        folder, _, name = entry.path.rpartition("/")
        config = f"{folder}/{ADAPTER_CONFIG}".lstrip("/")
        is_adapter = name == ADAPTER_WEIGHTS and config in paths
        if is_adapter or folder in folders or entry.path in named:
            yield entry.path


def _read_by_lerobot(subject: Subject) -> Iterator[str]:
    """Yield the shards of the index, and the state files of the two processors."""
    for entry in subject.entries or ():
        value = (
            lax(entry.text) if entry.text and entry.path in (WEIGHTS_INDEX, *PROCESSORS) else None
        )
        if not isinstance(value, dict):
            continue
        shards, steps = value.get("weight_map"), value.get("steps")
        names: list[object] = []
        if entry.path == WEIGHTS_INDEX:
            names += shards.values() if isinstance(shards, dict) else ()
        elif isinstance(steps, list):
            names += (step.get("state_file") for step in steps if isinstance(step, dict))
        yield from (name for name in names if isinstance(name, str))


def _listed_folders(subject: Subject) -> Iterator[str]:
    """Yield the subfolders that a file in the root lists as parts of the model.

    They are the components of diffusers and the modules of sentence-transformers.
    """
    for entry in subject.entries or ():
        if entry.path in ("model_index.json", "modules.json") and entry.text:
            value = lax(entry.text)
            if isinstance(value, dict):
                yield from (key for key, part in value.items() if isinstance(part, list))
            for module in value if isinstance(value, list) else ():
                path = module.get("path") if isinstance(module, dict) else None
                if isinstance(path, str) and path:
                    yield path


def _named(subject: Subject) -> Iterator[str]:
    """Yield the paths of the weight files that a JSON file in the same folder names."""
    for entry in subject.entries or ():
        if entry.path.endswith(".json") and entry.text and _SUFFIX in entry.text:
            folder = entry.path[: entry.path.rfind("/") + 1]
            for name in re.findall(r'"([^"/\\]{1,255}\.safetensors)"', entry.text):
                yield f"{folder}{name}"
