"""Recipe files: JSON and YAML are equivalent, and hostile YAML is rejected at no cost."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from ckpt_tools import errors
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.recipe import document
from ckpt_tools.edit.recipe_file import LIMIT, read_recipe
from ckpt_tools.errors import RecipeInvalid
from tests.support.recipes import ACCEPTED

ROOT = Path(__file__).parents[2]
YAML = """\
# What a reflow student needs.
operations:
  - drop: [teacher.**]
  - rename: {match: 'a.**', to: b.**}
  - set:
      file: config.json
      pointer: /optimizer_lr
      value: 1e-4
  - set: {file: config.json, pointer: /load_vlm_weights, value: true}
  - metadata:
      key: format
      value: null
  - reshard: {max-size: 5GB}
  - take: {source: ../other, select: ["**"]}
  - copy-file: {source: README.md, path: README.md}
"""


def put(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_yaml_and_json_say_the_same_and_sources_start_at_the_recipe(tmp_path: Path) -> None:
    found = read_recipe(put(tmp_path, "recipe.yaml", YAML))
    assert found == (
        nouns.Drop(("teacher.**",)),
        nouns.RenameTensors("a.**", "b.**"),
        nouns.SetValue("config.json", "/optimizer_lr", 1e-4),
        nouns.SetValue("config.json", "/load_vlm_weights", value=True),
        nouns.SetMetadata("format", None),
        nouns.Reshard(5 * 10**9),
        nouns.Take(f"{tmp_path}/../other"),
        nouns.CopyFile(f"{tmp_path}/README.md", "README.md"),
    )
    assert isinstance(found[3], nouns.SetValue)
    assert found[3].value is True
    assert read_recipe(put(tmp_path, "recipe.json", json.dumps(document(found)))) == found


def test_the_recipe_in_the_document_has_every_operation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found = read_recipe(put(tmp_path, "recipe.yaml", shown))
    assert {type(operation) for operation in found} | {nouns.Merge} == {
        type(operation) for _, operation in ACCEPTED
    }


def test_sources_that_are_absolute_or_addresses_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = (nouns.Take("/elsewhere"), nouns.Take("hf://owner/name"), nouns.Take("near"))
    put(tmp_path, "recipe.json", json.dumps(document(listed)))
    assert read_recipe("recipe.json") == listed


BAD_FILES = (
    ("a.json", "{", "a.json: line 1, column 2: "),
    (
        "a.json",
        '{"operations": [], "operations": []}',
        'a.json: key "operations" stands more than once in one object; correct the recipe',
    ),
    ("a.json", '{"operations": [NaN]}', "a.json: NaN is not JSON"),
    (
        "a.json",
        '{\n"operations": [\n{"drop": ["a"]},\n{"cast":\n{"dtype": "X"}}]}',
        "a.json, line 5: operations[1].cast.dtype: unknown dtype 'X'",
    ),
    (
        "a.json",
        '{\n"operations": [\n{"drop":\n ["a", 2]}]}',
        "a.json, line 4: operations[0].drop[1]: expected text, found a number",
    ),
    ("a.json", "\ufeff{}", "a.json: starts with a byte order mark"),
    ("a.yaml", b"\xff", "a.yaml: byte 0 is not UTF-8"),
    ("a.yaml", "", "a.yaml: the recipe: expected an object, found null"),
    (
        "a.yaml",
        "operations: []\n---\noperations: []\n",
        "a.yaml: line 2, column 1: invalid YAML: but found another document",
    ),
    (
        "a.yaml",
        "operations: [",
        "a.yaml: line 1, column 14: invalid YAML: expected the node content",
    ),
    (
        "a.yaml",
        "operations:\n\t- a",
        "a.yaml: line 2, column 1: invalid YAML: found character '\\t'",
    ),
    ("a.yaml", "a: \x07", "a.yaml: invalid YAML: special characters are not allowed"),
    ("a.yaml", 'a: "\\UFFFFFFFF"', "a.yaml: invalid YAML: an escape sequence is not a character"),
    (
        "a.yaml",
        'a: "\\ud800"',
        "a.yaml: line 1, column 4: the text '\\ud800' contains half of a surrogate pair",
    ),
    (
        "a.yaml",
        "operations:\n  - drop: [a]\n    drop: [b]\n",
        "a.yaml: line 3, column 5: repeated key 'drop'; keep one of them",
    ),
    (
        "a.yaml",
        "operations:\n  - drop: [a]\n  - 1: [b]\n",
        "a.yaml: line 3, column 5: a key is not text; put it in quotes",
    ),
    ("a.yaml", "a: {[b]: 1}", "a.yaml: line 1, column 5: a key is not text"),
    (
        "a.yaml",
        "a: &a [1]\nb: *a\n",
        "a.yaml: line 2, column 4: the alias *a is not supported; write out the value",
    ),
    (
        "a.yaml",
        "a: !!python/object:os.system x",
        "line 1, column 4: the tag tag:yaml.org,2002:python/object:os.system is not supported",
    ),
    ("a.yaml", "a: !!str 5", "line 1, column 4: the tag tag:yaml.org,2002:str is not supported"),
    ("a.yaml", "a: !!set {b}", "is not supported"),
    (
        "a.yaml",
        "<<: {a: 1}",
        "line 1, column 1: '<<' is ambiguous: some YAML readers read it as merge",
    ),
    (
        "a.yaml",
        "a: 2024-01-01",
        (
            "line 1, column 4: '2024-01-01' is ambiguous: some YAML readers read it as timestamp;"
            " put text in quotes"
        ),
    ),
    ("a.yaml", "a: no", "'no' is ambiguous: some YAML readers read it as bool"),
    ("a.yaml", "on: 1", "'on' is ambiguous: some YAML readers read it as bool"),
    ("a.yaml", "a: 0755", "'0755' is ambiguous: some YAML readers read it as int"),
    ("a.yaml", "a: 1:30", "'1:30' is ambiguous: some YAML readers read it as int"),
    ("a.yaml", "a: 1_000", "'1_000' is ambiguous: some YAML readers read it as int"),
    ("a.yaml", "a: .nan", "'.nan' is ambiguous: some YAML readers read it as float"),
    ("a.yaml", "a: 1e999", "a.yaml: line 1, column 4: the number 1e999 does not fit a double"),
    ("a.yaml", "a: " + "9" * 5000, "does not fit a double"),
    ("a.yaml", "a: " + ":".join(["1"] * 50_000), "is ambiguous: some YAML readers read it as int"),
    (
        "a.yaml",
        "[" * 100_000,
        "a.yaml: line 1, column 128: nested deeper than 127; reduce the nesting",
    ),
    (
        "a.yml",
        "operations:\n  - drop: [a]\n  - cast:\n      dtype: X\n",
        "a.yml, line 4: operations[1].cast.dtype: unknown dtype 'X'",
    ),
    (
        "a.yml",
        "operations:\n  - drop: [a]\n\n  - cast: {}\n",
        "a.yml, line 4: operations[1].cast: missing dtype",
    ),
    (
        "a.txt",
        "{}",
        "a.txt: not a recipe: its name does not end in .json, .yaml or .yml; rename it, or",
    ),
)


@pytest.mark.parametrize(("name", "text", "words"), BAD_FILES, ids=lambda part: repr(part)[:40])
def test_a_bad_file_is_refused_with_its_path_and_line(
    tmp_path: Path, name: str, text: str | bytes, words: str
) -> None:
    with pytest.raises(RecipeInvalid) as refused:
        read_recipe(put(tmp_path, name, text))
    assert str(refused.value).startswith(str(tmp_path))
    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert refused.value.next


def test_a_bomb_of_aliases_is_refused_at_its_first_alias(tmp_path: Path) -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20)
    )
    with pytest.raises(RecipeInvalid, match=r"line 2, column 8: the alias \*a is not supported"):
        read_recipe(put(tmp_path, "bomb.yaml", bomb))


def test_a_file_that_is_too_large_or_no_file_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(errors.Unreadable, match="may have at most 1,048,576"):
        read_recipe(put(tmp_path, "large.yaml", "#" * (LIMIT + 1)))
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(errors.NotAFile, match="is a named pipe, not a file"):
        read_recipe(str(tmp_path / "pipe.yaml"))
    with pytest.raises(errors.PathNotFound):
        read_recipe(str(tmp_path / "none.json"))
