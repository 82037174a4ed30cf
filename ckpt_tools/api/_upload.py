"""The verb upload: the Hub gets exactly the bytes that passed the gate."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.api._gate import gate
from ckpt_tools.api._paths import as_text, several
from ckpt_tools.api._verify import settings_for
from ckpt_tools.checkpoint.locate import locate
from ckpt_tools.checkpoint.read import read
from ckpt_tools.errors import ChangedDuringRead, CkptError, OutputExists, UnknownSelection
from ckpt_tools.rules.coverage import Question
from ckpt_tools.rules.finding import Severity
from ckpt_tools.storage.durable import there, write_file
from ckpt_tools.storage.files import remote_not_supported
from ckpt_tools.storage.session import is_remote
from ckpt_tools.upload import card, hf_cli, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.gate.verdict import Settings, Verdict
    from ckpt_tools.storage.identity import FileIdentity
    from ckpt_tools.upload.snapshot import UploadedFile


class Upload(NamedTuple):
    """The result of an upload.

    `files` are those sent, or that would be; none if the gate failed. `url` is the commit, "" if
    nothing was sent. `beside` are other files in the commit: the repository already had them, and
    they were not checked. `card` is the text of the README.md that was written, or would be.
    """

    verdict: Verdict
    files: tuple[UploadedFile, ...] = ()
    url: str = ""
    beside: tuple[str, ...] = ()
    card: str = ""


def upload(  # noqa: PLR0913 - options by keyword
    repo: str,
    where: AnyPath,
    *,
    profile: str | None = None,
    settings: AnyPath | Settings | None = None,
    reference: AnyPath | None = None,
    spec: AnyPath | None = None,
    arguments: tuple[str, ...] = (),
    card_license: str = "",
    dry_run: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Upload:
    """Send the checkpoint at `where` to `repo` on the Hub if it passes the gate.

    `arguments` go to `hf upload`; `say` is called with its output. The gate checks the checkpoint,
    and again the private copy that is sent, both under `profile` and `settings`, and against
    `reference` and `spec`, as `gate` does. `dry_run` sends nothing. With
    `card_license`, README.md is written into the folder first, from its configs and with this
    license. Raises ChangedDuringRead if a file changes in between (it is not sent), WriteFailed if
    the client fails, WrittenWrong if the Hub has something else afterwards, OutputExists if there
    is a README.md to be written already.
    """
    where = as_text(where)
    if is_remote(where):
        raise remote_not_supported(where)
    settings = settings_for(where, as_text(settings), ())
    judge = partial(gate, reference=reference, spec=spec)
    arguments = several(arguments)
    hf_cli.check_arguments(arguments)
    error: CkptError | None = None
    try:
        root, files = _files(where)
    except CkptError as caught:
        error = caught  # the gate may report more about it
    text = _card(repo, where, card_license) if card_license and not error else ""
    verdict = judge(where, profile=profile, settings=_without_card(settings) if text else settings)
    if not verdict.passes:
        return Upload(verdict)
    if error:
        raise error
    if dry_run:
        return Upload(verdict, snapshot.hashed(root, files), card=text)
    if text:
        write_file(os.path.join(root, card.NAME), text.encode())
        files |= snapshot.identities(root, (card.NAME,))
    with snapshot.staged(root, files) as (folder, sums):
        copy = folder if os.path.isdir(where) else os.path.join(folder, os.path.basename(where))
        # Tensor values were read already, from the same bytes.
        required = tuple(one for one in settings.require if one is not Question.VALUES)
        settings = settings._replace(require=required)
        if not judge(copy, profile=verdict.profile, settings=settings, values=False).passes:
            what = "the copy to be sent does not pass the gate, although the checkpoint did"
            raise ChangedDuringRead(what, path=where)
        commit = hf_cli.send(repo, folder, arguments, say)
    beside = hf_cli.compare(commit, sums, hf_cli.token_in(arguments))
    return Upload(verdict, sums, commit.url, beside, text)


def _card(repo: str, where: str, license_id: str) -> str:
    """Return the text of a card. Raises OutputExists, or UnknownSelection if none can be made."""
    location = locate(where)
    path = os.path.join(location.root, card.NAME)
    if not card.is_filled(license_id):
        hint = "name one as the Hub does, such as apache-2.0"
        raise UnknownSelection(f"{license_id!r} is not a license", hint=hint)
    if there(path):
        raise OutputExists("already exists", path=path, hint="omit --card, or edit the file")
    checkpoint = read(where)
    if not location.whole_folder or not card.policy_type(checkpoint):
        raise UnknownSelection(
            "only for the folder of a LeRobot policy can a card be written",
            path=where,
            hint="omit --card, and write README.md yourself",
        )
    return card.card(checkpoint, license_id, repo)


def _without_card(settings: Settings) -> Settings:
    """Return settings under which a missing card does not fail: it is about to be written."""
    return settings._replace(severity={**settings.severity, card.CODE: Severity.NOTE})


def _files(where: str) -> tuple[str, dict[str, FileIdentity]]:
    """Return the folder and the files in it that an upload of `where` sends, as they are now."""
    location = locate(where)
    if location.whole_folder:
        paths = snapshot.files_below(location.root)
    else:
        checkpoint = read(where)
        index = (checkpoint.shard_index.path,) if checkpoint.shard_index else ()
        paths = (*index, *(file.path for file in checkpoint.weights))
    return location.root, snapshot.identities(location.root, paths)
