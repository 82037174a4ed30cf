"""Rules about the files that an upload would include: their types, modes, sizes and links."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_WEIGHTS, WEIGHTS
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.profiles import GENERIC, LEROBOT, allows, is_state, matches, profile_of
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.scan.entry import is_never_uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject
    from ckpt_tools.scan.entry import Entry

_supply_chain = partial(rule, needs=Need.FILES, supply_chain=True)

_WHY_NOT = {
    ".svg": ": it can contain scripts, which a browser runs",
    ".html": ": it can contain scripts, which a browser runs",
    ".pdf": ": it can contain scripts and files",
    "requirements.txt": ": it says what to install, which runs code",
}
_EXPORT = re.compile(r"(?:.*/)?onnx/[^/]*\.onnx(?:_data(?:_[0-9]+)?)?")
_OR_ALLOW = "leave it out, or allow its type in ckpt.toml: [allow] files"
_MANY = 20
"""Files of one folder that are reported one by one."""

_EXPORTED = frozenset((Kind.TRANSFORMERS, Kind.SENTENCE))
_SPECIAL = {
    "pipe": "a named pipe, on which a reader blocks forever",
    "socket": "a socket",
    "device": "a device",
}
_SET_ID, _EXECUTABLE, _WORLD_WRITABLE = 0o6000, 0o111, 0o002


@_supply_chain("CK804", "file-type", Severity.ERROR)
def file_type(subject: Subject) -> Iterator[Violation]:
    """The profile does not allow this type of file.

    Uploading a whole folder also uploads what happens to be in it: archives, logs, notebooks,
    optimizer state, binaries. Not all of them can be inspected, so the gate lists what belongs in a
    checkpoint and rejects the rest. SVG and PDF are rejected because they can contain scripts, and
    requirements.txt (except under generic) because it says what to install: both belong in a model
    card. The folder `onnx/` of a transformers or sentence-transformers model, which transformers.js
    loads, is a note.

    Leave the file out, or allow its type in ckpt.toml: `[allow] files = ["*.onnx"]`.

    Bad:

        model.onnx
        images/plot.svg
        notebook.ipynb

    Good:

        model.safetensors
        images/plot.png
        LICENSE
    """
    profile = profile_of(subject)
    exports = profile.name != LEROBOT.name and not subject.kinds.isdisjoint(_EXPORTED)
    refused: defaultdict[str, list[str]] = defaultdict(list)
    for entry in _files(subject):
        if allows(profile, entry.path):
            continue
        if exports and _EXPORT.fullmatch(entry.path):
            what = "is the model in another format, which was not compared with the weights"
            yield Violation(what, entry.path, "", _OR_ALLOW, Severity.NOTE)
        else:
            refused[entry.path.rpartition("/")[0]].append(entry.path)
    for folder, paths in refused.items():
        if len(paths) > _MANY:
            what = f'contains {len(paths):,} files not allowed by profile "{profile.name}", such as'
            name = paths[0].rpartition("/")[2]
            yield Violation(f"{what} {name}", f"{folder}/" * bool(folder), next=_OR_ALLOW)
            continue
        for path in paths:
            why = next((why for end, why in _WHY_NOT.items() if path.lower().endswith(end)), "")
            what = f'file type not allowed by profile "{profile.name}"{why}'
            yield Violation(what, path, next=_OR_ALLOW)


@_supply_chain("CK805", "link", Severity.ERROR)
def link(subject: Subject) -> Iterator[Violation]:
    """A link leads out of the folder.

    The file behind a link is uploaded under the link's name: a file of this machine that was not
    meant to be published, or one that changes independently of the checkpoint. A link to a file in
    the folder is a note, since most copies and uploads make a second file of it. Snapshots in the
    Hugging Face cache consist of links to the cache's blobs; these are allowed.

    Replace the link with the file.

    Bad:

        host.md -> /etc/hostname

    Good:

        host.md as a file
    """
    for entry in subject.entries or ():
        if entry.kind != "link" or (not entry.leaves and "/blobs/" in entry.target):
            continue
        yield Violation(
            f"is a link to {entry.target!r}{', outside the folder' * entry.leaves}",
            entry.path,
            next=f"replace the link with the file{', or leave it out' * entry.leaves}",
            severity=None if entry.leaves else Severity.NOTE,
        )


@_supply_chain("CK806", "special-file", Severity.ERROR)
def special_file(subject: Subject) -> Iterator[Violation]:
    """The folder contains a pipe, a socket or a device.

    A reader of a named pipe blocks forever; a device or a socket has no bytes to upload. None
    belongs in a checkpoint. The gate never opens one.

    Remove it.

    Bad:

        mkfifo out/pipe

    Good:

        files, folders and links only
    """
    for entry in subject.entries or ():
        if entry.kind in _SPECIAL:
            yield Violation(f"is {_SPECIAL[entry.kind]}", entry.path, next="remove it")


@_supply_chain("CK814", "mode", Severity.WARNING)
def mode(subject: Subject) -> Iterator[Violation]:
    """A file is executable, or writable by all users.

    A checkpoint contains nothing to run: an executable file is a stray script, or a mistake made
    when unpacking, and set-user-ID bits lend the rights of the owner. What all users may write can
    be changed between the check and the upload.

    `chmod 644` the files and `chmod 755` the folders.

    Bad:

        -rwxrwxrwx config.json

    Good:

        -rw-r--r-- config.json
    """
    for entry in subject.entries or ():
        if entry.kind not in ("file", "folder") or is_never_uploaded(entry.path):
            continue
        is_file = entry.kind == "file"
        faults = {
            "has a set-user-ID or set-group-ID bit": entry.mode & _SET_ID and is_file,
            "is executable": entry.mode & _EXECUTABLE and is_file,
            "is writable by all users": entry.mode & _WORLD_WRITABLE,
        }
        if any(faults.values()):
            yield Violation(
                f"{' and '.join(fault for fault, has in faults.items() if has)} "
                f"(mode {entry.mode:o})",
                entry.path,
                next=Remedy(("chmod", "644" if is_file else "755", f"WHERE/{entry.path}")),
            )


@_supply_chain("CK815", "files-too-large", Severity.ERROR)
def files_too_large(subject: Subject) -> Iterator[Violation]:
    """A file is larger than the Hub accepts, or there are very many files.

    The Hub rejects files of more than 50 GB. Folders of more than 10,000 files and repositories of
    more than 100,000 are slow to list, to clone and to load; that is a note.

    `ckpt reshard` splits weights into smaller files. Pack many small files, or leave them out.

    Bad:

        model.safetensors of 60 GB

    Good:

        12 shards of 5 GB and their index
    """
    profile = profile_of(subject)
    counts: Counter[str] = Counter()
    fewer = "leave out what is not needed"
    for entry in subject.entries or ():
        if entry.kind != "folder":
            counts[entry.path.rpartition("/")[0]] += 1
        if entry.size > profile.largest:
            yield Violation(
                f"has {entry.size:,} bytes; the Hub accepts {profile.largest:,} at most",
                entry.path,
                next="split it into smaller files; `ckpt reshard` splits weights",
            )
    for folder, count in counts.items():
        if count > profile.many:
            what = f"contains {count:,} files, more than {profile.many:,}"
            yield Violation(what, f"{folder}/" * bool(folder), "", fewer, Severity.NOTE)
    if counts.total() > profile.most:
        what = f"contains {counts.total():,} files in all, more than {profile.most:,}"
        yield Violation(what, next=fewer, severity=Severity.NOTE)


@_supply_chain("CK816", "required-file", Severity.ERROR)
def required_file(subject: Subject) -> Iterator[Violation]:
    """A file that the profile requires is missing.

    An upload without its weights or its config is useless, and the gate cannot check what is
    missing. LeRobot's profile requires config.json and model.safetensors, transformers' config.json
    and a .safetensors file, generic a .safetensors file, which may be in a subfolder, as the parts
    of a diffusers pipeline are. A policy's LoRA has adapter_model.safetensors instead of
    model.safetensors.

    Save the checkpoint again, or name the folder that contains it.

    Bad:

        config.json alone

    Good:

        config.json and model.safetensors
    """
    profile = profile_of(subject)
    names = [
        entry.path
        for entry in _files(subject)
        if (profile.name == GENERIC.name or "/" not in entry.path) and not is_state(entry.path)
    ]
    is_adapter = [file.path for file in subject.checkpoint.weights] == [ADAPTER_WEIGHTS]
    for required in profile.required:
        glob = ADAPTER_WEIGHTS if is_adapter and required == WEIGHTS else required
        if not any(matches(name, (glob,)) for name in names):
            remedy = f'save the checkpoint again: profile "{profile.name}" requires this file'
            yield Violation("is missing", glob, next=remedy)


@_supply_chain("CK817", "stale-suppression", Severity.NOTE)
def stale_suppression(_subject: Subject) -> Iterator[Violation]:
    """A suppression in the settings matches nothing, or has expired.

    A suppression that matches no finding hides the next one that it matches; one that has expired
    hides nothing any more, and what it hid is reported again. The gate reports both as notes, since
    neither is the checkpoint's fault. It is the gate that reads the settings, so this rule reports
    nothing by itself.

    Remove it from ckpt.toml, or review the finding and set a later date.

    Bad:

        expires = 2020-01-01

    Good:

        no entry for what was repaired
    """
    yield from ()


@_supply_chain("CK824", "required-question", Severity.ERROR)
def required_question(_subject: Subject) -> Iterator[Violation]:
    """A question that must be checked was not, or only in part.

    A verdict says what was checked: container, values, completeness, agreement of config and
    weights, processors, supply chain. A question that is skipped does not fail a checkpoint, unless
    `--require` or `require` in ckpt.toml names it. What is partly checked does not satisfy it. A
    question that does not arise does: only policies have processors.

    Give the command what it lacks: `--reference` or `--spec` for completeness, `--values` for
    values; supply-chain is checked by `ckpt gate`.

    Bad:

        ckpt verify out/act --require completeness

    Good:

        ckpt verify out/act --require completeness --reference normal/act
    """
    yield from ()


def _files(subject: Subject) -> Iterator[Entry]:
    return (entry for entry in subject.entries or () if entry.is_file)
