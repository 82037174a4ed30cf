"""The verb audit: check many checkpoints, and write what is found into one file."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING

from blake3 import blake3

from ckpt_tools import __version__
from ckpt_tools.api._audit_check import audit_rules, examine_batch
from ckpt_tools.api._paths import as_text, several
from ckpt_tools.audit import sources
from ckpt_tools.audit.engines.folder import WorkFolder, work
from ckpt_tools.audit.engines.local import LocalEngine
from ckpt_tools.audit.engines.ray import ray_engine
from ckpt_tools.audit.engines.slurm import slurm_engine
from ckpt_tools.audit.hub_sources import quota_wait
from ckpt_tools.audit.model import Options, Tally
from ckpt_tools.audit.naming import shown
from ckpt_tools.audit.opening import open_to_write
from ckpt_tools.audit.run import Run
from ckpt_tools.audit.scope import Scope
from ckpt_tools.errors import UnknownSelection
from ckpt_tools.gate.settings import settings_of, settings_table
from ckpt_tools.scan.secrets import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.audit.run import Engine


def ignore_tally(_: Tally) -> None:
    """Do nothing with how far a run is."""


def audit(  # noqa: PLR0913 - options by keyword
    wheres: Iterable[AnyPath] | AnyPath,
    *,
    out: AnyPath,
    values: bool = False,
    jobs: int = 0,
    engine: Engine | None = None,
    only: Iterable[str] = (),
    settings: AnyPath | None = None,
    progress: Callable[[Tally], None] = ignore_tally,
    notify: Callable[[str], None] = sources.ignore_notice,
) -> Tally:
    """Check every checkpoint at and below `wheres`, and write what is found into the file `out`.

    An existing file of an earlier audit is brought up to date: what did not change is not read
    again, and what vanished is marked. `values` reads every tensor of local checkpoints. `jobs` is
    the number of processes, by default one for each processor; `engine` runs them instead. `only`
    are globs of locations. `settings` is a file to read instead of `ckpt.toml` in the current
    folder. `progress` gets how far the run is, `notify` sentences about it. What cannot be looked
    at is counted as failed, and its row has the reason.
    Raises AuditInvalid, LockedByOther, NoSpace or Unwritable for `out`, SettingsInvalid, and
    UnknownSelection for no sources.
    """
    named = tuple(as_text(where) for where in several(wheres))
    if not named:
        raise UnknownSelection("no source is named", hint="name a folder, hf://owner or a bucket")
    options = options_of(values=values, settings=as_text(settings))
    globs = several(only)
    with open_to_write(as_text(out)) as database:
        about = json.dumps({"values": values, "only": globs})
        sources_text = (mask(shown(one)) for one in named)
        number = database.start(__version__, options.rules, sources_text, about)
        run = Run(database, number, options, Scope(named, globs), progress)
        found = sources.candidates(
            named, known=run.is_known, only=globs, notify=notify, sent=run.sent
        )
        local = LocalEngine(jobs, waits=quota_wait(notify).refused)
        result = run.execute(found, engine or local)
        database.finish(number, run.requests)
        return result


def audit_engine(name: str, folder: AnyPath, jobs: int = 0) -> Engine:
    """Return an engine with `jobs` workers, which share `folder`.

    `name` is local, slurm or ray.
    Raises UnknownSelection without a folder, EngineMissing, EngineFailed.
    """
    if name == "local":
        return LocalEngine(jobs)
    shared = as_text(folder)
    if not shared:
        raise UnknownSelection(
            f"the engine {name} needs a folder for its work",
            hint="name one that the cluster's machines share, or a bucket, with --work",
        )
    if name == "slurm":
        return slurm_engine(WorkFolder(shared), jobs)
    return ray_engine(WorkFolder(shared), jobs, examine_batch)


def work_on_task(folder: AnyPath, task: str) -> None:
    """Check the batches of the task `task` of the work folder `folder`.

    Raises a CkptError about the folder.
    """
    work(WorkFolder(as_text(folder)), task, examine_batch)


def options_of(*, values: bool, settings: str | None) -> Options:
    """Return how a run checks. Raises SettingsInvalid."""
    text = _settings_text(settings)
    about = (__version__, *_about_rules(), text)
    return Options(values, text, blake3("\0".join(about).encode()).hexdigest(length=16))


@cache
def _about_rules() -> tuple[str, ...]:
    """Return a text for each rule: another one judges a checkpoint again."""
    return tuple(
        "\0".join((rule.code, rule.name, rule.severity, *sorted(rule.needs), rule.page))
        for rule in audit_rules()
    )


def _settings_text(named: str | None) -> str:
    """Return the settings and their file as JSON, which any worker reads, "" without settings.

    Where some expire, the day is part of them. Raises SettingsInvalid.
    """
    found = settings_table(named)
    if found is None:
        return ""
    table, path = found
    settings = settings_of(table, path)  # what is wrong with it is said now
    day = settings.today if any(one.expires for one in settings.suppress) else ""
    return json.dumps([table, os.path.abspath(path), day], default=str)
