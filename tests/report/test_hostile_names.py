"""Names and values from files that a terminal, a web page or a script would obey.

control: no control, format or line-separating character of a file reaches text, Markdown or a
terminal. width: no line that can be broken is wider than the terminal. markup: nothing from a file
becomes a link, an image, HTML, a heading, a fence or another cell in Markdown. exact: JSON holds
every name as it is. whole: the tree accounts for every tensor. ends: no name makes the command
fail.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from collections import Counter
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ckpt_tools import api
from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.report.formats import markdown, terminal, text
from ckpt_tools.report.json.diff import diff_document, show_document
from ckpt_tools.report.json.document import dump
from ckpt_tools.report.pages.diff import diff_page
from ckpt_tools.report.pages.show import show_page, tree_lines
from tests.support import forked
from tests.support.terminal_lines import too_wide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ckpt_tools.report.blocks import Page

ROOT = Path(__file__).parents[2]
WIDTH = 80

HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x9b31mred",
    "line\nbreak",
    "carriage\rreturn",
    "tab\tstop",
    "back\bspace",
    "\x7f",
    "\u202ereversed",
    "\u2028",
    "\u2029",
    "\u200bzero width",
    "\ufeffmark",
    "\xadhyphen",
    "| a | b |",
    "`|`",
    "a`|`b",
    "[link](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "<!-- comment",
    "<https://evil.example>",
    "https://evil.example/auto",
    "www.evil.example",
    "`code`",
    "``` fence",
    "````",
    "# heading",
    "@everyone",
    "**bold** __bold__ ~~gone~~",
    "&lt;b&gt;",
    "\\",
    "権重" * 60,
    "e\u0301" * 100,
    "",
    ".",
    "..",
    "{0..2}",
    "x" * 300,
    "a -> b",
    "__proto__",
)


def write(folder: Path, names: Iterable[str], *, hostile_config: bool) -> str:
    """Write a checkpoint with these strings as tensor names, metadata, config and file names."""
    folder.mkdir(parents=True)
    placed = header.layout(Tensor(name, Dtype.F32, (1,), "", 0, 4) for name in dict.fromkeys(names))
    metadata = [(f"m{name}", name) for name in HOSTILE] if hostile_config else None
    (folder / "model.safetensors").write_bytes(
        header.encode(placed, metadata) + bytes(4 * len(placed))
    )
    config: dict[str, object] = {"type": "smolvla"}
    if hostile_config:
        config |= {f"k{name}": name for name in HOSTILE} | {
            "vlm_model_name": "\x9b31m\u202e",
            "teacher_model_path": "\x9b2J",
            "load_vlm_weights": ["\x9b"],
        }
        config["input_features"] = {name: {"type": name, "shape": [name]} for name in HOSTILE}
        # What leaves the folder is refused before anything is shown, and tested elsewhere.
        states = [
            name for name in HOSTILE if not {"/", "\\"} & set(name) and name not in ("", ".", "..")
        ]
        steps = [
            {"registry_name": name, "state_file": name, "config": {"norm_map": {name: name}}}
            for name in states
        ]
        steps.append(
            {
                "registry_name": "normalizer_processor",
                "config": {"norm_map": {name: name for name in HOSTILE}},
            }
        )
        (folder / "policy_preprocessor.json").write_text(
            json.dumps({"steps": steps}), encoding="utf-8"
        )
        for name in states:
            (folder / f"f{name[:60]}.txt").write_text("", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a harmless checkpoint and a hostile one.

    Some of its names are moved, wrapped and shifted ones of the first.
    """
    folder = tmp_path_factory.mktemp("hostile")
    plain = ["w", "l.0.w", *(f"gone.{name}" for name in HOSTILE)]
    moved = [
        "\x9b31m.w",
        "l.7.w",
        *(f"{name}.{number}" for name in HOSTILE for number in range(2)),
        *HOSTILE,
    ]
    return write(folder / "a", plain, hostile_config=False), write(
        folder / "b", moved, hostile_config=True
    )


@pytest.fixture(scope="module")
def pages(pair: tuple[str, str]) -> dict[str, Page]:
    comparison, back, summary = api.diff(*pair), api.diff(*reversed(pair)), api.show(pair[1])
    return {
        "diff": diff_page(comparison),
        "full": diff_page(comparison, full=True),
        "back": diff_page(back, full=True),
        "show": show_page(summary),
        "tree": show_page(summary, tree=True),
    }


PAGES = ("diff", "full", "back", "show", "tree")


def obeyed(output: str) -> list[str]:
    """Return the lines with characters that a terminal or an editor acts upon."""
    bad = re.compile("[^\n]")
    return [
        line
        for line in output.split("\n")
        if any(
            unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")
            for character in bad.findall(line)
        )
    ]


def uncoloured(output: str) -> str:
    """Return terminal output without colour; anything else that escapes stays in it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", output)


@pytest.mark.parametrize("page", PAGES)
def test_no_control_character_of_a_file_reaches_text(pages: dict[str, Page], page: str) -> None:
    assert obeyed(text.render(pages[page])) == []


@pytest.mark.parametrize("page", PAGES)
def test_no_control_character_of_a_file_reaches_markdown(pages: dict[str, Page], page: str) -> None:
    assert obeyed(markdown.render(pages[page])) == []


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("page", PAGES)
def test_no_control_character_of_a_file_reaches_a_terminal(
    pages: dict[str, Page], page: str, *, colour: bool
) -> None:
    output = terminal.render(pages[page], WIDTH, color=colour)
    assert obeyed(uncoloured(output)) == []
    assert ("\x1b[" in output) is (colour and page != "tree")


@pytest.mark.parametrize("width", [20, 40, WIDTH, 200])
@pytest.mark.parametrize("page", PAGES)
def test_no_line_is_wider_than_the_terminal_and_no_name_is_broken(
    pages: dict[str, Page], page: str, width: int
) -> None:
    output = terminal.render(pages[page], width, color=True)
    assert too_wide(output, width) == []
    assert Counter(uncoloured(output).split()) == Counter(text.render(pages[page]).split())


def test_a_name_of_ten_thousand_characters_does_not_flood_a_terminal(tmp_path: Path) -> None:
    a, b = (
        write(tmp_path / "a", ["a"], hostile_config=False),
        write(tmp_path / "b", ["x" * 10_000], hostile_config=False),
    )
    assert len(terminal.render(diff_page(api.diff(a, b)), WIDTH, color=True).split("\n")) < 60


# --- Markdown -------------------------------------------------------------------------------------

REMOTE = re.compile(r"https?://|www\.|@\w", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_from_a_file_becomes_markup(pages: dict[str, Page], page: str) -> None:
    tokens = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .parse(markdown.render(pages[page]))
    )
    kinds = {token.type for token in tokens} | {
        child.type for token in tokens for child in token.children or ()
    }
    assert (
        kinds
        & {
            "link_open",
            "image",
            "html_block",
            "html_inline",
            "strong_open",
            "em_open",
            "s_open",
            "blockquote_open",
            "hr",
        }
        == set()
    )
    assert sum(token.type == "fence" for token in tokens) == (page == "tree")
    assert all(token.tag == "h3" for token in tokens if token.type == "heading_open")


@pytest.mark.parametrize("page", PAGES)
def test_nothing_from_a_file_is_linked_by_github_on_its_own(
    pages: dict[str, Page], page: str
) -> None:
    """GitHub links bare addresses and mentions people.

    Text from a file has to be code, or broken up.
    """
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown.render(pages[page]))
    plain = [
        child.content for token in tokens for child in token.children or () if child.type == "text"
    ]
    assert [content for content in plain if REMOTE.search(content)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_markdown_table_has_its_cells_and_no_more(
    pages: dict[str, Page], page: str
) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", markdown.render(pages[page]), re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(counts) == 1, table


# --- JSON -----------------------------------------------------------------------------------------


def test_json_holds_every_name_as_it_is(pair: tuple[str, str]) -> None:
    comparison = json.loads(dump(diff_document(api.diff(*pair))))
    summary = json.loads(dump(show_document(api.show(pair[1]))))
    names = {tensor["name"] for tensor in summary["tensors"]}
    assert names >= set(HOSTILE)
    tensors = comparison["tensors"]
    told = {tensor["name"] for tensor in tensors["only_b"]} | {
        new for rename in tensors["renamed"] for _, new in rename["names"]
    }
    assert names == told
    assert summary["metadata"] == {f"m{name}": name for name in HOSTILE}


# --- the tree -------------------------------------------------------------------------------------

LEAF = re.compile(r"  F32 \[\](?: x (\d+))?  ")


def in_tree(names: Iterable[str]) -> int:
    """Return how many tensors the tree of these names accounts for."""
    lines = tree_lines(Tensor(name, Dtype.F32, (), "", 0, 4) for name in names)
    return sum(int(found[1] or 1) for line in lines if (found := LEAF.search(line)))


@given(
    st.lists(
        st.lists(
            st.sampled_from(["a", "b", "layers", "0", "1", "2", "00", ""]), min_size=1, max_size=4
        ).map(".".join),
        unique=True,
        max_size=12,
    )
)
def test_the_tree_accounts_for_every_tensor(names: list[str]) -> None:
    assert in_tree(names) == len(names)


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a."],
        ["a.", "a"],
        ["a", "a.b", "a."],
        ["", "."],
        ["a", "a.0", "a.1"],
        ["0", "0.0", "1", "1.0"],
        ["a..b", "a.b", "a."],
    ],
)
def test_a_tensor_whose_name_starts_anothers_is_in_the_tree(names: list[str]) -> None:
    assert in_tree(names) == len(names)


def test_layers_of_one_build_fold_and_others_do_not() -> None:
    def leaf(name: str, *shape: int) -> Tensor:
        return Tensor(name, Dtype.F32, shape, "", 0, 4 * prod(shape))

    lines = list(
        tree_lines([leaf("l.0.w", 2), leaf("l.1.w", 2), leaf("l.2.w", 3), leaf("l.3.w", 2)])
    )
    assert lines == ["l.{0,1,3}.w  F32 [2] x 3  24 B", "l.2.w  F32 [3]  12 B"]


# --- nothing fails --------------------------------------------------------------------------------

ENDLESS = {
    "three thousand segments": [".".join("a" * 3000)],
    "three thousand segments twice": [".".join("a" * 3000) + end for end in (".b", ".c")],
    "a number of five thousand digits": [f"l.{'9' * 5000}.w", "l.1.w"],
    "a megabyte of dots": ["." * 1_000_000],
    "a chain of numbers": ["0." * 3000 + "w", "1." * 3000 + "w"],
}


@pytest.mark.parametrize("command", ["show", "tree", "diff"])
@pytest.mark.parametrize("names", ENDLESS)
def test_no_name_makes_the_command_fail_or_hang(tmp_path: Path, names: str, command: str) -> None:
    hostile = write(tmp_path / "b", ENDLESS[names], hostile_config=False)
    plain = write(tmp_path / "a", ["x"], hostile_config=False)
    arguments = {
        "show": ["show", hostile],
        "tree": ["show", hostile, "--tree"],
        "diff": ["diff", plain, hostile],
    }[command]
    done = forked.ckpt(*arguments)
    assert "Traceback" not in done.stderr
    assert done.returncode == (1 if command == "diff" else 0), done.stderr[-500:]


# --- a real terminal ------------------------------------------------------------------------------


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """Run `ckpt` with its output on a pseudo-terminal and return what it wrote there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    }
    command = [sys.executable, "-m", "ckpt_tools", *arguments]
    with subprocess.Popen(
        command,
        stdout=theirs,
        stdin=theirs,
        cwd=ROOT,
        env={**inherited, "TERM": "xterm-256color", "PAGER": "cat", **environment},
    ) as process:
        os.close(theirs)
        chunks = []
        while chunk := _read(ours):
            chunks.append(chunk)
        process.wait(timeout=60)
    os.close(ours)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux says EIO when the last writer has closed its side.
        return b""


@pytest.mark.parametrize(
    "arguments",
    [
        ("diff", "fixtures/normal", "fixtures/reflow"),
        ("show", "fixtures/reflow"),
        ("show", "fixtures/normal", "--tree"),
    ],
    ids=" ".join,
)
def test_a_terminal_of_80_columns_gets_no_wider_line(arguments: tuple[str, ...]) -> None:
    output = on_a_terminal(*arguments)
    assert too_wide(output, WIDTH) == []
    assert obeyed(uncoloured(output)) == []


def test_what_is_longer_than_the_terminal_goes_through_the_pager(tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\necho paged; echo $LESS; cat > {tmp_path}/seen\n")
    pager.chmod(0o755)
    output = on_a_terminal("show", "fixtures/reflow", PAGER=str(pager))
    assert output.split() == ["paged", "FRX"]
    assert "fixtures/reflow" in (tmp_path / "seen").read_text()
    assert on_a_terminal("show", "fixtures/reflow", CKPT_PAGER=str(pager)).split()[0] == "paged"
    output = on_a_terminal("show", "fixtures/reflow", PAGER=str(pager), LESS="FX --chop-long-lines")
    assert output.split() == ["paged", "-R", "FX", "--chop-long-lines"], "what is sent has colors"
    for option, environment in ((["--no-pager"], {}), ([], {"CKPT_PAGER": ""})):
        output = on_a_terminal("show", "fixtures/reflow", *option, PAGER=str(pager), **environment)
        assert "paged" not in output
        assert "fixtures/reflow" in uncoloured(output)
    assert "paged" not in on_a_terminal("config", "fixtures/normal", "validate", PAGER=str(pager))
    assert "paged" not in on_a_terminal("show", "fixtures/reflow", "-q", PAGER=str(pager))


def test_a_terminal_gets_colour() -> None:
    output = on_a_terminal("diff", "fixtures/normal", "fixtures/reflow")
    assert "\x1b[1;31m" in output
    assert "500 tensors under `teacher.`" in uncoloured(output)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_that_wants_no_colour_gets_none(environment: dict[str, str]) -> None:
    assert "\x1b" not in on_a_terminal("diff", "fixtures/normal", "fixtures/reflow", **environment)


def test_a_terminal_says_all_that_a_pipe_says() -> None:
    comparison = diff_page(api.diff(str(ROOT / "fixtures/normal"), str(ROOT / "fixtures/reflow")))
    words = text.render(comparison).split()
    assert uncoloured(terminal.render(comparison, 1000, color=True)).split() == words


def test_json_on_a_terminal_is_plain_json() -> None:
    output = on_a_terminal("diff", "fixtures/normal", "fixtures/normal", "--format", "json")
    assert json.loads(output)["same"] is True


def test_a_hostile_checkpoint_cannot_steer_a_terminal(pair: tuple[str, str]) -> None:
    output = on_a_terminal("diff", *pair, "--full")
    assert obeyed(uncoloured(output)) == []
    assert too_wide(output, WIDTH) == []
