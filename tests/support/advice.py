"""Following the advice of findings: on a copy, and what must be true of the copy afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.errors import CkptError
from ckpt_tools.rules.finding import Severity
from tests.support import gated
from tests.support.cases import NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ckpt_tools.rules.finding import Finding

type Make = Callable[[Path], object]
"""Writes a checkpoint to a folder that does not exist."""

IN_PLACE = ("cast", "extract", "merge", "rename", "reshard", "sanitize", "strip")
"""Commands that write a new folder unless they are told to change the checkpoint itself."""

READING = ("diff", "show", "explain", "verify", "doctor")
PLACEHOLDERS = ("WHERE", "GLOB", "KEY", "VALUE", "OLD", "NEW", "NAME", "RECIPE", "POINTER")


class Fault(NamedTuple):
    """A bad checkpoint and its good twin, the options of the verification, and how to verify.

    `code` is the rule that it is for: what a companion advises must do no harm, but may not suffice
    where the fault itself is still there.
    """

    bad: Make
    good: Make
    options: Mapping[str, object]
    is_gated: bool = False
    code: str = ""

    def findings(self, folder: Path) -> tuple[Finding, ...]:
        """Return what is found in `folder`."""
        if self.is_gated:
            return gated.findings(folder, **self.options)  # type: ignore[arg-type]  # by name
        return api.verify(str(folder), **self.options).findings  # type: ignore[arg-type]  # by name


def complaints(fault: Fault, home: Path) -> list[str]:
    """Return what is wrong with the advice that a checkpoint gets, after following it on copies."""
    bad, good = home / "bad", home / "good"
    fault.bad(bad)
    fault.good(good)
    before, shared = fault.findings(bad), facts(bad) & facts(good)
    commands: dict[tuple[str, ...], Finding] = {}
    for finding in before:
        if finding.remedy.argv[:1] == ("ckpt",):
            commands.setdefault(finding.remedy.argv, finding)
    found = []
    for argv, finding in commands.items():
        copy = home / "copy"
        shutil.copytree(bad, copy, symlinks=True)
        words = [word.replace(str(bad), str(copy)) for word in argv[1:]]
        what = f"{finding.code}: {' '.join(argv)}"
        found += [
            f"{what}: {wrong}"
            for wrong in _wrong(fault, finding, words, before=before, copy=copy, shared=shared)
        ]
        shutil.rmtree(copy)
    return found


def _wrong(  # noqa: PLR0913 - what was before, and where it is followed
    fault: Fault,
    finding: Finding,
    words: list[str],
    *,
    before: tuple[Finding, ...],
    copy: Path,
    shared: frozenset[tuple[str, ...]],
) -> Iterator[str]:
    if unfilled := [word for word in words if word in PLACEHOLDERS]:
        yield f"{unfilled} not filled in"
        return
    words = [str(NORMAL) if word == "NORMAL" else word for word in words]
    reading = words[0] in READING or words[2:3] in (["diff"], ["validate"], ["get"])
    status = main([*words, *(("--in-place", "--no-backup") if words[0] in IN_PLACE else ())])
    if status not in ((0, 1) if reading else (0,)):
        yield f"exit status {status}"
    after = fault.findings(copy)
    if (
        not reading
        and fault.code in ("", finding.code)
        and any(_same(one, finding) for one in after)
    ):
        yield "the finding is still there"
    yield from (f"new: {code}" for code in sorted(_counts(after) - _counts(before)))
    about = finding.subject.rpartition("/")[2]
    lost = sorted(fact for fact in shared - facts(copy) if not about or about not in fact[1])
    if lost:
        yield f"lost: {len(lost)}, such as {lost[0][:3]}"


def _same(one: Finding, other: Finding) -> bool:
    return (one.code, one.what, one.subject) == (other.code, other.what, other.subject)


def _counts(findings: tuple[Finding, ...]) -> Counter[str]:
    return Counter(one.code for one in findings if one.severity is not Severity.NOTE)


def facts(folder: Path) -> frozenset[tuple[str, ...]]:
    """Return every tensor with its bytes, every value of every JSON file, and the other files."""
    return frozenset(_facts(folder))


def _facts(folder: Path) -> Iterator[tuple[str, ...]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_file():
            continue  # opening a pipe would wait for its other end
        if path.suffix == ".safetensors":
            yield from _tensors(path, name if name.startswith("policy_p") else "")
        elif name.endswith(".json") and not name.endswith("index.json"):
            try:
                yield from _values(json.loads(path.read_bytes()), name)
            except (OSError, ValueError):
                yield ("file", name)
        elif not name.endswith("index.json"):
            yield ("file", name)


def _tensors(path: Path, file: str) -> Iterator[tuple[str, ...]]:
    try:
        held = api.read(path).weights[0]
    except CkptError:
        return
    payload = path.read_bytes()[held.payload_start :] if path.stat().st_size < 1 << 24 else b""
    for tensor in held.tensors:
        digest = hashlib.sha256(payload[tensor.start : tensor.end]).hexdigest()
        yield ("tensor", file, tensor.name, f"{tensor.dtype} {tensor.shape}", digest)


def _values(value: object, pointer: str) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _values(item, f"{pointer}/{key}")
    else:
        yield ("value", pointer, json.dumps(value))
