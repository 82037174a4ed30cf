"""`ckpt upload`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.findings_output import write_judgement
from ckpt_tools.cli.output import CLEAN, FINDINGS, NOTHING_CHECKED, complain, write, write_error
from ckpt_tools.text import count, printable
from ckpt_tools.upload.card import CODE

if TYPE_CHECKING:
    from ckpt_tools.api._upload import Upload
    from ckpt_tools.gate.verdict import Verdict
    from ckpt_tools.upload.snapshot import UploadedFile


_MAX_NAMES = 5


@click.command(
    short_help="Check a checkpoint and upload exactly what was checked.", epilog=options.WHERE_HELP
)
@click.argument("repo", metavar="REPO")
@options.where("where")
@click.argument("arguments", metavar="[-- HF-UPLOAD-OPTIONS]...", nargs=-1)
@options.profile
@options.settings
@options.reference
@options.spec
@click.option(
    "--card", is_flag=True, help="Write the missing README.md of a LeRobot policy from its configs."
)
@click.option("--license", "license_id", metavar="ID", help="License for --card: mit, other, …")
@click.option(
    "--dry-run", is_flag=True, help="Print the files that would be uploaded with their SHA-256."
)
def upload(  # noqa: PLR0913 - one parameter an option
    repo: str,
    where: str,
    *,
    arguments: tuple[str, ...],
    profile: str | None,
    settings: str | None,
    reference: str | None,
    spec: str | None,
    card: bool,
    license_id: str | None,
    dry_run: bool,
) -> int:
    """Run the gate on WHERE and, if it passes, upload it to REPO on the Hub with `hf upload`.

    Makes a private copy, checks and uploads that copy, and compares it with the files on the Hub
    afterwards. Options after -- go to `hf upload`. Exit status: 0 uploaded, 1 failed the gate, 2
    could not run, 3 nothing was checked.

    --card never replaces a README.md; with --dry-run it is shown on standard error.

    \b
    ckpt upload me/policy out/
    ckpt upload me/policy out/ --card --license apache-2.0 --dry-run
    ckpt upload me/policy out/ --profile lerobot -- --revision v1
    """
    options.refuse(
        (card and not license_id, "--card needs a license", "add --license ID, such as apache-2.0"),
        (license_id and not card, "--license is for --card only", "add --card, or omit --license"),
    )
    _end_as_interrupted()
    done = api.upload(
        repo,
        where,
        profile=profile,
        settings=settings,
        reference=reference,
        spec=spec,
        arguments=arguments,
        card_license=license_id or "",
        dry_run=dry_run,
        say=write,
    )
    return _report(done, where, dry_run=dry_run)


def _report(done: Upload, where: str, *, dry_run: bool) -> int:
    """Print what was uploaded, or why nothing was, and return the exit status."""
    if not done.verdict.passes:
        write_judgement(done.verdict, "text")
        complain(f"{printable(where)}: failed the gate; nothing was uploaded")
        return FINDINGS if done.verdict.verification.checked else NOTHING_CHECKED
    if dry_run:
        write("".join(_line(file) for file in done.files))
        if done.card:
            write_error(f"README.md, which would be written and uploaded too:\n\n{done.card}")
    else:
        write(f"uploaded and compared {count(len(done.files), 'file')}: {done.url}\n")
    if not done.card:
        _tell_of_missing_card(done.verdict)
    if done.beside:
        names = ", ".join(map(printable, done.beside[:_MAX_NAMES]))
        more = ", …" * (len(done.beside) > _MAX_NAMES)
        others = count(len(done.beside), "other file")
        complain(f"the repository already had {others}, not checked: {names}{more}")
    return CLEAN


def _tell_of_missing_card(verdict: Verdict) -> None:
    for finding in verdict.verification.findings:
        if finding.code == CODE:
            complain(f"{finding.path}: {finding.what}; {finding.next}")


def _end_as_interrupted() -> None:
    """Treat requests to end, as by a closed terminal or a scheduler, like Ctrl-C.

    So the copy is removed and the client stopped. A signal that is ignored stays ignored.
    """
    for request in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(request) is signal.SIG_DFL:
            signal.signal(request, signal.default_int_handler)


def _line(file: UploadedFile) -> str:
    """Return a file as `sha256sum` prints it: a backslash marks a line with an escaped name."""
    name = file.path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if name != file.path else ""
    return f"{mark}{file.sha256}  {name if name.isprintable() else printable(name)}\n"
