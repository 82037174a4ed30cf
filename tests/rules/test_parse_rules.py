"""A file that cannot be read is a finding with a code of its own, and the only one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.rules.registry import rule_of
from tests.checkpoint.test_header_errors import CASES as HEADERS
from tests.checkpoint.test_header_errors import Case as Header
from tests.support.cases import FIXTURES, NORMAL, added, both, changed, untouched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.cases import Change

INDEX = "model.safetensors.index.json"
SHARD = "model-00002-of-00003.safetensors"


def shards(change: Change = untouched) -> Change:
    """The same weights in three shards, with a change."""

    def sharded(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        for path in (FIXTURES / "sharded").glob("model*"):
            shutil.copy(path, folder)
        change(folder)

    return sharded


def index(edit: Callable[[dict[str, str]], dict[str, str]]) -> Change:
    """Shards whose index maps tensors otherwise."""

    def change(folder: Path) -> None:
        document = json.loads((folder / INDEX).read_text())
        (folder / INDEX).write_text(
            json.dumps(document | {"weight_map": edit(document["weight_map"])})
        )

    return shards(change)


def same_names(folder: Path) -> None:
    """Shards without an index, two of which hold the same tensors."""
    (folder / INDEX).unlink()
    shutil.copy(folder / SHARD, folder / "model-00003-of-00003.safetensors")


CASES: dict[str, Change] = {
    "index-invalid": shards(added(INDEX, '{"weight_map": 7}')),
    "shard-missing": shards(lambda folder: (folder / SHARD).unlink()),
    "shard-orphan": index(
        lambda names: {name: shard for name, shard in names.items() if shard != SHARD}
    ),
    "shard-listed-twice": index(
        lambda names: names | {next(iter(names)): f"./{names[next(iter(names))]}"}
    ),
    "tensor-not-in-index": index(lambda names: dict(list(names.items())[1:])),
    "tensor-not-in-shard": index(lambda names: names | {"model.ghost": SHARD}),
    "tensor-in-two-shards": shards(same_names),
    "json-syntax": added("config.json", "{"),
    "json-key-repeated": added("config.json", '{"type": "smolvla", "type": "act"}'),
    "json-too-deep": added("config.json", '{"a": ' + "[" * 5000 + "]" * 5000 + "}"),
    "json-not-object": added("config.json", "[]"),
    "json-not-utf8": added("config.json", b'{"a": "\xff"}'),
    "path-escapes": index(lambda names: dict.fromkeys(names, "../model.safetensors")),
}


@pytest.mark.parametrize("case", HEADERS, ids=lambda case: case.error.__name__)
def test_a_header_that_breaks_a_rule_has_its_code(case: Header, tmp_path: Path) -> None:
    folder = changed(tmp_path / "it", added("model.safetensors", case.data))
    rule = rule_of("-".join(_words(case.error.__name__)))
    assert rule is not None
    (finding,) = api.verify(str(folder)).findings
    assert (finding.code, finding.severity) == (rule.code, Severity.ERROR)
    assert finding.next


def _words(name: str) -> list[str]:
    starts = [place for place, letter in enumerate(name) if letter.isupper()]
    return [name[start:end].lower() for start, end in zip(starts, [*starts[1:], None], strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_an_index_or_config_that_breaks_a_rule_has_its_code(name: str, tmp_path: Path) -> None:
    rule = rule_of(name)
    assert rule is not None
    (finding,) = api.verify(str(changed(tmp_path / "it", CASES[name]))).findings
    assert (finding.code, finding.severity) == (rule.code, Severity.ERROR)
    assert finding.next


def test_every_code_has_its_case() -> None:
    tried = {"-".join(_words(case.error.__name__)) for case in HEADERS} | CASES.keys()
    assert {rule.name for rule in PARSE_RULES} == tried


@pytest.mark.parametrize(
    "near",
    [
        untouched,
        shards(),
        both(shards(), added("config.json", (NORMAL / "config.json").read_text() + "\n")),
    ],
)
def test_a_readable_checkpoint_breaks_no_parse_rule(near: Change, tmp_path: Path) -> None:
    found = {finding.code for finding in api.verify(str(changed(tmp_path / "it", near))).findings}
    assert not found & {rule.code for rule in PARSE_RULES}
