"""`ckpt plan`."""

from __future__ import annotations

import click

from ckpt_tools import api
from ckpt_tools.cli import options
from ckpt_tools.cli.output import CLEAN, FINDINGS, write_report
from ckpt_tools.edit.recipe_file import read_recipe
from ckpt_tools.report.json.plan import document
from ckpt_tools.report.pages.plan import plan_page


@click.command(short_help="Plan the changes a recipe would make.", epilog=options.WHERE_HELP)
@options.where("where")
@options.where("recipe")
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    metavar="FILE",
    help="Write the plan to FILE, for `ckpt apply`.",
)
@click.option(
    "--digest",
    is_flag=True,
    help=(
        "Bind the plan to the SHA-256 of every file it reads: `ckpt apply` accepts the same content"
        " at another time, and no other."
    ),
)
@click.option("--full", is_flag=True, help="Show all details.")
@options.output_format("text", "json", "markdown")
def plan(  # noqa: PLR0913 - one parameter an option
    where: str,
    recipe: str,
    *,
    output: str | None,
    digest: bool,
    full: bool,
    output_format: str,
) -> int:
    """Preview a recipe on the checkpoint at WHERE; write nothing but the plan.

    RECIPE is a YAML or JSON file with a list of operations. Exit status: 0 no changes, 1 changes
    planned, 2 could not run.

    \b
    ckpt plan reflow/ recipe.yaml -o plan.json
    ckpt apply plan.json -o out/
    """
    made = api.plan(where, read_recipe(recipe), digest=digest)
    if output:
        api.save_plan(made, output)
    write_report(made, lambda: plan_page(made, full=full), output_format, document)
    return FINDINGS if made.steps else CLEAN
