"""`ckpt upload`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from ckpt_tools.api import _upload
from ckpt_tools.cli import options
from ckpt_tools.cli.findings_output import write_judgement
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, complain, write
from ckpt_tools.text import printable

if TYPE_CHECKING:
    from ckpt_tools.upload.snapshot import Frozen


_NAMED = 5
"""Names that fit a line."""


@click.command(
    short_help="Gate a checkpoint and upload exactly what was checked.", epilog=options.WHERE_HELP
)
@click.argument("repo", metavar="REPO")
@options.where("where")
@click.argument("arguments", metavar="[-- HF-UPLOAD-OPTIONS]...", nargs=-1)
@click.option(
    "--profile",
    metavar="NAME",
    help="lerobot, transformers or generic; by default what ckpt.toml says, or what the config asks for.",
)
@options.settings
@click.option(
    "--dry-run", is_flag=True, help="Print what would be sent, with its SHA-256, and send nothing."
)
def upload(  # noqa: PLR0913 - one parameter an option
    repo: str,
    where: str,
    *,
    arguments: tuple[str, ...],
    profile: str | None,
    settings: str | None,
    dry_run: bool,
) -> int:
    """Hold the checkpoint at WHERE against the gate, and send it to REPO on the Hugging Face Hub with `hf upload` if it passes.

    A private copy is made, checked and sent, so that what arrives is what was checked; afterwards
    the Hub is asked what it has. What stands after -- goes to `hf upload`. Exit status: 0 sent, 1
    refused by the gate, 2 trouble, 3 nothing was checked.

    \b
    ckpt upload me/policy out/
    ckpt upload me/policy out/ --profile lerobot -- --revision v1 --commit-message "First release"
    """
    _stop_as_interrupted()
    done = _upload.upload(
        repo,
        where,
        profile=profile,
        settings=settings,
        arguments=arguments,
        dry_run=dry_run,
        say=write,
    )
    if not done.verdict.passes:
        write_judgement(done.verdict, "text")
        complain(f"{printable(where)}: refused by the gate, nothing was sent")
        return FINDINGS if done.verdict.verification.checked else NOTHING_CHECKED
    if dry_run:
        write("".join(_line(file) for file in done.files))
    else:
        write(f"{len(done.files):,} files are on the Hub as they were checked: {done.url}\n")
    if done.beside:
        names = ", ".join(map(printable, done.beside[:_NAMED]))
        complain(
            f"the repository holds {len(done.beside):,} more, which were there and were not checked: {names}{', …' * (len(done.beside) > _NAMED)}"
        )
    return CLEAN


def _stop_as_interrupted() -> None:
    """Let a request to end, as a closed terminal or a scheduler sends it, remove the copy and stop the client as Ctrl-C does; one that is ignored stays so."""
    for request in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(request) is signal.SIG_DFL:
            signal.signal(request, signal.default_int_handler)


def _line(file: Frozen) -> str:
    """Return a file as `sha256sum` prints it.

    With a backslash before a line whose name has one, or an end of line.
    """
    escaped = file.path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'\\' if escaped != file.path else ''}{file.sha256}  {escaped if escaped.isprintable() else printable(escaped)}\n"
