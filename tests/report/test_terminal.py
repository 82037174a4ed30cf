"""Pages on a terminal: what 80 columns do to findings, causes, rules, digests and plans.

The golden pages are held to the same in `test_golden`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.report.blocks import Line, Status, Table
from ckpt_tools.report.formats import terminal, text
from ckpt_tools.report.pages import config, diagnosis, diff_short, manifest, rules, verdict
from ckpt_tools.report.pages.plan import plan_page
from ckpt_tools.text import placed
from tests.support.terminal_lines import too_wide

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.report.blocks import Page

NORMAL, REFLOW, SHARED, OLD = (
    str(Path(__file__).parents[2] / "fixtures" / name)
    for name in ("normal", "reflow", "shared-vlm", "lerobot-0.3")
)

PAGES: dict[str, Callable[[], Page]] = {
    "verify": lambda: verdict.page(api.verify(REFLOW)),
    "verify against": lambda: verdict.page(api.verify(OLD, reference=NORMAL)),
    "verify long names": lambda: verdict.page(api.verify(SHARED)),
    "gate": lambda: verdict.page(api.gate(SHARED)),
    "gate explained": lambda: verdict.explained_page(api.gate(REFLOW), api.known_rules()),
    "doctor": lambda: diagnosis.page(api.diagnose(NORMAL, REFLOW)),
    "rules": lambda: rules.rules_page(api.known_rules()),
    "hash": lambda: manifest.page(api.manifest(NORMAL), full=True),
    "stat": lambda: diff_short.stat_page(api.diff(NORMAL, OLD)),
    "validate": lambda: config.validation_page(*api.config.validate(REFLOW)[::2]),
}


@cache
def page(name: str) -> Page:
    return PAGES[name]()


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_and_breaks_no_word(name: str, width: int) -> None:
    output = terminal.render(page(name), width, color=False)
    assert too_wide(output, width) == []
    assert Counter(output.split()) == Counter(text.render(page(name)).split())


def test_a_long_path_stands_above_its_table(tmp_path: Path) -> None:
    deep = tmp_path / "outputs" / ("a-run-with-a-long-name-" * 4) / "pretrained_model"
    shutil.copytree(SHARED, deep)
    lines = terminal.render(plan_page(api.sanitize(deep)), 80, color=False).splitlines()
    assert lines[0] == f"  {deep}"
    assert lines[1].split() == ["before", "after", "change"]


def test_a_name_that_does_not_fit_follows_its_row() -> None:
    name, row = "model." + "deep." * 14 + "weight", ("changed", "1.2 kB")
    rows = ((*row, "[3, 4]", name), (*row, "[3]", "short"))
    table = Table(("values", "size", "shape", "tensor"), rows, frozenset({1}))
    assert terminal.render((table,), 80, color=False).splitlines() == [
        "  values     size  shape   tensor",
        "  changed  1.2 kB  [3, 4]",
        f"    {name}",
        "  changed  1.2 kB  [3]     short",
    ]


@pytest.mark.parametrize(
    ("subject", "what", "shown"),
    [
        ("a.weight", "1 NaN in 1 tensor (a.weight)", "f: 1 NaN in 1 tensor (a.weight)"),
        ("a.weight", "like `b.a.weight.c`", "f: a.weight: like `b.a.weight.c`"),
        ("weight", "a weight of zeros", "f: weight: a weight of zeros"),
        ("/num_steps", "num_steps is 0", "f: num_steps is 0"),
        ("/policy/num_steps", "num_steps is 0", "f: /policy/num_steps: num_steps is 0"),
        ("/", "is empty", "f: /: is empty"),
        ("", "is empty", "f: is empty"),
    ],
)
def test_a_finding_names_its_subject_once(subject: str, what: str, shown: str) -> None:
    assert placed("f", subject, what) == shown


def test_lines_break_at_blanks_and_hang() -> None:
    line = Line("one two three four", Status.BAD, ("old.name -> new.name", "ckpt show a/b c/d"))
    assert terminal.render((line,), 18, color=False).splitlines() == [
        "  ✗ one two three",
        "    four",
        "      old.name",
        "        -> new.name",
        "      ckpt show a/b c/d",
    ]


def test_exact_text_survives() -> None:
    line = Line('/task: "two  blanks" -> "権利 wide"')
    assert terminal.render((line,), 80, color=False) == f"    {line.text}\n"
    assert terminal.render((line,), 32, color=False).splitlines() == [
        '    /task: "two  blanks"',
        '    -> "権利 wide"',
    ]
