"""Lockfiles: the text, error messages, the schema, and the command."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.spec import Spec, parse, read_spec, spec_of, text, write_spec
from ckpt_tools.cli.main import cli
from ckpt_tools.errors import CkptError, PathNotFound, SpecInvalid, WriteFailed
from ckpt_tools.storage import schemas
from tests.support.cases import FIXTURES, NORMAL

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SHAPES = st.lists(st.integers(0, (1 << 64) - 1), max_size=4).map(tuple)
SPECS = st.builds(
    lambda where, tensors: Spec(where, tuple((name, *tensors[name]) for name in sorted(tensors))),
    TEXTS,
    st.dictionaries(TEXTS, st.tuples(st.sampled_from(list(Dtype)), SHAPES), max_size=6),
)
JSON: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.sampled_from(["dtype", "shape"]), inner, max_size=3)
    ),
    max_leaves=8,
)
ONE = (
    '{\n  "version": 1,\n  "written_from": "normal",\n  "tensors": {\n    "b": {"dtype": "F32",'
    ' "shape": [2, 3]}\n  }\n}\n'
)


def valid(document: object) -> bool:
    return bool(jsonschema.Draft202012Validator(schemas.load("spec")).is_valid(document))


# --- the text -------------------------------------------------------------------------------------


@given(SPECS)
def test_a_lockfile_round_trips_with_one_tensor_per_line(spec: Spec) -> None:
    written = text(spec)
    assert parse(written.encode()) == spec
    assert written.isascii()
    assert len(written.splitlines()) == (len(spec.tensors) + 6 if spec.tensors else 5)
    assert valid(json.loads(written))


@given(SPECS)
def test_the_order_of_the_tensors_does_not_matter(spec: Spec) -> None:
    assert text(spec._replace(tensors=spec.tensors[::-1])) == text(spec)


def test_a_lockfile_looks_like_this() -> None:
    assert text(Spec("normal", (("b", Dtype.F32, (2, 3)),))) == ONE


def test_a_lockfile_contains_only_the_last_path_component() -> None:
    checkpoint = api.read(str(NORMAL))
    assert spec_of(checkpoint).written_from == "normal"
    assert spec_of(checkpoint._replace(where="/home/me/run/")).written_from == "run"
    assert spec_of(checkpoint._replace(where="hf://owner/name")).written_from == "hf://owner/name"


def test_a_lockfile_does_not_depend_on_shards() -> None:
    assert (
        spec_of(api.read(str(FIXTURES / "sharded"))).tensors
        == spec_of(api.read(str(NORMAL))).tensors
    )


# --- what is refused ------------------------------------------------------------------------------


def document(**changes: Any) -> str:
    return json.dumps(
        {"version": 1, "written_from": "x", "tensors": {"a/b": {"dtype": "F32", "shape": [1]}}}
        | changes
    )


def tensor(**changes: Any) -> str:
    return document(tensors={"a/b": {"dtype": "F32", "shape": [1]} | changes})


@pytest.mark.parametrize(
    ("lockfile", "location", "words"),
    [
        ("", "", "is empty"),
        ("{", "", "line 1"),
        ("[]", "", "expected an object"),
        ("{}", "", "missing field 'tensors'"),
        (document(version=2), "/version", "unsupported version 2, expected 1"),
        (document(version=True), "/version", "unsupported version true, expected 1"),
        (document(version=1.0), "/version", "unsupported version 1.0, expected 1"),
        (document(written_from=None), "/written_from", "expected a string"),
        (document(tensors=[]), "/tensors", "expected an object"),
        (document(more=1), "", "unknown field 'more'"),
        (document(tensors={"a/b": 1}), "/tensors/a~1b", "expected an object"),
        (document(tensors={"a/b": {"dtype": "F32"}}), "/tensors/a~1b", "missing field 'shape'"),
        (tensor(offset=1), "/tensors/a~1b", "unknown field 'offset'"),
        (tensor(dtype="f32"), "/tensors/a~1b/dtype", "expected one of BOOL, F4"),
        (tensor(dtype=["F32"]), "/tensors/a~1b/dtype", "expected one of BOOL, F4"),
        (tensor(shape=3), "/tensors/a~1b/shape", "expected a list"),
        (tensor(shape=[1, -1]), "/tensors/a~1b/shape/1", "expected an integer from 0 to 2^64-1"),
        (tensor(shape=[True]), "/tensors/a~1b/shape/0", "expected an integer"),
        (tensor(shape=[1.0]), "/tensors/a~1b/shape/0", "expected an integer"),
        (tensor(shape=[1 << 64]), "/tensors/a~1b/shape/0", "expected an integer"),
        (ONE.replace('"b": {', '"b": {"dtype": "F32", "shape": []}, "b": {'), "", "more than once"),
    ],
)
def test_an_invalid_lockfile_is_rejected_with_its_location(
    lockfile: str, location: str, words: str
) -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse(lockfile.encode())
    assert location in caught.value.subject or location == ""
    assert words in caught.value.what, caught.value.what
    assert caught.value.next


@given(
    JSON | st.builds(lambda tensors: {"version": 1, "written_from": "", "tensors": tensors}, JSON)
)
def test_the_schema_and_the_reader_agree(value: Any) -> None:
    try:
        parse(json.dumps(value).encode())
    except SpecInvalid:
        # The schema cannot tell 1.0 from 1.
        assert not valid(value) or "." in json.dumps(value)
    else:
        assert valid(value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_rejected(written: str) -> None:
    try:
        parse(written.encode())
    except SpecInvalid:
        return


# --- files and the command ------------------------------------------------------------------------


def test_read_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content, words in (
        (b"\xff", "not UTF-8"),
        (b"{}", "missing field 'tensors'"),
        (b"{", ""),
    ):
        path.write_bytes(content)
        with pytest.raises(SpecInvalid) as caught:
            read_spec(str(path))
        assert caught.value.path == str(path)
        assert words in caught.value.what
    with pytest.raises(PathNotFound):
        read_spec(str(tmp_path / "nothing"))


def test_only_an_older_lockfile_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    first, second = Spec("a", ()), Spec("b", (("b", Dtype.F32, (2, 3)),))
    for written in (first, second):
        write_spec(written, str(path))
        assert read_spec(str(path)) == written
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SpecInvalid) as caught:
        write_spec(first, str(path))
    assert "exists and is not a lockfile" in str(caught.value)
    assert path.read_text(encoding="utf-8") == "mine"
    assert os.listdir(tmp_path) == ["x.json"]
    with pytest.raises(CkptError):
        write_spec(first, str(tmp_path))
    with pytest.raises(WriteFailed):
        write_spec(first, str(tmp_path / "no folder" / "x.json"))


def test_the_command_writes_to_standard_output_or_to_a_file(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["spec", "write", str(NORMAL)])
    assert printed.exit_code == 0
    path = tmp_path / "normal.spec.json"
    done = CliRunner().invoke(cli, ["spec", "write", str(NORMAL), "-o", str(path)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"ckpt: {path}: written (500 tensors)\n"
    assert path.read_text(encoding="utf-8") == printed.stdout
    assert (
        printed.stdout.splitlines()[4]
        == '    "model.action_in_proj.bias": {"dtype": "F32", "shape": [3]},'
    )
    assert api.verify(str(NORMAL), spec=str(path)).clean
