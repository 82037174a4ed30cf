"""`ckpt hash`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, complain, progress_of, write, write_report
from ckpt_tools.manifest import format as manifest_format
from ckpt_tools.manifest.model import Hashed
from ckpt_tools.report.json.manifest import document
from ckpt_tools.report.pages.manifest import page
from ckpt_tools.text import count

if TYPE_CHECKING:
    from ckpt_tools.manifest.model import Check, RemoteCheck


@click.command(
    "hash",
    short_help="Hash a checkpoint or check it against a manifest.",
    epilog=options.WHERE_HELP,
)
@options.where("where")
@click.option(
    "--write",
    "output",
    type=options.PATH,
    metavar="FILE",
    help="Write the manifest to FILE, a new file or an older manifest.",
)
@click.option(
    "--check",
    "against",
    type=options.PATH,
    metavar="FILE",
    help="Check the checkpoint against the manifest in FILE.",
)
@click.option(
    "--exact-files",
    is_flag=True,
    help="With --check: require identical weight files, shards and metadata included.",
)
@click.option(
    "--remote",
    metavar="REPO[@REVISION]",
    help="Compare the files with a repository on the Hugging Face Hub, without downloading.",
)
@click.option(
    "--sha256",
    is_flag=True,
    help="Also compute the SHA-256 of every file, which is its id on the Hub.",
)
@click.option("--full", is_flag=True, help="List every tensor, and every difference.")
@options.output_format("text", "json", "markdown")
def hash(  # noqa: A001, PLR0913 - the command's name; one parameter an option
    where: str,
    *,
    output: str | None,
    against: str | None,
    exact_files: bool,
    remote: str | None,
    sha256: bool,
    full: bool,
    output_format: str,
) -> int:
    """Hash the tensors and files of the checkpoint at WHERE (BLAKE3).

    The content digest, on the first line, is the same for the same tensors, whatever their order,
    shards and metadata. --format json is the manifest that --write writes and --check reads. Every
    byte is read. Exit status: 0, or 1 for differences from FILE or REPO, or 2 if it could not run.

    \b
    ckpt hash outputs/train/run --write run.manifest.json
    ckpt hash copy/ --check run.manifest.json
    ckpt hash upload/ --remote me/policy
    """
    _refuse_pointless(output, against, remote, exact_files=exact_files, sha256=sha256)
    with progress_of("hashing", None, wanted=True) as progress:
        done: Hashed | Check | RemoteCheck
        if remote is not None:
            done = api.check_remote(
                where, remote, progress=progress.advance, expect=progress.expect
            )
        elif against is not None:
            done = api.check_manifest(
                where,
                against,
                sha256=sha256,
                exact_files=exact_files,
                progress=progress.advance,
                expect=progress.expect,
            )
        else:
            done = api.manifest(
                where,
                sha256=sha256,
                write=output,
                progress=progress.advance,
                expect=progress.expect,
            )
    if isinstance(done, Hashed):
        return _written(done, output, output_format, full=full)
    write_report(done, lambda: page(done, full=full), output_format, document)
    return CLEAN if done.same else FINDINGS


def _written(found: Hashed, output: str | None, output_format: str, *, full: bool) -> int:
    if output_format == "json":
        write(manifest_format.text(found.manifest))
    else:
        write_report(
            found, lambda: page(found, full=full), output_format, lambda one: one._asdict()
        )
    if output is not None:
        tensors, files = len(found.manifest.tensors), len(found.manifest.files)
        complain(f"{output}: {count(tensors, 'tensor')}, {count(files, 'file')}")
    return CLEAN


def _refuse_pointless(
    output: str | None, against: str | None, remote: str | None, *, exact_files: bool, sha256: bool
) -> None:
    """Refuse combinations in which an option would silently have no effect."""
    options.refuse(
        (
            output is not None and (against is not None or remote is not None),
            "--write cannot be combined with --check or --remote",
            "run them one after the other",
        ),
        (
            against is not None and remote is not None,
            "--check cannot be combined with --remote",
            "run them one after the other",
        ),
        (
            exact_files and against is None,
            "--exact-files needs --check",
            "add --check FILE, or leave it out",
        ),
        (
            sha256 and remote is not None,
            "--sha256 cannot be combined with --remote, which uses the Hub's checksums",
            "leave --sha256 out",
        ),
    )
