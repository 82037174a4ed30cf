"""`python -m tools.families [LIBRARY[/KEY]…]` regenerates families; all, if none is named."""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, cast

from tools.families.confirm import FRESH
from tools.families.generate import generate
from tools.families.solve import Misfit
from tools.families.write import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.families.generate import Generated
    from tools.families.recipe import Recipe

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.path.dirname(os.path.dirname(HERE)), "ckpt_tools", "families", "data")
LIBRARIES = ("lerobot", "transformers", "diffusers", "timm")


def main(arguments: Sequence[str]) -> int:
    """Generate, confirm and write the families asked for. Returns the number of those refused."""
    parser = argparse.ArgumentParser(prog="python -m tools.families")
    parser.add_argument("families", nargs="*", metavar="LIBRARY[/KEY]")
    parser.add_argument("--fresh", type=int, default=FRESH, help="models to confirm each with")
    parser.add_argument("--into", default=DATA, help="folder to write to")
    options = parser.parse_args(arguments)
    refused = 0
    for recipe in recipes(options.families):
        refused += not _write(recipe, options.fresh, options.into)
    return refused


def recipes(wanted: Sequence[str] = ()) -> Iterator[Recipe]:
    """Yield the recipes of `LIBRARY` or `LIBRARY/KEY`, all where nothing is wanted."""
    missing = set(wanted)
    for library in LIBRARIES:
        if wanted and not any(one.split("/")[0] == library for one in wanted):
            continue
        for name in sorted(os.listdir(HERE)):
            if not name.startswith(library) or not name.endswith(".py"):
                continue
            module = import_module(f"tools.families.{name.removesuffix('.py')}")
            for recipe in getattr(module, "RECIPES", ()):
                names = {library, f"{library}/{recipe.key}"}
                if not wanted or names & set(wanted):
                    missing -= names
                    yield recipe
    if missing:
        raise SystemExit(f"there is no recipe for {', '.join(sorted(missing))}")


def _write(recipe: Recipe, fresh: int, folder: str) -> bool:
    """Write a family's file if nothing in it disagrees, and say how it came about."""
    began = time.monotonic()
    name = f"{recipe.library}/{recipe.key}"
    try:
        made = generate(recipe, fresh)
    except Misfit as misfit:
        sys.stdout.write(f"{name}: refused: {misfit}\n")
        return False
    if made.disagreements:
        some = "\n  ".join(made.disagreements[:20])
        sys.stdout.write(f"{name}: refused: {len(made.disagreements)} disagreements:\n  {some}\n")
        return False
    path = os.path.join(folder, recipe.library, f"{recipe.key}.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    written = text(made.content)
    with open(path, "w", encoding="utf-8") as file:
        file.write(written)
    sys.stdout.write(f"{name}: {_summary(made, written)}, {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    return True


def _summary(made: Generated, written: str) -> str:
    blocks = cast("list[dict[str, dict[str, str]]]", made.content["tensors"])
    templates = sum(len(block["shapes"]) for block in blocks)
    size = len(gzip.compress(written.encode(), mtime=0))
    names = f", names only ({made.misfit})" if made.misfit else ""
    return (
        f"{templates} templates from {made.samples} models, "
        f"0 disagreements with {made.fresh} more, {size:,} bytes compressed{names}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
