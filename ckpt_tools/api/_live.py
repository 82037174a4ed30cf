"""The verb spec, and what verify asks of an installed library."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.api._paths import as_text
from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.model import Checkpoint, Document
from ckpt_tools.checkpoint.read import DOCUMENT_LIMIT, read
from ckpt_tools.checkpoint.spec import Spec, name_on_every_machine, spec_of
from ckpt_tools.doctor.probe import probe
from ckpt_tools.errors import CkptError, NotACheckpoint, NothingAnswered, located
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.file_family import loader_of
from ckpt_tools.live.bases import parse_bases
from ckpt_tools.live.load import is_policy, load_problems
from ckpt_tools.live.source import Source, source_of
from ckpt_tools.live.tensors import expectation, tensors_of
from ckpt_tools.storage.session import hub_session, is_folder, is_remote, remote_storage
from ckpt_tools.storage.storage import LOCAL
from ckpt_tools.strict_json.parse import decode_utf8, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.families.family import Family
    from ckpt_tools.live.bases import Bases
    from ckpt_tools.live.tensors import Answer
    from ckpt_tools.storage.storage import Storage


@hub_session()
def spec(where: AnyPath, *, live: bool = False, base: Iterable[str] = ()) -> Spec:
    """Return the lockfile of the checkpoint at `where`.

    With `live` it is of what the installed library would write for the config at `where`, which
    needs no weights; `base` are local copies, as NAME=DIR, of what the config names on the Hub.
    Raises NothingAnswered, LibraryMissing, BaseMissing and ProbeFailed then.
    """
    where = as_text(where)
    if not live:
        return spec_of(read(where))
    bases = parse_bases(base)
    found = tensors_of(with_config(where)._replace(weights=()), bases)
    if isinstance(found, Unknown):
        raise _nothing(found, where)
    tensors = ((name, dtype, shape) for name, (dtype, shape) in found.tensors.items())
    written_from = f"{found.library} for {name_on_every_machine(where)}"
    return Spec(written_from, tuple(tensors), found.ties)


def _nothing(found: Unknown, where: str) -> NothingAnswered:
    return NothingAnswered(f"no library says what it would write: {found.reason}", path=where)


def with_config(where: str) -> Checkpoint:
    """Return the checkpoint at `where`, of a folder without weights its config.json."""
    try:
        return read(where)
    except NotACheckpoint:
        if not is_folder(where):
            raise
        storage: Storage = remote_storage(where) if is_remote(where) else LOCAL
        root = remote_storage(where).root if is_remote(where) else where
        path = os.path.join(root, CONFIG)
        if not storage.is_file(path):
            raise
        with located(path):
            text = decode_utf8(storage.read(path, DOCUMENT_LIMIT))
            document = Document(CONFIG, text, dict(parse_object(text)))
        return Checkpoint(where, root, (), documents=(document,))


def live_family(family: Family, checkpoint: Checkpoint, bases: Bases, *, lenient: bool) -> Family:
    """Return the family with the tensors that the installed library expects of the checkpoint.

    Raises LibraryMissing, BaseMissing and ProbeFailed, and NothingAnswered unless `lenient`.
    """
    try:
        found = tensors_of(checkpoint, bases)
    except CkptError as error:
        raise error.at(checkpoint.where) from None
    if isinstance(found, Unknown) and not lenient:
        raise _nothing(found, checkpoint.where)
    if isinstance(found, Unknown):
        return family._replace(expected=lambda _: found, file=None)
    source = source_of(checkpoint)
    if family.file is None and family.cleaning is None and isinstance(source, Source):
        loader = loader_of(source.library, {})
        family = family._replace(loader=loader, missing=loader.missing)
    answered = _merged(found, family, checkpoint)
    return family._replace(expected=lambda _: answered)


def _merged(found: Answer, family: Family, checkpoint: Checkpoint) -> Expectation:
    """Return what the library expects, with what is known of the dtypes of a family's files."""
    live, known = expectation(found), family.expected(checkpoint)
    if isinstance(known, Unknown):
        return live
    tensors = {
        name: known.tensors[name]._replace(shape=one.shape) if name in known.tensors else one
        for name, one in live.tensors.items()
    }
    return live._replace(tensors=tensors, because=known.because)


def loaded(family: Family, checkpoint: Checkpoint, bases: Bases) -> tuple[str, ...]:
    """Return what prevents a policy from loading and acting; none if it acts.

    LeRobot's policies are loaded here, others by the probe of their family's package. Raises
    ProbeMissing, LibraryMissing, BaseMissing, NothingAnswered, ProbeFailed and Unreadable.
    """
    if not is_policy(checkpoint):
        return probe(family.name, checkpoint.root)
    try:
        return load_problems(checkpoint, bases)
    except CkptError as error:
        raise error.at(checkpoint.where) from None
