"""Sending a folder to the Hugging Face Hub with its own client, and asking the Hub what it has."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import UnknownSelection, WriteFailed, WrittenWrong
from ckpt_tools.storage.hub_name import HUB_ADDED_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import IO, Any

    from ckpt_tools.upload.snapshot import Frozen

_CLIENT = (sys.executable, "-m", "huggingface_hub.cli.hf")
_CHOOSING = ("--include", "--exclude", "--every")
"""What would have the client send something else than all that was checked, or send it again later."""

_COMMIT = re.compile(
    r"https?://\S+?/(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/\s]+/[^/\s]+)/commit/(?P<commit>[0-9a-f]{40})"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ASIDE = ("Hint:", "For more information check:")


class Sent(NamedTuple):
    """Where the Hub says that a folder is now."""

    repo: str
    kind: str
    commit: str
    url: str


def refuse_choosing(arguments: Iterable[str]) -> None:
    """Raise UnknownSelection for arguments of `hf upload` under which something else would be sent than what was checked."""
    for argument in arguments:
        if argument.partition("=")[0] in _CHOOSING:
            raise UnknownSelection(
                f"{argument.partition('=')[0]} would send something else than what is checked",
                hint="put what you want to send into a folder of its own, and upload that",
            )


def send(repo: str, folder: str, arguments: Iterable[str], say: Callable[[str], None]) -> Sent:
    """Run `hf upload` on all of `folder`, its output passed on to `say`.

    Raises WriteFailed with the client's own words.
    """
    # From inside the folder: a path with `*`, `?` or `[` in it would be taken for a pattern.
    command = (*_CLIENT, "upload", repo, ".", ".", *arguments)
    heard: list[str] = []
    with tempfile.TemporaryFile() as aside:
        # On a terminal progress is shown as it goes; elsewhere a failure is one line, so what the
        # client says is held until it has ended.
        held = None if sys.stderr.isatty() else aside
        with subprocess.Popen(  # noqa: S603 - this very Python
            command, stdout=subprocess.PIPE, stderr=held, text=True, errors="replace", cwd=folder
        ) as client:
            try:
                for line in client.stdout or ():
                    heard.append(line)
                    say(line)
            except BaseException:
                client.terminate()  # who was told to stop must not leave it uploading
                raise
        _end(repo, client.returncode, aside, heard)
    return _sent(repo, "".join(heard))


def _end(repo: str, status: int, aside: IO[bytes], heard: Iterable[str]) -> None:
    aside.seek(0)
    said = aside.read().decode("utf-8", "replace")
    if status:
        lines = [line.strip() for line in _COLOUR.sub("", said + "".join(heard)).splitlines()]
        # Its error is a paragraph that starts with the word, somewhere among how to use it and
        # hints.
        start = next((place for place, line in enumerate(lines) if line.startswith("Error:")), 0)
        told = [line for line in lines[start:] if not line.startswith(_ASIDE)]
        words = " ".join(line for line in told if line).removeprefix("Error: ")
        raise WriteFailed(
            f"hf upload failed: {words}" if words else "hf upload failed, as it says above",
            path=repo,
        )
    sys.stderr.write(said)


def _sent(repo: str, heard: str) -> Sent:
    found = _COMMIT.search(_COLOUR.sub("", heard))
    if found is None:
        raise WrittenWrong(
            "was uploaded, but hf named no commit, so what arrived was not compared",
            path=repo,
            hint="look at it on the Hub",
        )
    return Sent(
        found["repo"], (found["kind"] or "models").removesuffix("s"), found["commit"], found[0]
    )


def compare(sent: Sent, files: Collection[Frozen], token: str | None) -> tuple[str, ...]:
    """Return what the commit holds beside these files, which nobody checked.

    Raises WrittenWrong unless the Hub has each of the files as it was when it was checked;
    WriteFailed where it does not say.
    """
    hub = importlib.import_module("huggingface_hub")
    try:
        tree = hub.HfApi(token=token).list_repo_tree(
            sent.repo, recursive=True, revision=sent.commit, repo_type=sent.kind
        )
        there = {entry.path: entry for entry in tree if isinstance(entry, hub.RepoFile)}
    except Exception as error:
        raise WriteFailed(
            f"was uploaded, but the Hub does not say what it has: {' '.join(str(error).split())}",
            path=sent.url,
        ) from error
    wrong = list(_differences(files, there))
    if wrong:
        raise WrittenWrong(
            f"the Hub has something else than what was checked: {', '.join(wrong)}",
            path=sent.url,
            hint="do not use this commit; upload again",
        )
    return tuple(sorted(there.keys() - {file.path for file in files} - {HUB_ADDED_FILES}))


def _differences(files: Iterable[Frozen], there: dict[str, Any]) -> Iterator[str]:
    for file in files:
        entry = there.get(file.path)
        if entry is None:
            yield f"{file.path} is missing"
        elif entry.size != file.size or (
            entry.lfs.sha256 != file.sha256 if entry.lfs else entry.blob_id != file.git_oid
        ):
            yield f"{file.path} differs"


def token_in(arguments: tuple[str, ...]) -> str | None:
    """Return the token among arguments of `hf upload`, None where the client is to find its own."""
    for place, argument in enumerate(arguments):
        if argument == "--token" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--token="):
            return argument.partition("=")[2]
    return None
