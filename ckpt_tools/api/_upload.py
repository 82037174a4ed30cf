"""The verb that publishes: upload. What the Hub gets is byte for byte what the gate let pass."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, NamedTuple, cast

from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.locate import locate
from ckpt_tools.checkpoint.read import read
from ckpt_tools.errors import ChangedDuringRead, CkptError
from ckpt_tools.storage.files import remote_not_supported
from ckpt_tools.storage.session import is_remote
from ckpt_tools.upload import hf_cli, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.gate.verdict import Settings, Verdict
    from ckpt_tools.storage.identity import FileIdentity
    from ckpt_tools.upload.snapshot import Frozen


class Upload(NamedTuple):
    """What came of it.

    `files` are those sent, or that would be; none if the gate refused. `url` is the commit, ""
    where nothing was sent.

    `beside` are the files that the commit holds beside them: they were in the repository, and
    nobody checked them.
    """

    verdict: Verdict
    files: tuple[Frozen, ...] = ()
    url: str = ""
    beside: tuple[str, ...] = ()


def upload(  # noqa: PLR0913 - options by keyword
    repo: str,
    where: AnyPath,
    *,
    profile: str | None = None,
    settings: AnyPath | Settings | None = None,
    arguments: tuple[str, ...] = (),
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Upload:
    """Send the checkpoint at `where` to `repo` on the Hub, if the gate lets it pass.

    `arguments` are those of `hf upload`, `say` gets what it prints.

    The gate looks at the checkpoint, and again at the private copy that is sent. A file that
    changes in between is never sent: ChangedDuringRead. Raises WriteFailed where the client fails,
    WrittenWrong where the Hub has something else afterwards.
    """
    where, settings = as_text(where), as_text(settings)
    hf_cli.refuse_choosing(arguments)
    if is_remote(where):
        raise remote_not_supported(where)
    root, seen, trouble = _looked_at(where)
    verdict = _gate(where, profile=profile, settings=settings)
    if not verdict.passes:
        return Upload(verdict)
    if trouble:
        raise trouble
    if dry_run:
        return Upload(verdict, snapshot.frozen(root, seen))
    with snapshot.staged(root, seen) as (folder, files):
        _refuse_other(where, folder, verdict.profile, settings)
        sent = hf_cli.send(repo, folder, arguments, say)
    beside = hf_cli.compare(sent, files, hf_cli.token_in(arguments))
    return Upload(verdict, files, sent.url, beside)


def _refuse_other(where: str, folder: str, profile: str, settings: str | Settings | None) -> None:
    """Raise ChangedDuringRead unless the copy in `folder` passes as the checkpoint did.

    Its bytes are those whose values were read.
    """
    copy = folder if os.path.isdir(where) else os.path.join(folder, os.path.basename(where))
    if not _gate(copy, profile=profile, settings=settings, values=False).passes:
        raise ChangedDuringRead(
            "the copy that was to be sent does not pass the gate, though the checkpoint did",
            path=where,
        )


def _looked_at(where: str) -> tuple[str, dict[str, FileIdentity], CkptError | None]:
    """Return the folder, its files as they are before the gate looks, and what keeps one from being sent; the gate may have more to say of that."""
    try:
        location = locate(where)
        if location.whole_folder:
            return (
                location.root,
                snapshot.look(location.root, snapshot.files_below(location.root)),
                None,
            )
        checkpoint = read(where)
        index = (checkpoint.shard_index.path,) if checkpoint.shard_index else ()
        return (
            location.root,
            snapshot.look(location.root, (*index, *(file.path for file in checkpoint.weights))),
            None,
        )
    except CkptError as error:
        return where, {}, error


def _gate(
    where: str, *, profile: str | None, settings: str | Settings | None, values: bool = True
) -> Verdict:
    return cast(
        "Verdict",
        importlib.import_module("ckpt_tools.api._gate").gate(
            where, profile=profile, settings=settings, values=values
        ),
    )
