"""`ckpt audit export`."""

from __future__ import annotations

import os

import click

from ckpt_tools import api
from ckpt_tools.cli.output import CLEAN, write
from ckpt_tools.report.formats import text
from ckpt_tools.report.pages.audit import export_page


@click.command("export", short_help="Write the tables of an audit to Parquet files.")
@click.argument("file")
@click.argument("folder", metavar="DIR")
def command(file: str, folder: str) -> int:
    """Write each table of the audit FILE to a Parquet file in the new folder DIR.

    Needs pyarrow: pip install 'ckpt-tools[parquet]'. Exit status: 0, or 2 if it could not run.

    \b
    ckpt audit export audit.db tables/
    """
    rows = api.export_audit(file, folder)
    write(text.render(export_page(os.path.normpath(folder), rows)))
    return CLEAN
