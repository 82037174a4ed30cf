"""Runs `hf upload`, and compares the new commit with what was sent."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import UnknownSelection, WriteFailed, WrittenWrong
from ckpt_tools.storage.hub_library import hub_library
from ckpt_tools.storage.hub_name import HUB_ADDED_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    from ckpt_tools.upload.snapshot import UploadedFile

_CLIENT = (sys.executable, "-m", "huggingface_hub.cli.hf")
_SELECTING = ("--include", "--exclude", "--every")
"""Options with which the client would send something else, or send it again later."""

_COMMIT = re.compile(
    r"https?://\S+?/(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/\s]+/[^/\s]+)"
    r"/commit/(?P<commit>[0-9a-f]{40})"
)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_NOT_ERRORS = ("Hint:", "For more information check:")


class Commit(NamedTuple):
    """The commit that `hf upload` made."""

    repo: str
    kind: str
    commit: str
    url: str


def check_arguments(arguments: Iterable[str]) -> None:
    """Raise UnknownSelection for options of `hf upload` that would not send what was checked."""
    for argument in arguments:
        option = argument.partition("=")[0]
        if option in _SELECTING:
            raise UnknownSelection(
                f"{option} would send something other than what is checked",
                hint="copy what you want to send to a separate folder, and upload that",
            )


def send(repo: str, folder: str, arguments: Iterable[str], say: Callable[[str], None]) -> Commit:
    """Run `hf upload` on all of `folder`; `say` is called with its output.

    Raises WriteFailed with the client's error.
    """
    # From inside the folder: a path with `*`, `?` or `[` would be taken for a pattern.
    command = (*_CLIENT, "upload", repo, ".", ".", *arguments)
    lines: list[str] = []
    with tempfile.TemporaryFile() as captured:
        # A terminal shows the progress. Elsewhere a failure is one line, so standard error is
        # captured until the client has ended.
        errors = None if sys.stderr.isatty() else captured
        with subprocess.Popen(  # noqa: S603 - this very Python
            command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace", cwd=folder
        ) as client:
            try:
                for line in client.stdout or ():
                    lines.append(line)
                    say(line)
            except BaseException:
                client.terminate()  # an interrupted command must not go on uploading
                raise
        captured.seek(0)
        complaint = captured.read().decode("utf-8", "replace")
    output = "".join(lines)
    if client.returncode:
        error = _error_in(complaint + output)
        raise WriteFailed(f"hf upload failed{f': {error}' if error else ''}", path=repo)
    sys.stderr.write(complaint)
    return _commit(repo, output)


def _error_in(output: str) -> str:
    """Return the client's error: a paragraph that starts with the word, between usage and hints."""
    lines = [line.strip() for line in _COLOR.sub("", output).splitlines()]
    start = next((at for at, line in enumerate(lines) if line.startswith("Error:")), 0)
    kept = (line for line in lines[start:] if line and not line.startswith(_NOT_ERRORS))
    return " ".join(kept).removeprefix("Error: ")


def _commit(repo: str, output: str) -> Commit:
    found = _COMMIT.search(_COLOR.sub("", output))
    if found is None:
        raise WrittenWrong(
            "was uploaded, but hf printed no commit, so the result was not compared",
            path=repo,
            hint="check the files on the Hub",
        )
    kind = (found["kind"] or "models").removesuffix("s")
    return Commit(found["repo"], kind, found["commit"], found[0])


def compare(commit: Commit, files: Collection[UploadedFile], token: str | None) -> tuple[str, ...]:
    """Return the other files in the commit, which were not checked.

    Raises WrittenWrong unless the Hub has each of `files` as it was checked, WriteFailed if the Hub
    cannot be asked.
    """
    hub = hub_library()
    try:
        tree = hub.HfApi(token=token).list_repo_tree(
            commit.repo, recursive=True, revision=commit.commit, repo_type=commit.kind
        )
        remote = {entry.path: entry for entry in tree if isinstance(entry, hub.RepoFile)}
    except Exception as error:
        raise WriteFailed(
            f"was uploaded, but the Hub did not list its files: {' '.join(str(error).split())}",
            path=commit.url,
        ) from error
    wrong = list(_differences(files, remote))
    if wrong:
        raise WrittenWrong(
            f"the Hub has something other than what was checked: {', '.join(wrong)}",
            path=commit.url,
            hint="do not use this commit; upload again",
        )
    return tuple(sorted(remote.keys() - {file.path for file in files} - {HUB_ADDED_FILES}))


def _differences(files: Iterable[UploadedFile], remote: dict[str, Any]) -> Iterator[str]:
    for file in files:
        entry = remote.get(file.path)
        if entry is None:
            yield f"{file.path} is missing"
        elif entry.size != file.size or (
            entry.lfs.sha256 != file.sha256 if entry.lfs else entry.blob_id != file.git_oid
        ):
            yield f"{file.path} differs"


def token_in(arguments: tuple[str, ...]) -> str | None:
    """Return the token among arguments of `hf upload`, None if the client finds its own."""
    for at, argument in enumerate(arguments):
        if argument == "--token" and at + 1 < len(arguments):
            return arguments[at + 1]
        if argument.startswith("--token="):
            return argument.partition("=")[2]
    return None
